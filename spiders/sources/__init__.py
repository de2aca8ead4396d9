"""One file for each source. A file that is put here is found: there is no list to keep."""

import importlib
import inspect
import pkgutil
from types import ModuleType

from spiders.formats.base import SourceSpider


def spiders_of(module: ModuleType) -> list[type[SourceSpider]]:
    """The spiders that a file declares itself."""
    classes = (one for _, one in inspect.getmembers(module, inspect.isclass) if one.__module__ == module.__name__)
    return [one for one in classes if issubclass(one, SourceSpider) and "name" in vars(one)]


def _found() -> tuple[type[SourceSpider], ...]:
    names = sorted(one.name for one in pkgutil.iter_modules(__path__))
    spiders = [spider for name in names for spider in spiders_of(importlib.import_module(f"{__name__}.{name}"))]
    by_name = {spider.name: spider for spider in spiders}
    twice = sorted({spider.name for spider in spiders if by_name[spider.name] is not spider})
    if twice:
        raise ImportError(f"two spiders are called {', '.join(twice)}. Remedy: give one another `name`.")
    return tuple(by_name[name] for name in sorted(by_name))


SPIDERS: tuple[type[SourceSpider], ...] = _found()
"""Every spider, by name."""
