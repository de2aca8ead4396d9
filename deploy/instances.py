"""One process for each instance number of a stage, wherever it runs; and taking a number out of its group.

A stage's processes are told apart by a number, which is also their static membership in Kafka: a restarted one gets its
partitions back without a rebalance. Two processes with one number would take the group from each other for ever. So a
process holds its number by two locks:

    a file's lock in the home folder     this machine
    a session lock of PostgreSQL         every machine; it goes with the session when the process or its machine dies

Stages that work without PostgreSQL start with the first alone when it does not answer, and say so. A session that is
lost later is taken again in the background: work goes on meanwhile. Only when another process has the number by then is
it told, and this one is to stop.

Since a process that stops does not leave its group, its partitions wait for it, the session's timeout long. When it is
not to come back, `leave` takes its number out (`gigz worker STAGE --instance N --leave`).
"""

import asyncio
import contextlib
import fcntl
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import TypeAlias

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, UnknownMemberIdError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Int16, Int32, Schema, String
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from deploy.clients import kafka_admin, postgres_engine, unusable
from deploy.failures import answered, in_a_line, pauses
from deploy.flow import CONSUMERS, WORKER_OF, group_of
from deploy.settings import Settings, SettingsError

WITHOUT_POSTGRES = frozenset({"normalise", "sink-clickhouse", "sink-meilisearch"})
"""Stages whose work needs no PostgreSQL."""
WITH_GROUP = tuple(stage for stage in CONSUMERS if stage not in WORKER_OF)
"""Stages that are members of a consumer group."""
WITHOUT_GROUP = ("relay", "scheduler")
AGAIN_S = 2.0
"""How long a start waits for a number that is held: the server needs a moment to see that a killed process is gone."""
BEAT_S = 4.0
"""How often a process says that it lives."""
SILENT_S = 60
"""The server ends the session of one that says nothing for so long: a machine that is cut off keeps no number."""
ANSWER_S = 5.0
"""For one statement; PostgreSQL needs milliseconds."""
AWAY = (SQLAlchemyError, OSError, TimeoutError)
log = structlog.get_logger()

MANNERS = text("select set_config('idle_session_timeout', :silent, false)")
TAKE = text("select pg_try_advisory_lock(hashtextextended(:name, 0))")
BEAT = text("select 1")
HOLDER = text(
    """
    select l.pid, a.application_name, host(a.client_addr) as address
    from pg_locks l left join pg_stat_activity a using (pid)
    where l.locktype = 'advisory' and l.objsubid = 1 and l.granted
      and l.database = (select oid from pg_database where datname = current_database())
      and ((cast(l.classid as bigint) << 32) | cast(l.objid as bigint)) = hashtextextended(:name, 0)
    """
)
END = text("select pg_terminate_backend(:pid)")


class InstanceTaken(SettingsError):
    """Another process has this number. The message says where, as far as that is known."""


