"""What files of deployment name, held against the code: settings, commands, ports."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import SecretStr

import gigz
from deploy.settings import PREFIX, Settings, load

METRICS_PORT = 9464
"""Fixed in containers, where nobody else is; the setting's own default takes any free one."""
API_PORT: int = Settings.model_fields["api_port"].default
HOME = "/var/lib/gigz"
_SETTING = re.compile(r"\bGIGZ_([A-Z][A-Z0-9_]*)")


def settings_named(text: str) -> set[str]:
    """Names of settings, in lower case; a secret's own where its file is named."""
    return {setting_of(f"{PREFIX}{name}") for name in _SETTING.findall(text)}


def setting_of(variable: str) -> str:
    """The setting that a variable is for."""
    name = variable.removeprefix(PREFIX).lower()
    plain = name.removesuffix("_file")
    field = Settings.model_fields.get(plain)
    return plain if plain != name and field is not None and field.annotation is SecretStr else name


def unknown(text: str) -> set[str]:
    """Settings that a text names and the code has not."""
    return settings_named(text) - set(Settings.model_fields)


def accepted(monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, Any]) -> Settings:
    """The settings of a process with this environment. SettingsError where a value is none."""
    with monkeypatch.context() as only:
        for name, value in environment.items():
            if name.startswith(PREFIX) and not name.endswith("_FILE"):
                only.setenv(name, str(value))
        return load()


def command_of(arguments: Sequence[str]) -> str:
    """The command that `gigz ARGUMENTS` runs, with all its arguments taken. click's UsageError where it is none."""
    command: Any = typer.main.get_command(gigz.app)
    left, path = [str(one) for one in arguments], ["gigz"]
    while left and hasattr(command, "commands"):
        name = left.pop(0)
        if name.startswith("--"):
            assert name in {option for one in command.params for option in one.opts}, f"{name} is no option"
            return name
        assert name in command.commands, f"{' '.join([*path, name])} is no command"
        command = command.commands[name]
        path.append(name)
    assert not hasattr(command, "commands"), f"{' '.join(path)} wants a command"
    taken = command.make_context(path[-1], left).params
    return " ".join([*path[1:], *([taken["stage"]] if "stage" in taken else [])])


def commands_in(text: str) -> set[tuple[str, ...]]:
    """What follows `gigz` in the code of a Markdown page: lines of blocks and words in backticks, in a pod or not."""
    blocks = "\n".join(re.findall(r"^```\w*\n(.*?)^```", text, flags=re.M | re.S))
    blocks += "\n" + "\n".join(line[4:] for line in text.splitlines() if line.startswith("    "))
    spans = re.findall(r"`([^`\n]+)`", text)
    lines: Iterable[str] = [*blocks.splitlines(), *spans]
    found = set()
    for line in lines:
        match = re.match(
            r"(?:.*\bexec [\w-]+ (?:-- )?|\.venv/bin/)?gigz ([a-z-]+(?: .*)?)$", line.split(" #")[0].strip()
        )
        if match and "@" not in match[1]:
            found.add(tuple(shlex.split(match[1])))
    return found


def linted(name: str, package: str, *arguments: str) -> None:
    """Run a linter and fail with what it says; skip, and say so, where it is not installed."""
    program = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if program is None:
        pytest.skip(f"{name} (package {package}) is not installed: not linted by it")
    told = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert told.returncode == 0, told.stdout + told.stderr
