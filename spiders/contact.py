"""Some hosts answer only those who say who they are and where to complain."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from deploy.settings import PREFIX, Settings, SettingsError

UNTOLD: str = Settings.model_fields["user_agent"].default
"""The user agent of those who have not set their own: its address is nobody's."""


def check_contact(spider: str, addresses: Iterable[str], hosts: frozenset[str], user_agent: str) -> None:
    """SettingsError when one of these hosts would be asked by nobody in particular."""
    asked = {urlsplit(address).hostname or "" for address in addresses}
    strict = sorted(host for host in asked if any(host == one or host.endswith(f".{one}") for one in hosts))
    if strict and user_agent.strip() in {"", UNTOLD}:
        raise SettingsError(
            f"{strict[0]} wants to know who asks, and {PREFIX}USER_AGENT is the example that Gigz comes with: "
            f"{spider} does not start. Remedy: {PREFIX}USER_AGENT='yourproject/1.0 ( you@your.domain )'."
        )
