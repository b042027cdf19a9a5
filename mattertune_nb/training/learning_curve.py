"""Learning curves: the same run on parts of its data, and the expected benefit of more data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from typing_extensions import override

from mattertune_nb.config.errors import ConfigError
from mattertune_nb.config.escaped import escaped
from mattertune_nb.config.properties import by_importance
from mattertune_nb.training.figures import log_axes, new_figure, picture_html
from mattertune_nb.training.records.split import SplitRecord
from mattertune_nb.training.runs.series import RunSeries, series_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from mattertune_nb.config.properties import Property
    from mattertune_nb.training.config import MatterTunerConfig


@dataclass(frozen=True)
class PowerLaw:
    """Power law: error = a n^-b for n training frames.

    Attributes
    ----------
    sizes, errors
        (m,) data of the fit, with the errors in the units that people read.
    exponent
        b; 0.5 means that four times the data halve the error.
    exponent_error
        Its standard error; NaN if two sizes leave none.
    scatter
        Standard deviation of the logarithms of the errors about the line; NaN as above.
    """

    sizes: NDArray[np.float64]
    errors: NDArray[np.float64]
    exponent: float
    exponent_error: float
    scatter: float

    def after(self, factor: float) -> tuple[float, float]:
        """Return the error expected for `factor` times the largest amount of data, and its uncertainty."""
        last = float(self.errors[self.sizes == self.sizes.max()].mean())
        expected = last * factor**-self.exponent
        # from the measured point itself and from the slope extrapolated from it
        relative = math.hypot(math.log(factor) * self.exponent_error, self.scatter)
        return expected, expected * relative

    def line(self, sizes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the fitted errors at other sizes."""
        x, y = np.log(self.sizes), np.log(self.errors)
        fitted: NDArray[np.float64] = np.exp(y.mean() - self.exponent * (np.log(sizes) - x.mean()))
        return fitted


def power_law(sizes: Sequence[float], errors: Sequence[float]) -> PowerLaw:
    """Fit a power law by least squares of the logarithms.

    Parameters
    ----------
    sizes
        (m,) numbers of training frames, with at least two distinct values.
    errors
        (m,), positive.
    """
    n, e = np.asarray(sizes, float), np.asarray(errors, float)
    x, y = np.log(n), np.log(e)
    spread = np.square(x - x.mean()).sum()
    slope = ((x - x.mean()) * (y - y.mean())).sum() / spread
    left = y - y.mean() - slope * (x - x.mean())
    free = len(n) - 2
    scatter = math.sqrt(np.square(left).sum() / free) if free else math.nan
    return PowerLaw(n, e, float(-slope), scatter / math.sqrt(spread), scatter)


