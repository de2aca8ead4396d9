"""A user removed everywhere, for good, and a receipt that shows it: see docs/operations/erase.md.

    ledger     who was erased, by hash; whoever writes for users asks here
    stores     PostgreSQL and ClickHouse: what goes, statement by statement
    topics     Kafka: the user's messages found, tombstones, compaction
    search     every store read through its protocol for what is left
    receipt    what was removed, what expires when, what was found
    run        all of it in order

Errors
    ErasureError    it cannot be done now: says why and the remedy. What was done stays done; run it again, it goes on.
"""


class ErasureError(Exception):
    """The erasure cannot begin, or cannot go on."""
