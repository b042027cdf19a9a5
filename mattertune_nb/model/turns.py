"""The lock by which threads that use one model take turns."""

from __future__ import annotations

import threading
from typing import Any


class Turns:
    """The lock of one model, and the thread that fits it; a copy of the model has its own."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.fitted_by: int | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Turns, ()
