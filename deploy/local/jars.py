"""Kafka's jars: fetched once for a user, whole or not at all, then used without a network.

    CACHE/gigz/kafka-VERSION/*.jar, jars.json    CACHE: $XDG_CACHE_HOME, ~/.cache (platformdirs)

jgo resolves and downloads. Its own environments are not used: building one fetches a second Java, and splits the jars
over two folders. A download is written under its final name, so one that was cut off would count as there: therefore
everything goes to a folder aside first, which becomes the cache by one rename.
"""

import contextlib
import fcntl
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import platformdirs

from deploy.local.errors import StackError
from deploy.local.processes import write_private

VERSION = "4.3.1"
ENDPOINT = f"org.apache.kafka:kafka_2.13:{VERSION}+org.slf4j:slf4j-simple:1.7.36"
"""kafka_2.13 4.4.0 names an artifact that was never published; log4j-slf4j-impl would pull in old kafka-clients."""
MANIFEST = "jars.json"
DOWNLOADS_AT_ONCE = 4
TRIES = 3


def kafka_jars(say: Callable[[str], None]) -> Path:
    """The folder with every jar that Kafka needs. StackError when they are not there and cannot be fetched."""
    cache = platformdirs.user_cache_path("gigz", appauthor=False)
    folder = cache / f"kafka-{VERSION}"
    if is_whole(folder):
        return folder
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _one_at_a_time(cache / "lock"):
            if not is_whole(folder):  # another `up` may have fetched them meanwhile
                say("fetching its jars (44 MB, once)")
                _fetch(folder, cache / "part", say)
    except StackError:
        raise
    except OSError as error:
        if error.filename is None:
            raise _not_fetched(error, folder) from error
        raise StackError(
            "kafka",
            f"its jars cannot be kept in {cache}: {error.strerror}.",
            "make that folder writable, or set XDG_CACHE_HOME to one that is.",
        ) from error
    except Exception as error:  # jgo raises what its parsers and its HTTP client raise
        raise _not_fetched(error, folder) from error
    return folder


def is_whole(folder: Path) -> bool:
    """True when every jar of the manifest is there in its full length."""
    try:
        sizes: dict[str, int] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return bool(sizes) and all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False


def _fetch(folder: Path, part: Path, say: Callable[[str], None]) -> None:
    import jgo  # with what it imports it takes 0.3 s, and is wanted once for a machine
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext
    from jgo.parse import Endpoint

    shutil.rmtree(part, ignore_errors=True)  # of a fetch that was cut off
    repositories = {"central": MAVEN_CENTRAL_URL, **GlobalSettings.load().repositories}
    context = MavenContext(repo_cache=part / "repository", remote_repos=repositories, timeout=30)
    wanted = [context.create_dependency(coordinate) for coordinate in Endpoint.parse(ENDPOINT).coordinates]
    named, implied = context.resolver.resolve(wanted)
    artifacts = [d.artifact for d in (*named, *(d for d in implied if d.scope in ("compile", "runtime")))]
    say(f"fetching {len(artifacts)} jars with jgo {jgo.__version__}")
    with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
        paths = list(pool.map(_download, artifacts))
    ready = part / folder.name
    ready.mkdir()
    for path in paths:
        path.replace(ready / path.name)
    write_private(ready / MANIFEST, json.dumps({path.name: (ready / path.name).stat().st_size for path in paths}))
    shutil.rmtree(folder, ignore_errors=True)
    ready.replace(folder)
    shutil.rmtree(part, ignore_errors=True)


def _download(artifact: Any) -> Path:
    """jgo checks the SHA-1 that the repository tells, but leaves a broken file lying: take it away and try again."""
    for attempt in range(TRIES):
        try:
            path: Path = artifact.resolve()
            with zipfile.ZipFile(path) as jar:
                jar.infolist()
        except Exception:
            artifact.cached_path.unlink(missing_ok=True)
            if attempt == TRIES - 1:
                raise
        else:
            return path
    raise AssertionError


@contextlib.contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _not_fetched(error: Exception, folder: Path) -> StackError:
    if "certificate is not yet valid" in str(error) or "certificate has expired" in str(error):
        return StackError("kafka", "its jars cannot be fetched: this machine's clock is wrong.", "set the clock.")
    return StackError(
        "kafka",
        f"its jars cannot be fetched ({type(error).__name__}: {error}).",
        f"connect to a network that reaches Maven Central, for this once; or copy {folder} from a machine that has it; "
        "or set GIGZ_KAFKA_URL to a Kafka that runs elsewhere. A mirror goes under [repositories] of jgo.conf.",
    )