class Held:
    """The hold of a process on its number."""

    def __init__(self, settings: Settings, stage: str, instance: int) -> None:
        self.lost = asyncio.Event()
        """Another process has the number: stop."""
        self.why = ""
        """What the other one is."""
        self._settings = settings
        self._stage = stage
        self._instance = instance
        self._name = {"name": f"gigz instance {stage}-{instance}"}
        self._who = f"gigz {stage}-{instance} {socket.gethostname()[:24]} {os.getpid()} {secrets.token_hex(3)}"
        self._engine: AsyncEngine | None = None
        self._session: AsyncConnection | None = None

    @property
    def guarded(self) -> bool:
        """On every machine, not on this one alone."""
        return self._session is not None

    async def enter(self) -> None:
        """Take the number. InstanceTaken; SettingsError when PostgreSQL is needed and does not answer."""
        until = time.monotonic() + AGAIN_S
        while True:
            try:
                other = await self._take()
            except (*AWAY, SettingsError) as error:
                await self._drop()
                if self._stage not in WITHOUT_POSTGRES:
                    if isinstance(error, SettingsError):
                        raise
                    why = str(getattr(error, "orig", None) or error)
                    raise unusable("postgres", self._settings, why) from error
                log.warning(
                    "PostgreSQL does not answer: this instance number is guarded on this machine only, until it does",
                    instance=self._instance,
                    why=in_a_line(error),
                )
                return
            if other is None:
                return
            if time.monotonic() > until:
                await self._drop()
                raise InstanceTaken(_taken(self._stage, self._instance, other))
            await asyncio.sleep(0.2)

    async def keep(self) -> None:
        """Say that it lives; take the number again when the session was lost. Sets `lost` when another has it."""
        told = self._session is None
        while not self.lost.is_set():
            await asyncio.sleep(BEAT_S)
            try:
                if self._session is not None:
                    await answered(_run(self._session), ANSWER_S)
                    continue
                other = await self._take()
            except (*AWAY, SettingsError) as error:
                await self._drop()
                if not told:
                    log.warning("the hold on the instance number was lost; it is taken again", why=in_a_line(error))
                    told = True
                continue
            if other is None:
                if told:
                    log.info("the instance number is held again", instance=self._instance)
                told = False
            else:
                self.why = _taken(self._stage, self._instance, other)
                self.lost.set()

    async def leave(self) -> None:
        """Give the number back."""
        await self._drop()
        if self._engine is not None:
            await self._engine.dispose()

    async def _take(self) -> str | None:
        """None: it is held. Else who holds it."""
        if self._session is None:
            self._session = await answered(self._connect(), self._settings.postgres_connect_timeout_s)
        return await answered(self._try(self._session), ANSWER_S)

    async def _connect(self) -> AsyncConnection:
        if self._engine is None:
            self._engine = postgres_engine(self._settings, pool_size=1, name=self._who[:63])
        session = await self._engine.connect()
        session = await session.execution_options(isolation_level="AUTOCOMMIT")
        await session.execute(MANNERS, {"silent": f"{SILENT_S}s"})
        return session

    async def _try(self, session: AsyncConnection) -> str | None:
        if await session.scalar(TAKE, self._name):
            return None
        holder = (await session.execute(HOLDER, self._name)).first()
        if holder is None:
            return "a process that has just gone"
        if holder.application_name == self._who[:63]:
            # Our own session of before, whose end the server has not seen.
            await session.execute(END, {"pid": holder.pid})
            await asyncio.sleep(0.2)
            return None if await session.scalar(TAKE, self._name) else "a session of its own that does not end"
        return f"{holder.application_name or 'a session of another user'} at {holder.address or 'the server itself'}"

    async def _drop(self) -> None:
        """End the session: its lock goes with it."""
        session, self._session = self._session, None
        if session is not None:
            with contextlib.suppress(*AWAY):
                await answered(_close(session), 1.0)
        if self._engine is not None:
            self._engine.sync_engine.dispose(close=False)  # a connection that hangs would keep the pool's only place


async def _run(session: AsyncConnection) -> None:
    await session.execute(BEAT)


async def _close(session: AsyncConnection) -> None:
    await session.invalidate()  # closes the connection itself; back in the pool it would keep the lock
    await session.close()


@asynccontextmanager
async def hold(settings: Settings, stage: str, instance: int) -> AsyncIterator[Held]:
    """Hold an instance number as long as the body runs. InstanceTaken, before anything is read, when another has it."""
    with _alone_here(settings, stage, instance):
        held = Held(settings, stage, instance)
        keeper = None
        try:
            await held.enter()
            keeper = asyncio.create_task(held.keep())
            yield held
        finally:
            if keeper is not None:
                keeper.cancel()
                await asyncio.wait({keeper}, timeout=1.0)
            await held.leave()


