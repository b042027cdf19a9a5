"""A small picture of the learning rate over a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mattertune_nb.widgets.picture import new_figure, png

if TYPE_CHECKING:
    from mattertune_nb.training.config import MatterTunerConfig

_STEPS_PER_EPOCH = 10
_MAX_EPOCHS = 200


def learning_rates(config: MatterTunerConfig) -> list[float]:
    """Return the learning rate at each step of a run of ten steps an epoch, by torch's schedulers.

    A schedule that waits for a plateau is left out, as its steps depend on the run.

    Raises
    ------
    ConfigError
        Where a schedule needs a length that the run does not have.
    """
    import warnings

    import torch

    from mattertune_nb.model.optim import create_lr_schedulers

    epochs = config.trainer.max_epochs
    n_epochs = None if epochs in (None, -1) else min(epochs, _MAX_EPOCHS)
    shown = n_epochs or 100
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=config.model.optimizer.lr)
    n_steps = None if n_epochs is None else n_epochs * _STEPS_PER_EPOCH
    built = create_lr_schedulers(
        config.model.schedules, optimizer, n_steps=n_steps, n_epochs=n_epochs
    )
    rates = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no optimizer step is made here
        for step in range(shown * _STEPS_PER_EPOCH):
            rates.append(float(optimizer.param_groups[0]["lr"]))
            for entry in built:
                due = entry.get("interval") == "step" or (step + 1) % _STEPS_PER_EPOCH == 0
                if due and "monitor" not in entry:
                    entry["scheduler"].step()
    return rates


def draw_schedule(config: MatterTunerConfig) -> bytes:
    """Return the learning rate against epochs as PNG."""
    rates = learning_rates(config)
    figure, (ax,) = new_figure(1, 1, 3.6, 1.7)
    ax.plot([i / _STEPS_PER_EPOCH for i in range(len(rates))], rates, color="#2f7ed8")
    ax.set_xlabel("epoch", fontsize=8)
    ax.set_title("learning rate", fontsize=9)
    ax.set_ylim(bottom=0)
    ax.tick_params(labelsize=7)
    ax.grid(alpha=0.3)
    return png(figure)
