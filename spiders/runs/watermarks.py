"""How far each source was read: `state.watermarks`. Moves only after delivery."""

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from schemas.tables import WatermarkRow


async def read(engine: AsyncEngine, scope: str) -> str:
    """Where the last good run of this scope ended; empty when there was none."""
    async with engine.connect() as connection:
        query = select(WatermarkRow.position).where(WatermarkRow.scope == scope)
        return await connection.scalar(query) or ""


async def move(engine: AsyncEngine, scope: str, spider: str, position: str, run_id: UUID) -> None:
    """On to a position; never back."""
    row = {"scope": scope, "spider": spider, "position": position, "run_id": run_id}
    put = insert(WatermarkRow).values(**row)
    moved = put.on_conflict_do_update(
        index_elements=["scope"],
        set_={"position": put.excluded.position, "run_id": put.excluded.run_id, "updated_at": func.now()},
        where=WatermarkRow.position < put.excluded.position,
    )
    async with engine.begin() as connection:
        await connection.execute(moved)
