"""House rules that code can check."""

import ast
import importlib.metadata
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("schemas", "deploy", "matchers", "spiders", "streams", "sinks", "api")
MAY_IMPORT = {
    "schemas": set(),
    "deploy": {"schemas"},
    "matchers": {"schemas"},
    "spiders": {"schemas", "deploy"},
    "sinks": {"schemas", "deploy"},
    "streams": {"schemas", "deploy", "matchers"},
    "api": {"schemas", "deploy", "matchers"},
    "gigz": set(ROOMS),
}
API_MAY_IMPORT_OF_MATCHERS = {
    *("matchers.dates", "matchers.text", "matchers.files"),
    *("matchers.columns", "matchers.billing", "matchers.gazetteer", "matchers.venues"),
}
"""For import parsing only."""


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative imports hide which room is meant"
            found.add(node.module)
    return found


def _modules(room: str) -> list[Path]:
    return [ROOT / "gigz.py"] if room == "gigz" else sorted((ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_only_go_down(room: str) -> None:
    others = set(MAY_IMPORT) - {room}
    for path in _modules(room):
        for module in _imports(path):
            top = module.partition(".")[0]
            assert top not in others or top in MAY_IMPORT[room], f"{path.relative_to(ROOT)} imports {module}"


def test_the_api_uses_the_matcher_for_import_parsing_only() -> None:
    for path in _modules("api"):
        used = {module for module in _imports(path) if module.partition(".")[0] == "matchers"}
        assert used <= API_MAY_IMPORT_OF_MATCHERS, path


def test_every_room_is_checked_and_none_is_empty() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages == set(ROOMS)
    assert all(_modules(room) for room in MAY_IMPORT)


def test_no_other_distribution_owns_our_names() -> None:
    owners = importlib.metadata.packages_distributions()
    for name in (*ROOMS, "gigz"):
        assert set(owners.get(name, [])) <= {"gigz"}, f"{name} belongs to {owners[name]}"
        assert name not in sys.stdlib_module_names


def _reads_environment(tree: ast.AST) -> list[int]:
    written = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)
    }
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in {"environ", "getenv", "environb"}
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
        and id(node) not in written
    ]


def test_only_the_settings_read_the_environment() -> None:
    for room in MAY_IMPORT:
        for path in _modules(room):
            if path != ROOT / "deploy" / "settings.py":
                lines = _reads_environment(ast.parse(path.read_text(encoding="utf-8")))
                assert not lines, f"{path.relative_to(ROOT)} reads the environment in {lines}"


def test_the_matchers_do_no_io_and_read_no_clock() -> None:
    forbidden = {"os", "io", "socket", "time", "subprocess", "asyncio", "pathlib", "random", "httpx", "requests"}
    for path in _modules("matchers"):
        tops = {module.partition(".")[0] for module in _imports(path)}
        assert not tops & forbidden, f"{path.relative_to(ROOT)} imports {tops & forbidden}"
        calls = re.findall(r"\b(?:datetime|date)\.(?:now|utcnow|today)\(|\bopen\(", path.read_text(encoding="utf-8"))
        assert not calls, f"{path.relative_to(ROOT)} calls {calls}"


@pytest.mark.parametrize("lock", ["lock.txt", "uv.txt"])
def test_the_lock_holds_versions_and_hashes_and_no_addresses(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")
    assert "://" not in text and "--index-url" not in text and "--find-links" not in text
    pinned = re.findall(r"^[a-z0-9][\w.\-\[\],]*==\S+.*?(?=^\S|\Z)", text, flags=re.M | re.S)
    assert pinned and all("--hash=sha256:" in requirement for requirement in pinned)


def test_make_help_explains_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^\.PHONY: (.*)$", makefile, flags=re.M)[0].split())
    explained = set(re.findall(r"^([a-z-]+):.*## ", makefile, flags=re.M))
    assert targets == explained
