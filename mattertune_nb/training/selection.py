"""Which of many structures to compute next: those of which a model is least certain, or knows least."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from mattertune_nb.config.errors import ConfigError, DataError, did_you_mean
from mattertune_nb.config.escaped import escaped, printable
from mattertune_nb.config.places import path_of
from mattertune_nb.config.properties import FORCES
from mattertune_nb.data.dataset import as_dataset
from mattertune_nb.data.division.similar import principal_components
from mattertune_nb.data.sources.open_dataset import open_dataset
from mattertune_nb.model.module import FinetuneModuleBase
from mattertune_nb.model.novelty import usual_distance
from mattertune_nb.model.spread import SPREAD
from mattertune_nb.training.dft_inputs import write_inputs
from mattertune_nb.training.figures import color_bar, new_figure, picture_html
from mattertune_nb.training.files import check_target, write_structures
from mattertune_nb.training.in_cell import InCell
from mattertune_nb.training.outcome.models import load_model, records_of
from mattertune_nb.training.pool import (
    described,
    farthest_points,
    force_spreads,
    free_positions,
)
from mattertune_nb.training.records.split import datasets_of
from mattertune_nb.training.written_file import WrittenFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ase import Atoms
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from mattertune_nb.data.dataset import AtomsDataset

By = Literal["uncertainty", "distance", "diversity", "both"]

_CANDIDATES = 4
"""For 'both': the pool of most uncertain structures is this many times the number requested."""

_MOST_SHOWN = 20


@dataclass(frozen=True, repr=False)
class Selection:
    """Chosen structures, in order of choice.

    Attributes
    ----------
    pool
        All structures.
    positions
        (n,) positions of the chosen structures in the pool.
    by
        Criterion of the choice.
    spread
        For each structure of the pool, the largest spread of the force on an atom, (N,) in eV/Å; ``None``
        without an ensemble.
    distance
        Distance of each chosen structure to the nearest one known or chosen before it, (n,), relative to the
        distance of two random structures of the pool; ``None`` if chosen by uncertainty.
    plane
        The first two principal components of the descriptors of the pool's structures, (N, 2).
    """

    pool: AtomsDataset
    positions: NDArray[np.int64]
    by: str
    spread: NDArray[np.float64] | None
    distance: NDArray[np.float64] | None
    plane: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def frames(self) -> list[Atoms]:
        """The chosen structures; their info gives their origin."""
        found = []
        for i in self.positions.tolist():
            atoms = self.pool[i]
            atoms.info["selected_from"] = self.pool.source(i)
            found.append(atoms)
        return found

    def table(self) -> dict[str, list[Any]]:
        """Return the chosen structures in columns: origin, formula, atoms, spread, distance."""
        where = self.positions.tolist()
        columns: dict[str, list[Any]] = {
            "frame": [self.pool.source(i) for i in where],
            "formula": [self.pool[i].get_chemical_formula() for i in where],
            "atoms": [len(self.pool[i]) for i in where],
        }
        if self.spread is not None:
            shown = FORCES.factor * self.spread[self.positions]
            columns[FORCES.with_unit("largest force spread")] = [
                round(x, 1) for x in shown.tolist()
            ]
        if self.distance is not None:
            columns["distance"] = [round(x, 3) for x in self.distance.tolist()]
        return columns

    def write(self, path: str | Path) -> Path:
        """Write the chosen structures as extended XYZ, and return the path.

        Parameters
        ----------
        path
            The file.

        Raises
        ------
        DataError
            The file cannot be written, or is one of the pool.
        """
        path = WrittenFile(path)
        for source in self.pool.files():
            check_target(path, source)
        write_structures(path, self.frames)
        return path

    def write_inputs(
        self, folder: str | Path, code: str, settings: Mapping[str, Any] | None = None
    ) -> list[Path]:
        """Write input files for a DFT code, one folder per structure, and return the folders.

        Parameters
        ----------
        folder
            Where to create them.
        code
            ``"vasp"`` (POSCAR with atoms sorted by element, INCAR, KPOINTS), ``"espresso"`` or ``"cp2k"``.
        settings
            For ASE's writers; see :func:`~mattertune_nb.training.dft_inputs.write_inputs`.

        Raises
        ------
        ConfigError
            The code is unknown, or ASE refuses a setting.
        DataError
            The files cannot be written.
        """
        width = len(str(max(len(self) - 1, 0)))
        names = [f"{k:0{width}}" for k in range(len(self))]
        return write_inputs(self.frames, names, Path(folder), code, settings)

    def draw(self) -> Figure:
        """Draw the map: similar structures lie close together, chosen ones are circled."""
        figure, (ax,) = new_figure(1, 1, 5.2, 3.6)
        values = None if self.spread is None else FORCES.factor * self.spread
        color = {"color": "0.6"} if values is None else {"c": values, "cmap": "viridis"}
        points = ax.scatter(self.plane[:, 0], self.plane[:, 1], s=9, linewidths=0, **color)
        if values is not None:
            color_bar(points, ax, FORCES.with_unit("largest force spread"))
        chosen = self.plane[self.positions]
        ax.scatter(
            chosen[:, 0],
            chosen[:, 1],
            s=60,
            facecolors="none",
            edgecolors="#e6007e",
            label="chosen",
        )
        ax.legend(fontsize=8)
        ax.set_xlabel("first principal component", fontsize=8)
        ax.set_ylabel("second principal component", fontsize=8)
        ax.tick_params(labelsize=7)
        return figure

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        columns = self.table()
        rows = [
            list(columns),
            *([str(x) for x in row] for row in zip(*columns.values(), strict=True)),
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            printable("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip())
            for row in rows
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        columns = self.table()
        columns["frame"] = [self.pool.source_in_folder(i) for i in self.positions.tolist()]
        head = "".join(f"<th>{escaped(name)}</th>" for name in columns)
        body = "".join(
            f"<tr>{''.join(f'<td>{escaped(str(x))}</td>' for x in row)}</tr>"
            for row in list(zip(*columns.values(), strict=True))[:_MOST_SHOWN]
        )
        more = f"<p>… {len(self) - _MOST_SHOWN} more</p>" if len(self) > _MOST_SHOWN else ""
        return (
            picture_html(self.draw(), "Map of the pool with the chosen structures")
            + f'<table style="white-space:nowrap"><thead><tr>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table>{more}"
        )


def select(
    pool: str | Path | Sequence[Atoms] | AtomsDataset,
    n: int,
    by: By = "uncertainty",
    model: Any = None,
    *,
    known: str | Path | Sequence[Atoms] | AtomsDataset | None = None,
    progress: Callable[[str, int, int], object] | None = None,
) -> Selection:
    """Choose which of many structures without labels to compute next.

    Structures that occur twice are chosen at most once; known ones are not chosen.

    Parameters
    ----------
    pool
        The structures: a file, a list or a data set.
    n
        Number of structures to choose.
    by
        ``"uncertainty"``: those with the largest spread of the force on an atom; `model` must be an ensemble.
        ``"distance"``: each as far as possible from the known structures and those chosen before it.
        ``"diversity"``: the same within the pool alone. ``"both"``: by distance among the most uncertain
        structures, four times as many as requested.
    model
        An ensemble, a model, a run or its directory, whose backbone's atomic features, averaged over a
        structure, measure the distance between structures; by default, or without such features, histograms
        of interatomic distances are used.
    known
        Structures that are known already; by default the run's training set, if `model` is a run.
    progress
        Called with what is being done, and the numbers of structures done and in total; by default a bar
        below a notebook's cell shows them.

    Returns
    -------
    Selection
        The chosen structures as a table, a map, and files for DFT.

    Raises
    ------
    ConfigError
        The criterion is unknown, or needs an ensemble.
    DataError
        The pool cannot be read, or contains too few unknown structures.
    """
    if by not in get_args(By):
        hint = did_you_mean(by, get_args(By))
        msg = f"by: '{by}' is unknown.{hint} Allowed: {', '.join(get_args(By))}."
        raise ConfigError(msg)
    opened = _opened(pool)
    loaded = None if model is None else _model(model)
    if by in ("uncertainty", "both") and not (loaded is not None and _has_spread(loaded)):
        msg = (
            f"by='{by}' needs an ensemble, whose spread it is: mattertune-nb ensemble, mt.ensemble(config), "
            "mt.Ensemble([...]) or a run with model.last_block_copies. A single run can choose by='distance'."
        )
        raise ConfigError(msg)
    labelled = _opened(known) if known is not None else _trained_on(model)
    with InCell(f"selection from {opened.name}") as cell:
        found = _chosen(opened, n, by, loaded, labelled, progress or cell.tell)
        cell.end(f"{n} of {len(opened)} structures in {cell.seconds}")
    return found


def _chosen(
    opened: AtomsDataset,
    n: int,
    by: By,
    loaded: FinetuneModuleBase | None,
    labelled: AtomsDataset | None,
    progress: Callable[[str, int, int], object],
) -> Selection:
    progress("structures that differ", 0, len(opened))
    free = free_positions(opened, labelled)
    if not 0 < n <= len(free):
        others = "" if labelled is None else " that are not known already"
        msg = f"n: {n}, but there are {len(free)} distinct structures{others}."
        raise DataError(msg)
    spread = None
    if loaded is not None and _has_spread(loaded):
        spread = force_spreads(loaded, opened, progress)
    features, of_known = described(loaded, opened, labelled, progress)
    candidates = free
    if spread is not None and by in ("uncertainty", "both"):
        most = n if by == "uncertainty" else min(_CANDIDATES * n, len(free))
        candidates = free[np.argsort(-spread[free], kind="stable")[:most]]
    distance = None
    if by != "uncertainty":
        from_known = None if by == "diversity" else of_known
        order, far = farthest_points(features[candidates], n, from_known)
        candidates = candidates[order]
        distance = far / (usual_distance(features) or 1.0)
    return Selection(opened, candidates, by, spread, distance, principal_components(features)[0])


def _has_spread(model: FinetuneModuleBase) -> bool:
    return FORCES.name + SPREAD in model.properties


def _opened(frames: Any) -> AtomsDataset:
    if isinstance(frames, (str, Path)):
        return open_dataset(frames)
    return as_dataset(frames)


def _model(model: Any) -> FinetuneModuleBase:
    return model if isinstance(model, FinetuneModuleBase) else load_model(model)


def _trained_on(model: Any) -> AtomsDataset | None:
    if model is None or isinstance(model, FinetuneModuleBase):
        return None
    path = path_of(model)
    return datasets_of(records_of(path))["train"] if path.is_dir() else None
