"""A small drawing of the learning rate over a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mattertune_nb.training.config import MatterTunerConfig

_STEPS_PER_EPOCH = 10
_MAX_EPOCHS = 200
_WIDTH, _HEIGHT = 300, 90


def learning_rates(config: MatterTunerConfig) -> list[float]:
    """Return the learning rate at each step of a run of ten steps per epoch, by torch's schedulers.

    A schedule that waits for a plateau is left out, because its steps depend on the run.

    Raises
    ------
    ConfigError
        A schedule needs a length that the run does not have.
    """
    import warnings

    import torch

    from mattertune_nb.model.schedules import create_lr_schedulers

    config.check_length()
    epochs = config.trainer.max_epochs
    n_epochs = None if epochs in (None, -1) else min(epochs, _MAX_EPOCHS)
    shown = n_epochs or 100
    if config.trainer.ends_by_time:
        n_epochs = shown  # whatever the time allows
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=config.model.optimizer.lr)
    n_steps = None if n_epochs is None else n_epochs * _STEPS_PER_EPOCH
    built = create_lr_schedulers(
        config.model.schedules, optimizer, n_steps=n_steps, n_epochs=n_epochs
    )
    each = [
        (entry["scheduler"], 1 if entry.get("interval") == "step" else _STEPS_PER_EPOCH)
        for entry in built
        if "monitor" not in entry
    ]
    rates = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no optimizer steps are taken here
        for step in range(1, shown * _STEPS_PER_EPOCH + 1):
            rates.append(float(optimizer.param_groups[0]["lr"]))
            for scheduler in (scheduler for scheduler, every in each if step % every == 0):
                scheduler.step()
    return rates


def draw_schedule(rates: list[float], *, by_time: bool = False) -> str:
    """Return the learning rate over a run as HTML, in the colours of the reader's theme.

    Parameters
    ----------
    rates
        Result of :func:`learning_rates`.
    by_time
        Whether only time ends the run, so that the number of epochs is unknown.
    """
    highest = max(rates) or 1.0
    n = max(len(rates) - 1, 1)
    every = max(len(rates) // 400, 1)
    points = " ".join(
        f"{_WIDTH * i / n:.1f},{_HEIGHT * (1 - rate / highest):.1f}"
        for i, rate in enumerate(rates)
        if i % every == 0 or i == n
    )
    span = "the whole time" if by_time else f"{len(rates) // _STEPS_PER_EPOCH} epochs"
    text = f"learning rate over {span}, from {rates[0]:.3g} to {rates[-1]:.3g}"
    return (
        f'<svg role="img" aria-label="{text}" width="{_WIDTH + 90}" height="{_HEIGHT + 34}" '
        f'viewBox="-62 -10 {_WIDTH + 90} {_HEIGHT + 34}" style="color:var(--jp-ui-font-color1,#222)">'
        f'<g stroke="currentColor" stroke-opacity=".25"><line x1="0" y1="{_HEIGHT}" x2="{_WIDTH}" '
        f'y2="{_HEIGHT}"/><line x1="0" y1="0" x2="{_WIDTH}" y2="0"/></g>'
        '<polyline fill="none" stroke="var(--jp-brand-color1,#2f7ed8)" stroke-width="2" '
        f'points="{points}"/>'
        '<g font-size="11" fill="currentColor"><g text-anchor="end">'
        f'<text x="-6" y="4">{highest:.3g}</text><text x="-6" y="{_HEIGHT + 4}">0</text></g>'
        f'<text x="0" y="{_HEIGHT + 18}">0</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT + 18}" text-anchor="end">{span}</text></g></svg>'
    )
