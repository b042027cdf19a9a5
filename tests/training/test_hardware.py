"""What this machine cannot run is refused in words, and nothing else is."""

from __future__ import annotations

import pytest
import torch

import mattertune_nb as mt
from mattertune_nb.training.hardware import accelerator_here, refusal


@pytest.fixture
def gpus(monkeypatch):
    """Return a function that makes torch believe in so many GPUs of NVIDIA's, or one of Apple's."""

    def pretend(nvidia: int = 0, *, apple: bool = False) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: nvidia > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: nvidia)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: apple)

    return pretend


def test_a_gpu_that_is_not_there(gpus):
    gpus()
    assert "needs a GPU" in refusal(mt.TrainerConfig(accelerator="gpu"))
    assert refusal(mt.TrainerConfig()) is None
    gpus(2)
    assert refusal(mt.TrainerConfig(accelerator="gpu", devices=[0, 1])) is None
    assert "this machine has 2" in refusal(mt.TrainerConfig(accelerator="gpu", devices=[0, 2]))


def test_an_apple_gpu_has_no_float64(gpus):
    gpus(apple=True)
    for accelerator in ("mps", "gpu"):
        config = mt.TrainerConfig(accelerator=accelerator)
        assert "no float64" in refusal(config)
    assert refusal(mt.TrainerConfig(accelerator="auto")) is None
    assert accelerator_here(mt.TrainerConfig(accelerator="auto")) == "cpu"
    gpus(1)
    assert accelerator_here(mt.TrainerConfig(accelerator="auto")) == "auto"


@pytest.mark.parametrize("precision", ["16-mixed", "16-true", "transformer-engine"])
def test_a_precision_that_lightning_would_swap_on_a_cpu(gpus, precision):
    gpus()
    assert "trainer.precision" in refusal(mt.TrainerConfig(precision=precision))
    assert refusal(mt.TrainerConfig(precision="bf16-mixed")) is None
    gpus(1)
    assert refusal(mt.TrainerConfig(precision=precision)) is None
