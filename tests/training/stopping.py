"""Ways to stop a run at a given moment, and what has to be the same after a resume."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Callback

import mattertune_nb as mt
from mattertune_nb.training.run_dir import RunDirectory


class StopAfter(Callback):
    """Asks the run to stop once a hook has been called a number of times."""

    def __init__(self, run: RunDirectory, hook: str, calls: int) -> None:
        self._left = calls
        setattr(self, hook, lambda *args, **kwargs: self._count(run))

    def _count(self, run: RunDirectory) -> None:
        self._left -= 1
        if self._left == 0:
            run.request_stop()


class NoisyModule(mt.FinetuneModuleBase):
    """Draws random numbers in each step, more of them in the second process, so that a lost state shows."""

    def training_step(self, batch, batch_idx):
        torch.randn(1 + self.global_rank)
        batch.positions = batch.positions + 0.01 * torch.randn_like(batch.positions)
        return super().training_step(batch, batch_idx)


def weights(path) -> torch.Tensor:
    """Return the weights, their running average where there is one, and the optimizer's state."""
    checkpoint = torch.load(path, weights_only=True)
    parts = ("state_dict", "current_model_state", "optimizer_states")
    return torch.cat(list(_tensors([checkpoint.get(part) for part in parts])))


def _tensors(value: Any):
    if isinstance(value, torch.Tensor):
        yield value.double().ravel()
    elif isinstance(value, dict):
        for key in sorted(value, key=str):
            yield from _tensors(value[key])
    elif isinstance(value, list):
        for item in value:
            yield from _tensors(item)


def records(run: RunDirectory) -> list[dict[str, Any]]:
    """Return the record of metrics, to seven digits, without what says that settings were changed.

    Nor what is measured as often as the clock allows.
    """
    return [
        {
            k: round(v, 7) if isinstance(v, float) else v
            for k, v in record.items()
            if k != "time" and not k.startswith("foreign/")
        }
        for record in run.metrics()
        if record["kind"] == "metrics"
    ]


def assert_same(run: RunDirectory, never: RunDirectory) -> None:
    """Compare a run that was stopped and resumed with one that never was."""
    assert run.status().state == "finished"
    for name in ("last", "best"):
        ours, theirs = getattr(run, name), getattr(never, name)
        torch.testing.assert_close(weights(ours), weights(theirs), atol=1e-6, rtol=0, msg=name)
    assert records(run) == records(never)
