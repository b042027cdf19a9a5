"""Ensembles: the same run with different seeds, trained together and used as one model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from mattertune_nb.config.errors import ConfigError, RunError
from mattertune_nb.config.places import members_of
from mattertune_nb.training.outcome.spread import (
    calibrate,
    calibration_in_words,
    write_calibration,
)
from mattertune_nb.training.records.split import datasets_of
from mattertune_nb.training.runs.series import RunSeries, series_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mattertune_nb.config.properties import PropertyName
    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.model.calibration import Calibration
    from mattertune_nb.model.ensemble import Ensemble
    from mattertune_nb.physics.scorecard import Scorecard
    from mattertune_nb.training.config import MatterTunerConfig


class EnsembleRun(RunSeries):
    """The runs of an ensemble's members; created by :func:`ensemble`.

    Its folder can be used wherever a run's directory can: in predictor, calculator, ``mt.parity``,
    ``mattertune-nb predict`` and ``evaluate``.

    Parameters
    ----------
    path
        The folder.

    Raises
    ------
    RunError
        There is no ensemble.
    """

    kind: ClassVar[str] = "ensemble"

    def model(self) -> Ensemble:
        """Return the members trained so far as one model, its spreads calibrated once all are trained.

        Raises
        ------
        RunError
            Fewer than two have been trained.
        """
        there = members_of(self.path)
        if len(there) < 2:
            msg = (
                f"{self.path}: {len(there)} members have been trained so far; "
                "an ensemble needs at least two."
            )
            raise RunError(msg)
        # a form starts ensembles, and importing torch would block its kernel for seconds
        from mattertune_nb.model.ensemble import Ensemble
        from mattertune_nb.training.outcome.models import load_model

        model = load_model(self.path)
        assert isinstance(model, Ensemble)
        return model

    def validate(self, checks: Sequence[str] | None = None, **kwargs: Any) -> Scorecard:
        """Check whether the members, as one model, are fit for use; see :meth:`Run.validate`.

        Parameters
        ----------
        checks
            Names; by default all, including how the spread compares with the errors.
        **kwargs
            As for :meth:`Run.validate`.
        """
        from mattertune_nb.training.outcome.validate import validate

        return validate(self, checks, **kwargs)

    @override
    def told(self) -> list[str]:
        """Return the verdict of each member, and how errors compare with the spread."""
        said = calibration_in_words(self.path)
        return [*super().told(), said] if said else super().told()

    @override
    def after(self) -> None:
        """Compare errors and spreads on the validation set."""
        self.calibrate()

    def calibrate(self, dataset: AtomsDataset | None = None) -> dict[PropertyName, Calibration]:
        """Find the factors by which the spreads must be multiplied, and save them for future models.

        Parameters
        ----------
        dataset
            Structures with labels; by default the validation set. The best weights of each member were chosen
            on it, so the factors are somewhat low for other data.
        """
        from mattertune_nb.training.outcome.models import records_of

        if dataset is None:
            dataset = datasets_of(records_of(self.path))["validation"]
        found = calibrate(self.model(), dataset)
        write_calibration(self.path, found)
        return found


def new_ensemble(config: MatterTunerConfig, members: int = 4) -> EnsembleRun:
    """Create the folder of an ensemble; nothing is trained yet. See :func:`ensemble`."""
    if members < 2:
        msg = f"members: an ensemble needs two or more, got {members}."
        raise ConfigError(msg)
    width = len(str(members))
    configs = {}
    for k in range(members):
        run = config.run.model_copy(update={"seed": config.run.seed + k})
        configs[f"{k + 1:0{width}}"] = config.model_copy(update={"run": run})
    return EnsembleRun.create(series_folder(config, "ensemble"), configs)


def ensemble(config: MatterTunerConfig, members: int = 4) -> EnsembleRun:
    """Train the same run with several seeds in a separate process, one after the other.

    Each member is a run in the folder ``run.root/run.name``, with the same split of the data. Once all are
    trained, spreads are calibrated on the validation set.

    Parameters
    ----------
    config
        Settings of one member; ``run.seed`` is that of the first.
    members
        Number of members.

    Returns
    -------
    EnsembleRun
        The handle: ``wait()``, ``stop()``, ``resume()``, ``dashboard()``, ``model()``.

    Raises
    ------
    ConfigError
        Fewer than two members are requested.
    RunError
        The name is in use.
    """
    return new_ensemble(config, members).start()
