"""What this installation is: `gigz --version`. Asks nobody; the stores' own versions are told by `gigz migrate`."""

from importlib.metadata import version

from deploy.migrate import heads
from deploy.migrations.clickhouse import migrations
from schemas.topics import TOPICS


def versions() -> dict[str, str]:
    """Gigz's own, the revision of each store's tables that it needs, and the version of each message that it writes.

    A message's version is that of its header `schema`; a reader takes every older one.
    """
    return {
        "gigz": version("gigz"),
        "postgres": ", ".join(heads()),
        "clickhouse": f"{migrations()[-1].number:04d}",
        **{topic.name: str(topic.message.schema_version) for topic in TOPICS},
    }
