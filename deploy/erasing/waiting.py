"""The erasures that users asked for, done one after the other by whoever calls: the active scheduler.

A store that is away, or something that is left, is written into the request, which is tried again later.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.erasing import ErasureError, requests, run
from deploy.failures import in_a_line
from deploy.settings import Settings, SettingsError

MARGIN = timedelta(minutes=5)
"""Beyond the life of a token: clocks differ."""
log = structlog.get_logger()


async def erase_waiting(settings: Settings, engine: AsyncEngine, clock: Callable[[], datetime]) -> int:
    """Do what is due; how many are done."""
    life = timedelta(minutes=settings.access_token_minutes) + MARGIN
    await requests.forget_subjects(engine, clock() - life)
    done = 0
    while (due := await requests.next_waiting(engine, clock())) is not None:
        done += await _one(settings, engine, clock, *due)
    return done


async def _one(
    settings: Settings, engine: AsyncEngine, clock: Callable[[], datetime], user: str, receipt_id: UUID
) -> bool:
    # Imported here: whoever erases nobody needs no ClickHouse and no Meilisearch.
    from aiokafka.errors import KafkaError
    from clickhouse_connect.driver.exceptions import Error as ClickHouseError
    from meilisearch.errors import MeilisearchError
    from sqlalchemy.exc import SQLAlchemyError

    told = {"receipt": str(receipt_id)}
    try:
        receipt = await run.erase(settings, user, clock=clock, wait_s=settings.erasure_wait_s)
    except (
        ErasureError,
        SettingsError,
        KafkaError,
        SQLAlchemyError,
        ClickHouseError,
        MeilisearchError,
        OSError,
    ) as error:
        why = in_a_line(error)
    else:
        if receipt.clean:
            log.info("a user who asked for it is erased", **told)
            return True
        why = "left: " + "; ".join(f"{one.where}: {one.count} {one.what}" for one in receipt.searched.left)
    await requests.failed(engine, user, receipt_id, why)
    log.error("an erasure is not done; it will be tried again", why=why.replace(user, "…"), **told)
    return False
