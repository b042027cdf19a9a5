"""Whether the model of a run is fit for use."""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mattertune_nb.config.errors import ConfigError, MatterTuneError, RunError, did_you_mean
from mattertune_nb.config.places import SCORECARD, members_of, path_of
from mattertune_nb.config.properties import PROPERTIES
from mattertune_nb.data.evenly import evenly_spread
from mattertune_nb.data.isolated import without_isolated_atoms
from mattertune_nb.physics.checks import CHECKS
from mattertune_nb.physics.checks.case import Cancelled, Case
from mattertune_nb.physics.scorecard import CHECK_TITLES, Line, Scorecard
from mattertune_nb.physics.walls import walls
from mattertune_nb.training.files import write_text
from mattertune_nb.training.in_cell import InCell
from mattertune_nb.training.outcome.model_card import write_model_card
from mattertune_nb.training.outcome.models import (
    config_of_data,
    load_model,
    records_of,
    untuned_of,
)
from mattertune_nb.training.records.novelty import read_novelty
from mattertune_nb.training.records.split import datasets_of
from mattertune_nb.training.run_dir import RunDirectory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ase import Atoms

    from mattertune_nb.config.places import RunLike
    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.model.module import FinetuneModuleBase
    from mattertune_nb.physics.holes import Wall

_MOST_FRAMES = 40
_MOST_ATOMS = 400


def validate(
    run: str | Path | RunLike,
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
        The run, or an ensemble; or its directory.
    checks
        Names from :data:`CHECKS`; by default all.
    data
        Structures of the target; by default the run's validation set.
    seconds
        Time for dynamics and relaxations together, which run as far as it allows.
    temperature
        Temperature of the dynamics, in K.
    progress
        Called with the current check, and the numbers of checks done and in total; by default a bar below a
        notebook's cell shows them.
    cancelled
        Called now and then to ask whether to end; results so far are then returned but not saved.

    Raises
    ------
    ConfigError
        There is no check of this name, or time or temperature are not above 0.
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
    for what, value in (("seconds", seconds), ("temperature", temperature)):
        if not 0 < value < math.inf:
            msg = f"{what}: a number above 0 is needed, got {value:g}."
            raise ConfigError(msg)
    path = path_of(run)
    title = path.absolute().name
    lines: list[Line] = []
    with InCell(f"validation of {title}") as cell:
        cell.tell("model and structures", 0, len(names))
        case, notes = _case(path, data, seconds, temperature)
        case.cancelled = cancelled or case.cancelled
        for k, name in enumerate(names):
            if progress is not None:
                progress(name, k, len(names))
            else:
                cell.tell(CHECK_TITLES[name], k, len(names))
            try:
                lines.append(_line(case, name))
            except Cancelled:
                cell.end(f"cancelled after {k} of {len(names)} checks")
                return Scorecard(title, lines, [*notes, "Cancelled before the other checks."])
        cell.end(f"{len(names)} checks in {cell.seconds}")
    card = Scorecard(title, lines, notes)
    if checks is None and data is None:
        write_text(path / SCORECARD, card.to_json())
        if not members_of(path):
            write_model_card(RunDirectory.open(path))
    if progress is not None:
        progress("", len(names), len(names))
    return card


def _line(case: Case, name: str) -> Line:
    begun = time.monotonic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            line = CHECKS[name](case)
    except (
        MatterTuneError,
        RuntimeError,
        ValueError,
        ArithmeticError,
        np.linalg.LinAlgError,
    ) as exc:
        # a broken potential also breaks some of the checks
        line = Line(name, "fail", reason=f"could not be made: {exc}")
    return replace(line, seconds=round(time.monotonic() - begun, 2))


def _case(
    run: Path, data: str | Path | None, seconds: float, temperature: float
) -> tuple[Case, list[str]]:
    tuned = load_model(run)
    notes: list[str] = []
    untuned: FinetuneModuleBase | None = None
    try:
        untuned = untuned_of(tuned)
        # energies with the run's zero, so that differences are physical
        untuned.normalization.load_state_dict(tuned.normalization.state_dict())
    except MatterTuneError as exc:
        notes.append(f"The untuned model is not available for comparison ({exc})")
    frames, distances = _frames(run, data, notes)

    def both() -> tuple[list[Wall] | None, list[Wall]]:
        elements = {symbol for atoms in frames for symbol in atoms.symbols}
        return None if untuned is None else walls(untuned, elements), walls(tuned, elements)

    case = Case(
        tuned.ase_calculator(),
        None if untuned is None else untuned.ase_calculator(),
        frames,
        precise={
            stage: model.ase_calculator(dtype="float64")
            for stage, model in (("untuned", untuned), ("tuned", tuned))
            if model is not None
        },
        walls=both,
        distances=distances,
        seconds=seconds,
        temperature=temperature,
    )
    return case, notes


def _frames(
    run: Path, data: str | Path | None, notes: list[str]
) -> tuple[list[Atoms], list[float] | None]:
    """Return structures with their labels, and the distance of each from training, if known."""
    from ase.calculators.singlepoint import SinglePointCalculator

    given = _dataset(run, data)
    kept, _ = without_isolated_atoms({"validated": given})
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
        results: dict[str, Any] = {
            prop.ase: labels[name] for name, prop in PROPERTIES.items() if name in labels
        }
        if results:
            atoms.calc = SinglePointCalculator(atoms, **results)
        frames.append(atoms)
    novelty = read_novelty(records_of(run)).get("validation")
    if data is not None or novelty is None or len(given) != len(dataset):
        return frames, None
    far = dict(zip(novelty.positions.tolist(), novelty.distances.tolist(), strict=True))
    return frames, [far.get(i, float("nan")) for i in chosen.tolist()]


def _dataset(run: Path, data: str | Path | None) -> AtomsDataset:
    if data is None:
        return datasets_of(records_of(run))["validation"]
    return config_of_data(Path(data), run).create_dataset()
