"""What can go wrong with the local stack.

StackError          with engine, log_tail and remedy; its text has all three
  StackErrors       several engines at once
"""

from collections.abc import Sequence


class StackError(Exception):
    """The local stack, or one engine of it, cannot do what was asked."""

    def __init__(self, engine: str, problem: str, remedy: str, log_tail: str = "") -> None:
        self.engine = engine
        self.problem = problem
        self.remedy = remedy
        self.log_tail = log_tail
        lines = [f"{engine}: {problem}"]
        if log_tail:
            lines += ["its last log lines:", *(f"    {line}" for line in log_tail.splitlines())]
        super().__init__("\n".join([*lines, f"Remedy: {remedy}"]))


class StackErrors(StackError):
    """More than one engine failed; `errors` has each."""

    def __init__(self, errors: Sequence[StackError]) -> None:
        self.errors = tuple(errors)
        super().__init__(
            ", ".join(error.engine for error in errors),
            "more than one engine did not start.",
            "see each.",
        )
        self.args = ("\n\n".join(str(error) for error in errors),)


SYMPTOMS = (
    ("No space left on device", "The disk is full: free some space, then `gigz up` again."),
    ("Address already in use", "The port is taken: stop what holds it, or set {port_variable}=0 for any free one."),
    ("Cannot allocate memory", "There is not enough memory: stop something, or lower GIGZ_KAFKA_HEAP_MB."),
    ("OutOfMemoryError", "There is not enough memory: stop something, or change GIGZ_KAFKA_HEAP_MB."),
    ("could not reserve enough space", "There is not enough memory: stop something, or lower GIGZ_KAFKA_HEAP_MB."),
    ("Permission denied", "The folder must belong to who starts the stack: set GIGZ_HOME to one that does."),
    ("Too many open files", "Raise the limit of open files: `ulimit -n 65536`."),
)


def remedy_for(log_tail: str, port_variable: str, otherwise: str) -> str:
    """The remedy for the first known symptom in an engine's last words."""
    for symptom, remedy in SYMPTOMS:
        if symptom.lower() in log_tail.lower():
            return remedy.format(port_variable=port_variable)
    return otherwise
