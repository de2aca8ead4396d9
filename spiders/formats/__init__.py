"""What a whole family of sources has in common. A file that is put here is found: there is no list to keep."""

import importlib
import inspect
import pkgutil

from spiders.formats.base import SourceSpider


def formats() -> dict[str, type[SourceSpider]]:
    """Every format base by the name that `gigz spider new --format` takes."""
    found: dict[str, type[SourceSpider]] = {}
    for name in sorted(one.name for one in pkgutil.iter_modules(__path__)):
        module = importlib.import_module(f"{__name__}.{name}")
        for _, one in inspect.getmembers(module, inspect.isclass):
            if one.__module__ == module.__name__ and issubclass(one, SourceSpider) and "format" in vars(one):
                found[one.format] = one
    return found
