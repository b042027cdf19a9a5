"""The form of the trainer's settings."""

from __future__ import annotations

from mattertune_nb.config.trainer import TrainerConfig
from mattertune_nb.widgets.forms.form import ConfigForm


class TrainerForm(ConfigForm):
    """Lightning's Trainer as a form: hardware, training, validation, callbacks, logging.

    ``form.config`` is always the last valid :class:`TrainerConfig`; setting it moves the widgets,
    and ``form.observe(f, "config")`` tells of changes. An entry that is not valid shows its message
    beside its field and changes nothing.

    Parameters
    ----------
    config
        What the form shows first; defaults where not given.
    """

    def __init__(self, config: TrainerConfig | None = None) -> None:
        super().__init__(config or TrainerConfig())
