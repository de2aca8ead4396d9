"""The local ClickHouse: a `clickhouse` program when there is one, else the front over chdb."""

import shutil
import sys
from pathlib import Path
from xml.sax.saxutils import escape

import httpx

from deploy.local.errors import StackError
from deploy.local.ports import LOOPBACK
from deploy.local.processes import write_private
from deploy.local.room import Launch, Room, engine_environment, python_environment

NAME = "clickhouse"
PORT_SETTING = "clickhouse_port"

CONFIG = """\
<clickhouse>
  <logger><level>warning</level><console>1</console></logger>
  <listen_host>{host}</listen_host>
  <http_port>{port}</http_port>
  <path>{data}/</path>
  <tmp_path>{data}/tmp/</tmp_path>
  <user_files_path>{data}/user_files/</user_files_path>
  <format_schema_path>{data}/format_schemas/</format_schema_path>
  <!-- As it comes 5 GB: a developer's machine has other work. -->
  <mark_cache_size>134217728</mark_cache_size>
  <user_directories><users_xml><path>{users}</path></users_xml></user_directories>
</clickhouse>
"""
USERS = """\
<clickhouse>
  <profiles><default/></profiles>
  <quotas><default/></quotas>
  <users>
    <default>
      <password></password>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
    </default>
  </users>
</clickhouse>
"""


def launch(room: Room) -> Launch:
    """The server's two configuration files anew, or nothing for the front."""
    environment = engine_environment(room.settings)
    program = find_program(NAME, room.settings.clickhouse_bin)
    port = room.ports.take(NAME, PORT_SETTING)
    # Two folders: the one does not read what the other has written.
    folder = room.home / ("clickhouse-server" if program else NAME)
    folder.mkdir(parents=True, exist_ok=True)
    if program:
        config, users = folder / "config.xml", folder / "users.xml"
        text = CONFIG.format(host=LOOPBACK, port=port, data=escape(str(folder / "data")), users=escape(str(users)))
        write_private(config, text)
        write_private(users, USERS)
        argv = [program, "server", f"--config-file={config}"]
    else:
        arguments = ["--host", LOOPBACK, "--port", str(port), "--data", str(folder)]
        argv = [sys.executable, "-m", "deploy.local.clickhouse_front", *arguments]
        environment = python_environment(environment)
    return Launch(argv=argv, url=f"http://default:@{LOOPBACK}:{port}/default", environment=environment)


def probe(url: str) -> None:
    """`SELECT 1` over HTTP."""
    address = httpx.URL(url)
    answer = httpx.post(
        address.copy_with(path="/", userinfo=b""),
        content="SELECT 1",
        headers={"X-ClickHouse-User": address.username or "default", "X-ClickHouse-Key": address.password},
        timeout=5,
        trust_env=False,
    )
    if answer.status_code != httpx.codes.OK or answer.text.strip() != "1":
        raise ConnectionError(f"SELECT 1 was answered by {answer.status_code}: {answer.text[:200]}")


def find_program(engine: str, configured: str) -> str | None:
    """The engine's own program: as set, else on the path; None where there is none.

    StackError when the one that is set is not a program.
    """
    found = shutil.which(configured or engine)
    if configured and found is None:
        raise StackError(
            engine,
            f"GIGZ_{engine.upper()}_BIN names {configured}, which is not a program.",
            f"correct GIGZ_{engine.upper()}_BIN, or leave it empty.",
        )
    return str(Path(found).resolve()) if found else None
