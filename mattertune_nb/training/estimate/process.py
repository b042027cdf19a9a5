"""Answers questions about a config in a separate process, so that the caller need not import torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

from mattertune_nb.config.errors import (
    ConfigError,
    DataError,
    MatterTuneError,
    MissingExtraError,
    RunError,
    TrainingError,
)
from mattertune_nb.config.threads import wait_without_spinning
from mattertune_nb.training.config import MatterTunerConfig
from mattertune_nb.training.in_cell import InCell

if TYPE_CHECKING:
    from collections.abc import Callable

_POLL = 0.5  # s

_ERRORS: dict[str, type[MatterTuneError]] = {
    kind.__name__: kind
    for kind in (ConfigError, DataError, MissingExtraError, RunError, TrainingError)
}
"""Errors that another process may raise, by the name in its answer."""


class AskedProcess:
    """A process that answers one question; if started early, it has imported torch before it is asked.

    Parameters
    ----------
    what
        Kind of result, in one word, for messages.
    module
        The program, which calls :func:`answer`.
    *arguments
        Its command-line arguments.
    """

    def __init__(self, what: str, module: str, *arguments: str) -> None:
        self._what = what
        environment = dict(os.environ)
        # as in the run itself, so that its true cost is measured
        wait_without_spinning(environment)
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            # interrupts of notebook cells must not reach it
            start_new_session=True,
        )

    def answer_to(self, config: MatterTunerConfig) -> dict[str, Any]:
        """Return the process's answer for a config, showing below a notebook's cell that it is working.

        Raises
        ------
        MatterTuneError
            The config, the data or this machine do not allow it, or it was cancelled.
        """
        with InCell(self._what) as cell:
            try:
                said = self._said(json.dumps(config.to_dict()), cell)
                answer: dict[str, Any] = json.loads(said.strip().rpartition("\n")[2])
            except (OSError, ValueError) as exc:
                msg = f"The {self._what} was ended before it was done, perhaps because memory ran out."
                raise TrainingError(msg) from exc
            if "error" in answer:
                raise _ERRORS.get(answer["kind"], MatterTuneError)(answer["error"])
            cell.end(f"done in {cell.seconds}")
        return answer

    def _said(self, question: str, cell: InCell) -> str:
        asked: str | None = question
        while True:
            try:
                return self._process.communicate(asked, timeout=_POLL)[0]
            except subprocess.TimeoutExpired:
                asked = None  # has been sent
                cell.tell(f"{cell.seconds} so far")

    def cancel(self) -> None:
        """End the process immediately."""
        self._process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()
        self._process.communicate()


def answer(what: str, make: Callable[[MatterTunerConfig], Any]) -> None:
    """Act as the process: read a config as JSON from standard input, and answer with a line of JSON.

    Parameters
    ----------
    what
        Kind of result, in one word, for messages.
    make
        Computes the result from the config: an instance of a dataclass.
    """
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # nothing else may write to the stream of the answer
    warnings.simplefilter("ignore")
    try:
        said = asdict(make(MatterTunerConfig.from_dict(json.loads(sys.stdin.read()))))
    except MatterTuneError as exc:
        said = {"error": str(exc), "kind": type(exc).__name__}
    except Exception as exc:  # from a user's own module class, or out of memory
        text = f"The {what} failed ({type(exc).__name__}: {' '.join(str(exc).split())})."
        said = {"error": text, "kind": "TrainingError"}
    output.write(json.dumps(said) + "\n")
    output.close()
