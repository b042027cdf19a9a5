"""What vendors are known to do to a process while they are imported or load, undone by the guard."""

from __future__ import annotations

import os
import random
import warnings

import numpy as np
import pytest
import torch
from lightning.pytorch import seed_everything

import mattertune_nb as mt
from mattertune_nb.backbones.guard import guarded

try:
    import e3nn
except ImportError:  # comes with SevenNet, NequIP and MACE
    e3nn = None

FAULTS = {
    "default dtype": (
        lambda: torch.set_default_dtype(torch.float64),
        torch.get_default_dtype,
    ),
    "matmul precision": (
        lambda: torch.set_float32_matmul_precision("high"),
        torch.get_float32_matmul_precision,
    ),
    "matmul precision of CUDA alone": (
        lambda: setattr(torch.backends.cuda.matmul, "allow_tf32", True),
        lambda: torch.backends.cuda.matmul.allow_tf32,
    ),
    "TF32 of convolutions": (
        lambda: setattr(torch.backends.cudnn, "allow_tf32", False),
        lambda: torch.backends.cudnn.allow_tf32,
    ),
    "choice of algorithms": (
        lambda: setattr(torch.backends.cudnn, "benchmark", True),
        lambda: torch.backends.cudnn.benchmark,
    ),
    "determinism of cuDNN": (
        lambda: setattr(torch.backends.cudnn, "deterministic", True),
        lambda: torch.backends.cudnn.deterministic,
    ),
    "determinism": (
        lambda: torch.use_deterministic_algorithms(True, warn_only=True),
        lambda: (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
    ),
    "sharing of tensors": (
        lambda: torch.multiprocessing.set_sharing_strategy("file_system"),
        torch.multiprocessing.get_sharing_strategy,
    ),
    "generator of Python": (lambda: random.seed(123), random.getstate),
    "generator of NumPy": (
        lambda: np.random.seed(123),  # noqa: NPY002  as vendors do
        lambda: np.random.get_state()[1].tolist(),  # noqa: NPY002
    ),
    "generator of torch": (
        lambda: torch.manual_seed(123),
        lambda: torch.get_rng_state().tolist(),
    ),
    "a variable that lets torch.load run code": (
        lambda: os.environ.update(TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD="1"),
        lambda: os.environ.get("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"),
    ),
    "a variable that is changed": (
        lambda: os.environ.update(PATH="/nowhere"),
        lambda: os.environ["PATH"],
    ),
    "a variable that is removed": (
        lambda: os.environ.pop("PATH"),
        lambda: os.environ.get("PATH"),
    ),
    "warnings that are silenced": (
        lambda: warnings.filterwarnings("ignore", message="of a vendor's"),
        lambda: list(warnings.filters),
    ),
}
if e3nn is not None:
    # an older switch, which NequIP puts back and so changes the newer one
    FAULTS["how e3nn compiles"] = (
        lambda: e3nn.set_optimization_defaults(jit_script_fx=True, optimize_einsums=False),
        e3nn.get_optimization_defaults,
    )


@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_vendor_changes_is_as_it_was(fault):
    change, read = FAULTS[fault]
    # another guard, so that a fault that ours does not undo is left to no other test
    with guarded():
        before = read()
        with guarded():
            change()
            assert read() != before
        assert read() == before


def test_it_is_as_it_was_after_an_error_too():
    @guarded()
    def load():
        torch.set_default_dtype(torch.float64)
        msg = "no weights"
        raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="no weights"):
        load()
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.skipif(not hasattr(torch.backends, "fp32_precision"), reason="torch before 2.9")
def test_precisions_that_the_older_switches_cannot_tell():
    # as nequip sets it; the older switch of cuDNN raises when it is read then
    with guarded():
        torch.backends.fp32_precision = "ieee"
    assert torch.backends.fp32_precision == "none"
    assert torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize("build", ["create_backbone", "vendor_calculator"])
def test_a_seed_of_ones_own_holds_across_the_loading_of_weights(build):
    def drawn():
        return random.random(), np.random.rand(), float(torch.rand(()))  # noqa: NPY002

    seed_everything(7, verbose=False)
    expected = drawn()
    seed_everything(7, verbose=False)
    getattr(mt.CHGNetBackboneConfig(), build)()
    assert drawn() == expected
