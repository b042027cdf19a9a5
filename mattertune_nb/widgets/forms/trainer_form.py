"""The form of the trainer's settings."""

from __future__ import annotations

from mattertune_nb.config.trainer import TrainerConfig
from mattertune_nb.widgets.forms.form import ConfigForm


class TrainerForm(ConfigForm):
    """Lightning's Trainer as a form: hardware, training, validation, callbacks, logging.

    ``form.config`` is always the last valid :class:`TrainerConfig`; setting it updates the widgets, and
    ``form.observe(f, "config")`` reports changes. An invalid entry shows its message beside its field and
    changes nothing.

    Parameters
    ----------
    config
        The config shown first; by default the default settings.
    """

    def __init__(self, config: TrainerConfig | None = None) -> None:
        super().__init__(config or TrainerConfig())