@contextlib.contextmanager
def _alone_here(settings: Settings, stage: str, instance: int) -> Iterator[None]:
    """The lock of this machine; the kernel takes it back when the process ends, however it ends."""
    folder = settings.home / "instances"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{stage}-{instance}").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            raise InstanceTaken(_taken(stage, instance, f"process {file.read() or '?'} of this machine")) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
        file.truncate(0)


def _taken(stage: str, instance: int, by: str) -> str:
    return (
        f"{stage} --instance {instance} runs already: {by}. Remedy: take another number, or stop that one; two of one "
        "number would take the partitions from each other."
    )


# -- leaving -------------------------------------------------------------------------------------------------------


class LeaveGroupResponse(Response):  # type: ignore[misc]
    """LeaveGroup, version 3: an error for the group and one for each member."""

    API_KEY = 13
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        (
            "members",
            Array(
                ("member_id", String("utf-8")),
                ("group_instance_id", String("utf-8")),
                ("error_code", Int16),
            ),
        ),
    )


class LeaveGroupStruct(RequestStruct):  # type: ignore[misc]
    """LeaveGroup, version 3 (KIP-345): static members by their instance id. aiokafka 0.14 ends at version 1."""

    API_KEY = 13
    API_VERSION = 3
    RESPONSE_TYPE = LeaveGroupResponse
    SCHEMA = Schema(
        ("group_id", String("utf-8")),
        ("members", Array(("member_id", String("utf-8")), ("group_instance_id", String("utf-8")))),
    )


_Struct: TypeAlias = LeaveGroupStruct


class RemoveMember(Request[_Struct]):  # type: ignore[misc]
    """Take a static member out of a group, as Kafka's own removeMembersFromConsumerGroup does."""

    API_KEY = 13

    def __init__(self, group: str, instance_id: str) -> None:
        self._group = group
        self._instance_id = instance_id

    def build(self, request_struct_class: type[_Struct]) -> _Struct:
        """The request as it travels; a member id is not known, and not needed."""
        return request_struct_class(self._group, [("", self._instance_id)])


def member_of(stage: str, instance: int) -> str:
    """A process's name in its group: what Kafka calls group.instance.id."""
    return f"{group_of(stage)}-{instance}"


async def leave(settings: Settings, stage: str, instance: int) -> str:
    """Take an instance that has stopped out of its group, so that the others get its partitions at once.

    What was done, in a sentence. InstanceTaken while its process lives; SettingsError when Kafka does not answer, or
    PostgreSQL, which alone knows that.
    """
    if stage not in (*WITH_GROUP, *WITHOUT_GROUP):
        raise SettingsError(f"there is no stage {stage!r}. Remedy: one of {', '.join((*WITH_GROUP, *WITHOUT_GROUP))}.")
    if stage not in WITH_GROUP:
        return f"{stage} is in no group: what it held is free as soon as it stops. Nothing to do."
    async with hold(settings, stage, instance) as held, kafka_admin(settings) as admin:
        if not held.guarded:
            raise unusable(
                "postgres", settings, f"does not answer, and only it knows whether {stage} --instance {instance} lives"
            )
        try:
            return await _remove(admin, group_of(stage), member_of(stage, instance))
        except KafkaError as error:
            raise unusable("kafka", settings, f"{type(error).__name__}: {error}") from error


async def _remove(admin: AIOKafkaAdminClient, group: str, member: str) -> str:
    for pause in pauses():
        coordinator = await admin.find_coordinator(group)
        answer = await admin._send_request(RemoveMember(group, member), coordinator)  # there is no public way
        found = [for_code(code) for code in (answer.error_code, *(code for *_, code in answer.members)) if code]
        if not found:
            return f"{member} is out of {group}: the other members share its partitions out now."
        if found[0] is UnknownMemberIdError:
            return f"{member} is not in {group}. Nothing to do."
        if not found[0].retriable or pause > 1:
            raise found[0](f"{group} did not let {member} go")
        await asyncio.sleep(pause)
    raise AssertionError("pauses have no end")
