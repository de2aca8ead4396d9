"""A Kafka that lets nobody in without TLS and a password, and everybody do what `deploy.rights` says and no more."""

import datetime
import ipaddress
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Int8, Int16, Int32, Schema, String
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploy.local.jars import kafka_jars
from deploy.local.kafka import JVM, _java, new_cluster_id
from deploy.rights import Rights
from tests.support import ROOT

OPERATOR = "operator"
START_S = 90.0
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
controller.listener.names=CONTROLLER
listeners=SASL_SSL://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=SASL_SSL://127.0.0.1:{port}
inter.broker.listener.name=SASL_SSL
listener.security.protocol.map=SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required username="broker" password="broker-password";
ssl.keystore.type=PEM
ssl.keystore.location={folder}/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ca.pem
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
# ANONYMOUS is the controller's own listener, which a cluster would guard, too.
super.users=User:broker;User:operator;User:ANONYMOUS
allow.everyone.if.no.acl.found=false
log.dirs={folder}/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=33554432
num.network.threads=2
num.io.threads=4
"""


@dataclass(frozen=True)
class Guarded:
    """A broker that runs, and how to sign in."""

    address: str
    ca: Path

    def as_user(self, user: str, password: str | None = None) -> dict[str, Any]:
        """What aiokafka's clients take."""
        return {
            "bootstrap_servers": self.address,
            "security_protocol": "SASL_SSL",
            "ssl_context": ssl.create_default_context(cafile=str(self.ca)),
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": user,
            "sasl_plain_password": password or f"{user}-password",
        }


@contextmanager
def guarded_kafka(folder: Path, users: Mapping[str, Rights]) -> Iterator[Guarded]:
    """Format, start, stop. Users are there from the format on; their rights are for `grant`."""
    fetch = "from deploy.local.jars import kafka_jars; kafka_jars(print)"
    subprocess.run([sys.executable, "-c", fetch], check=True, capture_output=True, cwd=ROOT)  # its sockets are its own
    jars = kafka_jars(lambda _: None)
    port, controller_port = free_port(), free_port()
    certify(folder)
    (folder / "data").mkdir()
    properties = folder / "server.properties"
    properties.write_text(
        PROPERTIES.format(port=port, controller_port=controller_port, folder=folder), encoding="utf-8"
    )
    java = [str(_java()), *JVM, f"-Djava.io.tmpdir={folder}"]
    scram = [f"SCRAM-SHA-512=[name={user},password={user}-password]" for user in ("broker", OPERATOR, *(sorted(users)))]
    argv = [*java, "-Xmx128m", "-cp", f"{jars}/*", "kafka.tools.StorageTool", "format"]
    argv += ["--cluster-id", new_cluster_id(), "--config", str(properties)]
    argv += [part for one in scram for part in ("--add-scram", one)]
    subprocess.run(argv, check=True, capture_output=True, timeout=START_S)
    with (folder / "log").open("wb") as log:
        argv = [*java, "-Xmx384m", "-cp", f"{jars}/*", "kafka.Kafka", str(properties)]
        broker = subprocess.Popen(argv, stdout=log, stderr=subprocess.STDOUT)
    try:
        until_listening(broker, port, folder / "log")
        yield Guarded(f"127.0.0.1:{port}", folder / "ca.pem")
    finally:
        broker.kill()
        broker.wait(20)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def until_listening(broker: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert broker.poll() is None and time.monotonic() < deadline, log.read_text(errors="replace")[-3000:]
            time.sleep(0.2)


def certify(folder: Path) -> None:
    """broker.pem (key and chain) and ca.pem, good for a day."""
    now = datetime.datetime.now(datetime.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test of Gigz")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = []
    for name, key, extension, critical in (
        (issuer, keys[0], x509.BasicConstraints(ca=True, path_length=None), True),
        (subject, keys[1], here, False),
    ):
        builder = x509.CertificateBuilder(issuer, name, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(hours=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=1)).add_extension(extension, critical)
        made.append(builder.sign(keys[0], hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    private = keys[1].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "ca.pem").write_bytes(made[0])
    (folder / "broker.pem").write_bytes(private + made[1] + made[0])


# -- rights, by Kafka's own protocol ---------------------------------------------------------------------------------

TOPIC, GROUP = 2, 3
LITERAL, ALLOW = 3, 3
READ, WRITE, DESCRIBE = 3, 4, 8
Acl = tuple[int, str, int, str, str, int, int]


class CreateAclsResponse(Response):
    """CreateAcls, version 1: an error for each."""

    API_KEY = 30
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32), ("results", Array(("error_code", Int16), ("error_message", String("utf-8"))))
    )


class CreateAclsStruct(RequestStruct):
    """CreateAcls, version 1."""

    API_KEY = 30
    API_VERSION = 1
    RESPONSE_TYPE = CreateAclsResponse
    SCHEMA = Schema(
        (
            "creations",
            Array(
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
                ("resource_pattern_type", Int8),
                ("principal", String("utf-8")),
                ("host", String("utf-8")),
                ("operation", Int8),
                ("permission_type", Int8),
            ),
        )
    )


class CreateAcls(Request[CreateAclsStruct]):
    """Rights for principals; those that are there already are no error."""

    API_KEY = 30

    def __init__(self, acls: list[Acl]) -> None:
        self._acls = acls

    def build(self, request_struct_class: type[CreateAclsStruct]) -> CreateAclsStruct:
        return request_struct_class(self._acls)


def acls(users: Mapping[str, Rights]) -> list[Acl]:
    """As Kafka takes them."""
    made = []
    for user, rights in users.items():
        principal = f"User:{user}"
        for operation, names in ((READ, rights.read), (WRITE, rights.write), (DESCRIBE, rights.describe)):
            made += [(TOPIC, name, LITERAL, principal, "*", operation, ALLOW) for name in sorted(names)]
        made += [(GROUP, name, LITERAL, principal, "*", READ, ALLOW) for name in sorted(rights.groups)]
    return made


async def grant(admin: AIOKafkaAdminClient, users: Mapping[str, Rights]) -> None:
    """Give each user its rights."""
    answer = await admin._send_request(CreateAcls(acls(users)))
    assert {for_code(code).__name__ for code, _ in answer.results} == {"NoError"}
