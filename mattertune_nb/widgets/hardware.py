"""What this machine has, asked in a process of its own: importing torch takes seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_PROBE = (
    "import json, torch; print(json.dumps({'gpus': [torch.cuda.get_device_name(i) for i in "
    "range(torch.cuda.device_count())], 'mps': torch.backends.mps.is_available()}))"
)
_NEEDS_GPU = ("16-mixed", "16-true", "transformer-engine")


def probe_hardware(done: Callable[[dict[str, Any]], None]) -> threading.Thread:
    """Call `done` with ``{"gpus": [names], "mps": bool, "cores": int}`` once it is known."""

    def ask() -> None:
        process = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True)
        if process.returncode == 0:
            done(json.loads(process.stdout.splitlines()[-1]) | {"cores": os.cpu_count() or 1})

    thread = threading.Thread(target=ask, daemon=True, name="mattertune_nb hardware")
    thread.start()
    return thread


def marked(options: tuple[Any, ...], hardware: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return drop-down options with a reason beside each that cannot run here."""
    has_gpu = bool(hardware["gpus"])
    reasons = {"tpu": "none on this machine"}
    if not has_gpu:
        reasons |= dict.fromkeys(("cuda", *_NEEDS_GPU), "no CUDA GPU on this machine")
    if not hardware["mps"]:
        reasons["mps"] = "no Apple GPU on this machine"
    if not has_gpu and not hardware["mps"]:
        reasons["gpu"] = "none on this machine"
    return [(f"{o} – {reasons[o]}" if o in reasons else str(o), o) for o in options]


def summary(hardware: dict[str, Any]) -> str:
    """Return a line about the machine."""
    gpus = ", ".join(hardware["gpus"]) or ("an Apple GPU" if hardware["mps"] else "no GPU")
    return f"This machine: {hardware['cores']} cores, {gpus}."
