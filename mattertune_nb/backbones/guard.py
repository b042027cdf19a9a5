"""Undoes what a vendor's package does to the process while it is imported and loads weights."""

from __future__ import annotations

import io
import logging
import os
import random
import warnings
from contextlib import contextmanager, redirect_stdout, suppress
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SWITCHES = (
    "cudnn.benchmark",
    "cudnn.deterministic",
    "cuda.matmul.allow_tf32",
    "cudnn.allow_tf32",
    # since torch 2.9, in addition to the older ones, and finer
    "fp32_precision",
    "cuda.matmul.fp32_precision",
    "cudnn.fp32_precision",
    "cudnn.conv.fp32_precision",
    "cudnn.rnn.fp32_precision",
    "mkldnn.fp32_precision",
    "mkldnn.matmul.fp32_precision",
    "mkldnn.conv.fp32_precision",
    "mkldnn.rnn.fp32_precision",
)
"""Switches of ``torch.backends``, in the order of restoring: older or wider ones also set others."""


@contextmanager
def guarded() -> Iterator[None]:
    """Restore the state of the process after importing and loading a vendor's code.

    Vendors set float64 as the default, seed all generators, allow TF32, and let ``torch.load`` run code.
    Can also be used as a decorator: ``@guarded()``. It restores torch's default dtype, precision, determinism
    and tensor sharing strategy, the generators of Python, NumPy and torch, e3nn's compile settings,
    environment variables and warning filters.
    """
    # here and below, because the config of a backbone is created without torch
    import torch

    undo = [
        _environment(),
        _generators(),
        _backends(),
        _determinism(),
        _e3nn(),
        _value(torch.get_default_dtype, torch.set_default_dtype),
        _value(
            torch.multiprocessing.get_sharing_strategy, torch.multiprocessing.set_sharing_strategy
        ),
    ]
    with warnings.catch_warnings():
        try:
            yield
        finally:
            for restore in undo:
                restore()


@contextmanager
def quiet() -> Iterator[None]:
    """Silence vendors' output, logs and warnings, e.g. about accelerators this machine may not have."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def _value(read: Callable[[], Any], write: Callable[[Any], Any]) -> Callable[[], None]:
    before = read()
    return lambda: write(before)


def _environment() -> Callable[[], None]:
    before = dict(os.environ)

    def restore() -> None:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)

    return restore


def _generators() -> Callable[[], None]:
    import torch

    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  the global generator
    cpu = torch.get_rng_state()
    # avoid starting CUDA, which a process forked later could then not use
    started: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    gpus = torch.cuda.get_rng_state_all() if started else []

    def restore() -> None:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.set_rng_state(cpu)
        if started:
            torch.cuda.set_rng_state_all(gpus)

    return restore


def _backends() -> Callable[[], None]:
    import torch

    matmul = torch.get_float32_matmul_precision()
    before: dict[str, Any] = {}
    for name in _SWITCHES:
        # torch does not know it yet, or cannot derive an older one from the finer ones
        with suppress(AttributeError, RuntimeError):
            before[name] = attrgetter(name)(torch.backends)

    def restore() -> None:
        torch.set_float32_matmul_precision(matmul)
        for name, value in before.items():
            owner, _, switch = name.rpartition(".")
            setattr(attrgetter(owner)(torch.backends) if owner else torch.backends, switch, value)

    return restore


def _determinism() -> Callable[[], None]:
    import torch

    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    return lambda: torch.use_deterministic_algorithms(before, warn_only=warn_only)


def _e3nn() -> Callable[[], None]:
    """Keep e3nn's compile settings: with those of NequIP, models built by SevenNet could not be copied."""
    try:
        import e3nn
    except ImportError:
        return lambda: None
    before = e3nn.get_optimization_defaults()
    if "jit_mode" in before:  # before 0.5, the other one takes its place
        del before["jit_script_fx"]
    return lambda: e3nn.set_optimization_defaults(**before)
