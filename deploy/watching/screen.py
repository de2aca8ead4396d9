"""`gigz top` and the table of `gigz status`: rows as people read them, in 80 columns."""

import os
import select
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from deploy.watching.readings import DOWN, OK, SILENT, STARTS, STUCK, WAITS, Row

COLORS = {OK: "green", STARTS: "cyan", WAITS: "yellow", SILENT: "red", STUCK: "red", DOWN: "red"}
NAMES = {"sink-clickhouse": "→ clickhouse", "sink-postgres": "→ postgres", "sink-meilisearch": "→ meilisearch"}
"""Short: eleven columns are to fit in 80."""
LATE_S = 60.0
"""Lag and age of a commit from here on are yellow; the alerts' two minutes are red."""
DEAD_S = 120.0
LEAVE = {"q", "Q", "\x03", "\x1b"}


STAGE_WIDTH = 13
COLUMNS: tuple[tuple[str, int, Callable[[Row], Text | str]], ...] = (
    ("state", 6, lambda row: Text(row.state, COLORS.get(row.state, "red"))),
    ("in/s", 6, lambda row: number(row.into)),
    ("out/s", 6, lambda row: number(row.out)),
    ("rej/s", 5, lambda row: Text(number(row.rejected), "yellow" if row.rejected else "")),
    ("lag", 6, lambda row: number(row.lag)),
    ("age", 5, lambda row: aged(row.lag_s)),
    ("commit", 6, lambda row: aged(row.commit_s)),
    ("cpu", 4, lambda row: "" if row.cpu is None else f"{row.cpu:.0%}"),
    ("mem", 5, lambda row: size(row.memory)),
)
GIVEN_UP = ("cpu", "mem", "out/s", "commit", "rej/s", "in/s")
"""Columns that a narrow terminal goes without, the first one first: state, lag and age stay."""


def frame(
    rows: Sequence[Row], at: datetime, every_s: float | None = None, width: int = 80, height: int | None = None
) -> RenderableType:
    """One screen: a line for each stage, then one for each problem, which come first where not all fit."""
    shown = list(COLUMNS)
    for name in GIVEN_UP:
        if STAGE_WIDTH + sum(1 + column[1] for column in shown) <= width:
            break
        shown = [column for column in shown if column[0] != name]
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim", expand=False)
    table.add_column("stage", no_wrap=True, min_width=STAGE_WIDTH)
    for name, least, _ in shown:
        table.add_column(name, no_wrap=True, min_width=least, justify="left" if name == "state" else "right")
    for row in rows:
        table.add_row(title(row), *(cell(row) for _, _, cell in shown))
    processes = sum(row.processes for row in rows)
    head = Text.assemble(("gigz top", "bold"), f"  {at:%H:%M:%S}  {processes} processes", no_wrap=True)
    if every_s is not None:
        head.append(f"  every {every_s:g} s  q leaves", "dim")
    problems = [Text(f"! {problem}", "red", overflow="fold") for row in rows for problem in row.problems]
    if not rows:
        problems = [Text("no worker is known here. Remedy: `gigz up --workers`, or GIGZ_HOME of those that run.")]
    lines = sum(-(-len(problem) // width) for problem in problems)
    if height is not None and len(rows) + 4 + lines > height:
        return Group(head, *problems, table)
    return Group(head, Text(""), table, *([Text(""), *problems] if problems else []))


def title(row: Row) -> Text:
    """The stage, and how many processes it has."""
    text = Text(NAMES.get(row.stage, row.stage), no_wrap=True)
    if row.processes > 1:
        text.append(f" ×{row.processes}", "dim")
    return text


def number(value: float | None) -> str:
    """At most six characters: 0, 0.4, 87, 12,345, 1.2M."""
    if value is None:
        return ""
    if value == 0 or value >= 9.95:
        for unit, divisor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
            if value >= (100_000 if unit == "k" else divisor * 0.9995):
                scaled = value / divisor
                return f"{scaled:.0f}{unit}" if scaled >= 99.95 else f"{scaled:.1f}{unit}"
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 0.05 else "<0.1"


def seconds(value: float | None) -> str:
    """At most five characters: 0s, 4.2s, 59s, 4m09, 3h20, 12d."""
    if value is None:
        return ""
    if value < 59.5:
        return f"{value:.1f}s" if 0.05 <= value < 9.95 else f"{value:.0f}s"
    minutes, left = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes}m{left:02}"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}" if hours < 24 else f"{hours // 24}d"


def aged(value: float | None) -> Text:
    """The same, coloured by how late that is."""
    late = value is not None and value > LATE_S
    return Text(seconds(value), "" if not late else "red" if value and value > DEAD_S else "yellow")


def size(value: int) -> str:
    """Resident memory in at most five characters."""
    if not value:
        return ""
    return f"{value / 1e6:.0f}M" if value < 9.995e8 else f"{value / 1e9:.1f}G"


def show(console: Console, look: Callable[[], Sequence[Row]], every_s: float) -> None:
    """Redraw until q or Ctrl-C. Drawn on the terminal's other screen, whole and only when there is news: no flicker."""
    with keys() as pressed, Live(console=console, screen=True, auto_refresh=False) as live:
        try:
            while True:
                began = time.monotonic()
                wide, high = console.size
                live.update(frame(look(), datetime.now().astimezone(), every_s, wide, high), refresh=True)
                if pressed(max(0.1, every_s - (time.monotonic() - began))):
                    return
        except KeyboardInterrupt:
            return


@contextmanager
def keys() -> Iterator[Callable[[float], bool]]:
    """Wait so many seconds for a key that leaves; True: it was pressed. Without a keyboard it only waits."""
    if not sys.stdin.isatty():

        def wait(wait_s: float) -> bool:
            time.sleep(wait_s)
            return False

        yield wait
        return
    import termios
    import tty

    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)

    def pressed(wait_s: float) -> bool:
        until = time.monotonic() + wait_s
        while (left := until - time.monotonic()) > 0:
            if not select.select([keyboard], [], [], left)[0]:
                return False
            typed = os.read(keyboard, 16).decode(errors="replace")
            if not typed or set(typed[:1]) & LEAVE:  # nothing: the terminal is gone
                return True
        return False

    try:
        tty.setcbreak(keyboard)
        yield pressed
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
