"""How the threads of a training process share the processor with other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import MutableMapping


def wait_without_spinning(environment: MutableMapping[str, str]) -> None:
    """Make torch's threads yield soon while they wait for each other; effective only before torch is loaded.

    GNU's OpenMP waits in a busy loop. This is fast if each thread has its own core, but stalls if a notebook
    and a browser need one: beside two busy processes on two cores, two epochs of the demo take 38 s with this
    setting and 69 s by default; alone there is no difference. A user's own choice is kept.

    Parameters
    ----------
    environment
        Environment of the process; changed in place.
    """
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & environment.keys():
        environment["GOMP_SPINCOUNT"] = "3000"
