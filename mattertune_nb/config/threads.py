"""How the threads of a process that trains share the processor with what else runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import MutableMapping


def wait_without_spinning(environment: MutableMapping[str, str]) -> None:
    """Let torch's threads yield soon when they wait for each other; acts where torch is not loaded yet.

    GNU's OpenMP waits in a busy loop, which is quick where each thread has a core of its own, and stands
    still where a notebook and a browser want one: beside two busy processes on two cores, two epochs of the
    demo take 38 s so and 69 s by default, alone the same. A user's own choice stays.

    Parameters
    ----------
    environment
        Of the process; changed by this.
    """
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & environment.keys():
        environment["GOMP_SPINCOUNT"] = "3000"
