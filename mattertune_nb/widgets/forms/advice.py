"""What only torch knows about a config, asked of a separate process because its import takes seconds.

The answers come from the training code: the available hardware, why a run could not start, and the learning
rate from torch's schedulers.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

from mattertune_nb.config.errors import MatterTuneError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mattertune_nb.training.config import MatterTunerConfig

_IDLE = 120.0
"""Seconds without a question after which the process ends to free its memory."""

_HEAD_START = 0.7
"""Seconds for which the form can be displayed before the process takes up a core."""

_NEEDS_GPU = ("16-mixed", "16-true", "transformer-engine")


class Advisor:
    """Answers questions about configs one at a time; of the waiting ones only the latest is asked.

    Parameters
    ----------
    answered
        Called in a thread with each answer, see :func:`answer`.
    """

    def __init__(self, answered: Callable[[dict[str, Any]], None]) -> None:
        self._answered = answered
        self._question: str | None = None
        self._ready = threading.Condition()
        self._busy = False
        self._thread: threading.Thread | None = None
        self._closed = False
        self._process: subprocess.Popen[str] | None = None

    def ask(self, config: MatterTunerConfig) -> None:
        """Ask about a config; returns at once."""
        with self._ready:
            # there may be many structures, and no answer depends on them
            self._question = json.dumps(
                {"model": config.model.to_dict(), "trainer": config.trainer.to_dict()}
            )
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, daemon=True)
                self._thread.start()
            self._ready.notify_all()

    def wait(self, timeout: float = 60.0) -> bool:
        """Wait until all questions are answered; return whether they are."""
        with self._ready:
            return self._ready.wait_for(lambda: self._question is None and not self._busy, timeout)

    def close(self) -> None:
        """End the process."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()
            if self._process is not None:
                self._process.terminate()

    def _next(self) -> str | None:
        with self._ready:
            self._busy = False
            self._ready.notify_all()
            self._ready.wait_for(lambda: self._question is not None or self._closed, _IDLE)
            question, self._question = self._question, None
            if question is None or self._closed:
                self._thread = None
                return None
            self._busy = True
            return question

    def _serve(self) -> None:
        with self._ready:
            self._ready.wait_for(lambda: self._closed, _HEAD_START)
        try:
            self._answer_questions()
        finally:
            with self._ready:
                if self._thread is threading.current_thread():  # no other thread has taken over
                    self._thread, self._busy, self._question = None, False, None
                    self._ready.notify_all()

    def _answer_questions(self) -> None:
        process = self._process = subprocess.Popen(
            [sys.executable, "-c", "from mattertune_nb.widgets.forms.advice import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with contextlib.suppress(OSError), process.stdin, process.stdout:
                while (question := self._next()) is not None:
                    process.stdin.write(question + "\n")
                    process.stdin.flush()
                    line = process.stdout.readline()
                    if not line:
                        break
                    self._answered(json.loads(line))
        finally:
            process.wait()


def serve() -> None:
    """Answer configs, a line of JSON each, until the other end is closed."""
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # nothing else may write between the answers
    for line in sys.stdin:
        output.write(json.dumps(answer(json.loads(line))) + "\n")
        output.flush()


def answer(settings: dict[str, Any]) -> dict[str, Any]:
    """Return what is known about the model and the trainer of a config on this machine.

    Returns
    -------
    dict
        ``hardware`` (``gpus``, ``mps``, ``cores``), ``refusal`` (a sentence or ``None``), ``by_time``
        (whether only time ends the run), and ``rates`` (see
        :func:`~mattertune_nb.widgets.forms.schedule_preview.learning_rates`) or ``problem``.
    """
    import torch

    from mattertune_nb.training.config import MatterTunerConfig
    from mattertune_nb.training.preflight import check_machine, check_weights
    from mattertune_nb.widgets.forms.schedule_preview import learning_rates

    data = {"type": "auto_split", "dataset": {"type": "xyz", "src": "none.xyz"}}
    config = MatterTunerConfig.from_dict(settings | {"data": data})
    known: dict[str, Any] = {
        "hardware": {
            "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
            "mps": torch.backends.mps.is_available(),
            "cores": os.cpu_count() or 1,
        },
        "refusal": None,
        "by_time": config.trainer.ends_by_time,
    }
    try:
        check_machine(config, in_notebook=False)
        check_weights(config)
    except MatterTuneError as exc:
        known["refusal"] = str(exc)
    try:
        return known | {"rates": learning_rates(config)}
    except MatterTuneError as exc:
        return known | {"problem": str(exc)}


def marked(options: list[tuple[str, Any]], hardware: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return the options of a drop-down, with a reason beside each that cannot run here."""
    has_gpu = bool(hardware["gpus"])
    reasons = {"tpu": "not available on this machine"}
    if not has_gpu:
        reasons |= dict.fromkeys(("cuda", *_NEEDS_GPU), "no CUDA GPU on this machine")
    if not hardware["mps"]:
        reasons["mps"] = "no Apple GPU on this machine"
    if not has_gpu and not hardware["mps"]:
        reasons["gpu"] = "not available on this machine"
    return [(f"{v} – {reasons[v]}" if v in reasons else text, v) for text, v in options]


def summary(hardware: dict[str, Any]) -> str:
    """Return a line describing the machine."""
    gpus = ", ".join(hardware["gpus"]) or ("an Apple GPU" if hardware["mps"] else "no GPU")
    return f"This machine: {hardware['cores']} cores, {gpus}."
