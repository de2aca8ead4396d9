"""What a store can answer to a write.

    StoreError
        StoreAway       it does not answer, or asks to come again: the same write is tried until the deadline
        StoreRefuses    it answers, and trying again will not help: settings, rights or tables are wrong
        StoreSpent      this process's client can do no more; a new process can
    BadRows             it names the rows themselves as the fault: they are halved down to the bad one, a rejection

Which of a store's own codes mean which stands in `deploy.failures`.
"""


class StoreError(Exception):
    """A write that did not happen for a reason outside of the data."""

    def __init__(self, store: str, why: str, remedy: str) -> None:
        super().__init__(f"{store}: {why}. Remedy: {remedy}")
        self.store = store
        self.why = why
        self.remedy = remedy


class StoreAway(StoreError):
    """A bad world that may pass. `code`: the store's own, or what stands for it; one of few, to count by."""

    def __init__(self, store: str, why: str, remedy: str, code: str = "no_answer") -> None:
        super().__init__(store, why, remedy)
        self.code = code


class StoreRefuses(StoreError):
    """A bad world that will not pass by itself."""


class StoreSpent(StoreError):
    """A client at its end, fenced or out of step: starting again is right."""


class BadRows(Exception):
    """Rows that the store will never take."""
