"""Whether the model of a run is fit for use."""

from __future__ import annotations

import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mattertune_nb.config.errors import ConfigError, MatterTuneError, RunError, did_you_mean
from mattertune_nb.data.evenly import evenly_spread
from mattertune_nb.data.isolated import without_isolated_atoms
from mattertune_nb.data.sources.configs import dataset_config
from mattertune_nb.physics.checks import CHECKS
from mattertune_nb.physics.checks.case import Cancelled, Case
from mattertune_nb.physics.scorecard import Line, Scorecard
from mattertune_nb.physics.walls import walls
from mattertune_nb.training.files import write_text
from mattertune_nb.training.outcome.evaluation import label_keys, untuned_of
from mattertune_nb.training.outcome.model_card import write_model_card
from mattertune_nb.training.records.split import datasets_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ase import Atoms

    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.model.module import FinetuneModuleBase
    from mattertune_nb.physics.holes import Wall
    from mattertune_nb.training.runs.run import Run

_MOST_FRAMES = 40
_MOST_ATOMS = 400


def validate(
    run: Run,
    checks: Sequence[str] | None = None,
    *,
    data: str | Path | None = None,
    seconds: float = 150.0,
    temperature: float = 300.0,
    progress: Callable[[str, int, int], object] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Scorecard:
    """Check the best weights of a run beside the untuned ones; see :meth:`Run.validate`.

    Parameters
    ----------
    run
        The run.
    checks
        Names of :data:`CHECKS`; not given: all.
    data
        Structures of the target; not given: the run's validation set.
    seconds
        Time for dynamics and relaxations together, which go as far as it lets them.
    temperature
        Of the dynamics, in K.
    progress
        Called with what is done, and how many of how many checks are made.
    cancelled
        Asked now and then whether to end; what was found so far is returned then, and not kept.

    Raises
    ------
    ConfigError
        A check has no such name.
    RunError
        The run has no checkpoint yet.
    DataError
        There are no structures.
    """
    names = list(CHECKS) if checks is None else list(checks)
    for name in names:
        if name not in CHECKS:
            msg = f"unknown check '{name}'.{did_you_mean(name, CHECKS)} There are {', '.join(CHECKS)}."
            raise ConfigError(msg)
    case, notes = _case(run, data, seconds, temperature)
    case.cancelled = cancelled or case.cancelled
    lines: list[Line] = []
    for k, name in enumerate(names):
        if progress is not None:
            progress(name, k, len(names))
        begun = time.monotonic()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                line = CHECKS[name](case)
        except Cancelled:
            return Scorecard(run.name, lines, [*notes, "Cancelled before the other checks."])
        except (
            MatterTuneError,
            RuntimeError,
            ValueError,
            ArithmeticError,
            np.linalg.LinAlgError,
        ) as exc:
            # a potential that is broken breaks some of what is done with it
            line = Line(name, "fail", reason=f"could not be made: {exc}")
        lines.append(replace(line, seconds=round(time.monotonic() - begun, 2)))
    card = Scorecard(run.name, lines, notes)
    if checks is None and data is None:
        write_text(run.directory.scorecard_file, card.to_json())
        write_model_card(run.directory)
    if progress is not None:
        progress("", len(names), len(names))
    return card


def _case(
    run: Run, data: str | Path | None, seconds: float, temperature: float
) -> tuple[Case, list[str]]:
    tuned = run.model()
    notes = []
    untuned: FinetuneModuleBase | None = None
    try:
        untuned = untuned_of(tuned)
        # energies with the run's zero, so that differences are those of physics
        untuned.normalization.load_state_dict(tuned.normalization.state_dict())
    except MatterTuneError as exc:
        notes.append(f"The untuned model is not there to be compared with ({exc})")
    frames = _frames(run, data, notes)

    def both() -> tuple[list[Wall] | None, list[Wall]]:
        elements = {symbol for atoms in frames for symbol in atoms.symbols}
        return None if untuned is None else walls(untuned, elements), walls(tuned, elements)

    case = Case(
        tuned.ase_calculator(),
        None if untuned is None else untuned.ase_calculator(),
        frames,
        precise=tuned.ase_calculator(dtype="float64"),
        walls=both,
        seconds=seconds,
        temperature=temperature,
    )
    return case, notes


def _frames(run: Run, data: str | Path | None, notes: list[str]) -> list[Atoms]:
    from ase.calculators.singlepoint import SinglePointCalculator

    dataset = _dataset(run, data)
    kept, _ = without_isolated_atoms({"validated": dataset})
    dataset = kept["validated"]
    sizes = dataset.n_atoms()
    small = np.flatnonzero(sizes <= _MOST_ATOMS)
    if not len(small):
        msg = (
            f"{dataset.name}: all structures have more than {_MOST_ATOMS} atoms; give smaller ones."
        )
        raise RunError(msg)
    if len(small) < len(dataset):
        notes.append(f"Structures of more than {_MOST_ATOMS} atoms were left out.")
    chosen = small[evenly_spread(len(small), _MOST_FRAMES)]
    frames = []
    for i in chosen.tolist():
        atoms, labels = dataset[i], dataset.labels(i)
        results: dict[str, Any] = {k: labels[k] for k in ("energy", "forces") if k in labels}
        if results:
            atoms.calc = SinglePointCalculator(atoms, **results)
        frames.append(atoms)
    return frames


def _dataset(run: Run, data: str | Path | None) -> AtomsDataset:
    if data is None:
        return datasets_of(run.directory)["validation"]
    keys = label_keys(run.path)
    names = {"energy_key": keys.energy, "forces_key": keys.forces, "stress_key": keys.stress}
    return dataset_config(Path(data), **names, units=keys.units).create_dataset()
