"""Advisory locks of PostgreSQL that a session holds: a class of ours, and a number for what is held.

Numbers below 100,000 are shards of the outbox. A lock goes with its session: when the process dies, it is free.
"""

from sqlalchemy import text

GIGZ = 0x6769677A
"""The class: "gigz"."""
RELAYS_PRESENT = 100_000
SCHEDULER = 200_000
"""Held by the active one."""
REBUILD = 200_001
"""The first of them, one for each store."""

TAKE = text("select pg_try_advisory_lock(:lock_class, :number)")
GIVE = text("select pg_advisory_unlock(:lock_class, :number)")
HOLDERS = text(
    """
    select count(*) from pg_locks where locktype = 'advisory' and classid = :lock_class and objid = :number
      and objsubid = 2 and granted and database = (select oid from pg_database where datname = current_database())
    """
)
"""How many sessions hold it, in this database."""
