"""Odd inputs in large numbers: each is read, or refused by this package, soon and in few words."""

from __future__ import annotations

import contextlib
import resource
import signal
import warnings
from typing import TYPE_CHECKING, Any

from hypothesis import Phase, given, settings, strategies as st

import mattertune_nb as mt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS = 20.0
"""CPU time after which an input is taken to hang whoever reads it."""
WAIT = 300.0
"""The same for time that passes in waiting; a machine that others use is slow at times."""
MEMORY = 4e9
"""Bytes that reading a few hundred may take, beyond those that are taken before."""
LONGEST = 600
"""Characters of a message; a path and two lists of names are in it at times."""


def fuzz(
    check: Callable[..., object], *strategies: Any, examples: int, memory: float = MEMORY
) -> None:
    """Call a check with so many examples."""

    def checked(values: tuple[Any, ...]) -> None:
        with within_limits(memory), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check(*values)

    search = settings(
        settings.get_profile("steady"),
        max_examples=examples,
        derandomize=examples < 1000,
        # explaining a failure traces each line, which takes longer than the limits allow
        phases=set(Phase) - {Phase.explain},
    )
    search(given(st.tuples(*strategies))(checked))()


def refused_in_words(read: Callable[[], object]) -> bool:
    """Return whether something is refused by this package; any other error is raised."""
    try:
        read()
    except mt.MatterTuneError as exc:
        message = str(exc)
        assert message, "an error without a word"
        assert "\n" not in message, message
        assert len(message) < LONGEST, message
        assert message.isprintable(), repr(message)
        return True
    return False


@contextlib.contextmanager
def within_limits(memory: float) -> Iterator[None]:
    """End what takes too long, or too much memory, with an error."""
    with open("/proc/self/statm") as file:  # noqa: PTH123
        taken = int(file.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (int(taken + memory), before[1]))
    timers = (
        (signal.ITIMER_PROF, signal.SIGPROF, SECONDS),
        (signal.ITIMER_REAL, signal.SIGALRM, WAIT),
    )
    handlers = [signal.signal(number, _too_long) for _, number, _ in timers]
    for timer, _, limit in timers:
        signal.setitimer(timer, limit)
    try:
        yield
    finally:
        for (timer, number, _), handler in zip(timers, handlers, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)
        resource.setrlimit(resource.RLIMIT_AS, before)


class Hangs(BaseException):
    """What reads an input does not come to an end; no reader's `except Exception` may hide it."""


def _too_long(number: int, frame: Any) -> None:
    raise Hangs


def cut_off(content: bytes) -> st.SearchStrategy[bytes]:
    """Return the beginning of a file."""
    return st.integers(0, len(content)).map(lambda end: content[:end])


@st.composite
def mutated(draw: Any, content: bytes, words: list[bytes]) -> bytes:
    """Return bytes of a file with some changed, cut, doubled or put in."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data)))
        end = min(place + draw(st.integers(0, 30)), len(data))
        match draw(st.integers(0, 5)):
            case 0:
                data[place:end] = draw(st.binary(max_size=8))
            case 1:
                data[place:end] = draw(st.sampled_from(words))
            case 2:
                del data[place:end]
            case 3:
                del data[place:]
            case 4:
                data[place:place] = data[place:end] * draw(st.integers(1, 50))
            case 5 if place < len(data):
                data[place] ^= 1 << draw(st.integers(0, 7))
    return bytes(data)
