"""A Faust app for a stage: every setting that matters is written out, none is left to a default that may change."""

import logging
from collections.abc import Callable
from pathlib import Path

import faust

from deploy.clients import bootstrap
from deploy.flow import group_of
from deploy.inputs import InputGone
from deploy.instances import member_of
from deploy.logs import QUIET
from deploy.settings import Settings
from streams.polling import PollingTransport

COMMIT_INTERVAL_S = 0.5
"""A crash repeats what was acknowledged since the last commit: half a second of work."""
MAX_FETCH_BYTES = 6 * 1_048_576
"""Of one partition at once: above the largest message (4 MiB)."""
REBALANCE_S = 60.0
"""For a living member to come back into the group; the dead are out after the session's time anyway."""
BUFFERED = 2_000
"""Messages of a topic waiting for its stage: a few batches. Faust's 4,096 would be 16 GB of the largest ones."""


def make_app(
    settings: Settings,
    stage: str,
    instance: int,
    *,
    reset_offsets: bool = False,
    gone: Callable[[InputGone], None] | None = None,
) -> faust.App:
    """The app of one worker process; nothing is connected yet. SettingsError when Kafka's address is malformed.

    `instance` names the process within its stage: a restarted one gets its partitions back without a rebalance.
    `reset_offsets`: where what was to be read is gone, go on at the oldest message, see `deploy.inputs`; else `gone` is
    told, in the consumer's thread.
    """
    app = faust.App(
        id=group_of(stage),
        version=1,
        broker=[f"kafka://{server}" for server in bootstrap(settings).split(",")],
        datadir=data_folder(settings.home, stage, instance),
        autodiscover=False,
        web_enabled=False,  # its server would be open to the world
        # -- messages: raw bytes; a decode error inside Faust acknowledges before it raises
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
        processing_guarantee="at_least_once",
        stream_wait_empty=False,  # else a rebalance waits for buffered messages that nobody will acknowledge
        stream_buffer_maxsize=BUFFERED,
        stream_publish_on_commit=False,
        # -- topics: `gigz topics apply` makes them
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=settings.partitions,
        topic_replication_factor=settings.replication_factor,
        # -- consumer
        consumer_auto_offset_reset="none",  # see deploy.inputs: a new group begins at the oldest nevertheless
        consumer_group_instance_id=member_of(stage, instance),
        consumer_max_fetch_size=MAX_FETCH_BYTES,
        broker_client_id=member_of(stage, instance),
        broker_max_poll_records=2 * settings.batch_size,
        broker_commit_interval=COMMIT_INTERVAL_S,
        broker_session_timeout=settings.session_timeout_s,
        broker_request_timeout=settings.session_timeout_s + 10,  # Faust wants it above the session's
        broker_heartbeat_interval=3.0,
        broker_max_poll_interval=settings.poll_interval_s,
        broker_rebalance_timeout=max(REBALANCE_S, settings.session_timeout_s),
        # -- its own producer, which the stages do not use: agents' sends are a message at a time
        producer_acks=-1,
        producer_compression_type="lz4",
        producer_linger=settings.producer_linger_ms / 1000,
        producer_request_timeout=settings.session_timeout_s,
    )
    transport = PollingTransport(app.conf.broker_consumer, app)
    transport.stage, transport.instance, transport.partitions = stage, instance, settings.partitions
    transport.reset_offsets = reset_offsets
    transport.told = gone
    app.transport = transport
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    return app


def data_folder(home: Path, stage: str, instance: int) -> Path:
    """What one process keeps of its own: Faust's files, none that matter."""
    folder = home / "faust" / f"{stage}-{instance}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