class LearningCurve(RunSeries):
    """Runs on parts of the training set; created by :func:`learning_curve`.

    Parameters
    ----------
    path
        The folder.

    Raises
    ------
    RunError
        There is no learning curve.
    """

    kind: ClassVar[str] = "learning curve"

    def points(self) -> dict[str, PowerLaw]:
        """Return sizes, best validation errors and power laws by property, for the runs that have ended.

        Properties without an error at two sizes are left out.
        """
        found: dict[str, list[tuple[int, float]]] = {}
        for run in self.runs():
            best, record = run.directory.best_metrics(), SplitRecord.read(run.directory)
            if run.is_active() or record is None:
                continue
            for prop in self._properties():
                error = prop.factor * best.get(f"val/{prop.main_metric}", math.nan)
                if error > 0:
                    found.setdefault(prop.name, []).append((len(record.parts["train"]), error))
        return {
            name: power_law(*zip(*pairs, strict=True))
            for name, pairs in found.items()
            if len({n for n, _ in pairs}) > 1
        }

    def _properties(self) -> list[Property]:
        runs = self.runs()
        return by_importance(runs[0].config().model.learnt) if runs else []

    @override
    def told(self) -> list[str]:
        """Return the expected effect of doubling the data, one sentence per property."""
        laws, found = self.points(), []
        for prop in self._properties():
            law = laws.get(prop.name)
            if law is None:
                continue
            last = law.errors[law.sizes == law.sizes.max()].mean()
            expected, error = law.after(2.0)
            about = f" ± {_rounded(error, error)}" if error == error else ""
            scale = error if error > 0 else 0.05 * expected
            text = (
                f"Doubling the data should change {prop.title} from {_rounded(last, scale)} to "
                f"{_rounded(expected, scale)}{about} {prop.shown_unit}"
            )
            if law.exponent <= law.exponent_error:
                text += ", which is within the scatter of these runs: other frames or settings may help more"
            elif not about:
                text += " (two sizes give no uncertainty)"
            found.append(f"{text}.")
        return found or ["Fewer than two runs have finished so far."]

    def __str__(self) -> str:
        return "\n".join(self.told())

    def draw(self) -> Figure:
        """Plot the errors over the number of training frames, with the power laws up to twice the data."""
        laws = self.points()
        properties = [prop for prop in self._properties() if prop.name in laws]
        n = max(len(properties), 1)
        figure, axes = new_figure(1, n, 3.4 * n, 2.8)
        for ax, prop in zip(axes, properties, strict=False):
            law = laws[prop.name]
            sizes = np.geomspace(law.sizes.min(), 2 * law.sizes.max(), 40)
            ax.plot(sizes, law.line(sizes), "--", color="0.5", lw=1)
            ax.plot(law.sizes, law.errors, "o", ms=5)
            expected, error = law.after(2.0)
            bar = None if math.isnan(error) else error
            ax.errorbar([2 * law.sizes.max()], [expected], bar, fmt="s", mfc="none", color="0.3")
            ticks = sorted({*law.sizes.tolist(), 2 * law.sizes.max()})
            log_axes(ax)
            ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks], fontsize=7)
            ax.set_xticks([], minor=True)
            ax.set_title(f"∝ n^−{law.exponent:.2f}", fontsize=8)
            ax.set_xlabel("training frames", fontsize=8)
            ax.set_ylabel(prop.with_unit(f"{prop.title} error"), fontsize=8)
            ax.tick_params(axis="y", which="both", labelsize=7)
        return figure

    def _repr_html_(self) -> str:
        text = "".join(f"<p>{escaped(line)}</p>" for line in self.told())
        if not self.points():
            return text
        return text + picture_html(self.draw(), "Learning curve")


def new_learning_curve(
    config: MatterTunerConfig, fractions: Sequence[float] = (0.25, 0.5, 1.0)
) -> LearningCurve:
    """Create the folder of a learning curve; nothing is trained yet. See :func:`learning_curve`."""
    fractions = sorted(set(fractions))
    if len(fractions) < 2 or not all(0 < f <= 1 for f in fractions):
        msg = f"fractions: give two or more, above 0 and up to 1, got {tuple(fractions)}."
        raise ConfigError(msg)
    data, trainer = config.data, config.trainer
    n_train = len(data.create_datasets(approximate=True)["train"])
    batch = data.structures_per_batch(n_train)
    configs = {}
    for fraction in fractions:
        part = {"train_share": fraction * data.train_share, "batch_size": batch}
        changed: dict[str, Any] = {"data": data.model_copy(update=part)}
        if trainer.max_epochs not in (None, -1):
            # as many steps as with all frames: otherwise the errors would reflect the number of steps
            epochs = math.ceil(trainer.max_epochs / fraction)
            changed["trainer"] = trainer.model_copy(update={"max_epochs": epochs})
        configs[f"{fraction:g}"] = config.model_copy(update=changed)
    return LearningCurve.create(series_folder(config, "curve"), configs)


def learning_curve(
    config: MatterTunerConfig, fractions: Sequence[float] = (0.25, 0.5, 1.0)
) -> LearningCurve:
    """Train on parts of the training set, in a separate process, to see what more data would gain.

    All runs are validated on the same frames, each smaller part is contained in the larger ones, and each run
    makes about as many steps. Keep the config short.

    Parameters
    ----------
    config
        Settings of the run on all frames.
    fractions
        Fractions of the training set; more of them make the uncertainty more reliable.

    Returns
    -------
    LearningCurve
        The handle: ``wait()``, ``stop()``, ``resume()``, ``dashboard()``, ``points()``; as a string, the
        expected effect of doubling the data.

    Raises
    ------
    ConfigError
        Fewer than two fractions are given, or one is not above 0 and up to 1.
    RunError
        The name is in use.
    """
    return new_learning_curve(config, fractions).start()


def _rounded(value: float, error: float) -> str:
    """Return a number with as many digits as its uncertainty justifies."""
    if not error > 0:
        return f"{value:.3g}"
    digits = -math.floor(math.log10(error))
    if error * 10**digits < 3:  # as is usual, two digits of an uncertainty that begins with 1 or 2
        digits += 1
    digits = max(digits, 0)
    return f"{value:.{digits}f}"
