"""Two things measured in turn, so that a machine whose speed drifts does not decide; fresh processes."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

console = Console(width=110)  # the widest table, also where output goes to a file


class Times(NamedTuple):
    """Seconds by the clock, and of the processor; other work on the machine adds to the first alone."""

    wall: float
    cpu: float

    def __sub__(self, earlier: Times) -> Times:
        return Times(self.wall - earlier.wall, self.cpu - earlier.cpu)


def now() -> Times:
    """Return both clocks."""
    return Times(time.perf_counter(), time.process_time())


def seconds(action: Callable[[], object]) -> float:
    """Return the processor time of a call, which other work on the machine adds nothing to."""
    start = time.process_time()
    action()
    return time.process_time() - start


def compare(
    title: str, ours: Callable[[], object], theirs: Callable[[], object], rounds: int = 5
) -> float:
    """Print and return the median ratio of the times of two actions, called in turn after a warm-up."""
    ours()
    theirs()
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
    ratio = statistics.median(a / b for a, b in pairs)
    mine, other = (1000 * statistics.median(column) for column in zip(*pairs, strict=True))
    console.print(f"{title}: {mine:.0f} ms over {other:.0f} ms, ratio {ratio:.2f}")
    return ratio


@dataclass(frozen=True)
class Process:
    """A process that has ended: its times in s, its largest resident memory in MB, what it said."""

    wall: float
    cpu: float
    peak: float
    said: dict[str, Any]


def run_alone(*command: str) -> Process:
    """Run a command in a fresh process; `said` is the JSON object on its last line, if there is one.

    Call it from a small process: one that is begun counts its parent's memory as its own.
    """
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = process.stdout.read().strip().splitlines()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(process.returncode)
    said = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
    unit = 1 if sys.platform == "darwin" else 1024  # bytes
    return Process(wall, usage.ru_utime + usage.ru_stime, 1e-6 * unit * usage.ru_maxrss, said)


def print_table(title: str, *rows: tuple[str, ...]) -> None:
    """Print a table, its head first, and how busy the machine is."""
    table = Table(title=title, caption=f"load of the machine: {os.getloadavg()[0]:.1f}")
    head, *body = rows
    for i, name in enumerate(head):
        table.add_column(name, justify="right" if i else "left")
    for row in body:
        table.add_row(*row)
    console.print(table)
