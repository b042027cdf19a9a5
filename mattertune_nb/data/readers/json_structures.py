"""Structures in JSON: records of CHGNet and MPtrj, MatterTune's lists, and lists of plain arrays."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from mattertune_nb.config.errors import DataError, cause
from mattertune_nb.config.properties import FORCES
from mattertune_nb.data.labels.names import read_name
from mattertune_nb.data.labels.values import in_voigt_order
from mattertune_nb.data.readers.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ase import Atoms
    from numpy.typing import NDArray

    from mattertune_nb.data.sources.frames import Frames

_KBAR_TO_GPA = -0.1
"""VASP's stress in kbar is positive under compression; ours has ASE's sign, positive under tension."""

SPECIES = ("numbers", "atomic_numbers", "symbols", "species", "species_at_sites")
"""Common names for the elements of the atoms, as numbers or symbols."""

_POSITIONS = ("positions", "pos", "cartesian_site_positions")
_CELL = ("cell", "lattice", "lattice_vectors")
_OF_GEOMETRY = (*SPECIES, *_POSITIONS, *_CELL, "pbc", "structure", "natoms", "num_atoms", "nsites")
_NAMED = 20  # entries listed in a message
_NESTED = ("outputs", "output", "results", "labels", "targets")
"""Entries under which labels stand together, e.g. in mlearn's files."""

_LINES = (".jsonl", ".ndjson")
_NO_JSON = re.compile(rb"\[\s*[A-Za-z_]")  # a section of a list of files


def _takes(path: Path, head: bytes) -> bool:
    text = head.lstrip()
    if not text.startswith((b"[", b"{")) or _NO_JSON.match(text):
        return False
    # ASE's own JSON databases begin with a row number, or with their content
    is_table = text.startswith(b'{"index"')  # from pandas, whose index may be longer than the head
    is_list = text.startswith(b"[") or path.suffix.lower() in _LINES
    return is_list or is_table or b'"structure' in head or b"pymatgen" in head


def _open(path: Path) -> Frames:
    try:
        data = _parsed(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as exc:
        msg = f"{path}: no valid JSON ({exc}). Check that it is complete."
        raise DataError(msg) from exc
    frames: list[Atoms] = []
    for name, record in _records(path, data):
        where = f"{path}, frame {len(frames)}{f' ({name})' if name else ''}"
        frames.append(from_record(record, where))
        if name:
            frames[-1].info.setdefault("id", name)
    if not frames:
        msg = f"{path}: holds no structure. Check that the file is complete."
        raise DataError(msg)
    return frames


def _parsed(text: str) -> Any:
    """Return the content of JSON, or of JSON lines as a list."""
    try:
        return json.loads(text)
    except ValueError as first:
        lines = [line for line in text.splitlines() if line.strip()]
        try:
            return [json.loads(line) for line in lines]
        except ValueError:
            raise first from None


def from_record(record: dict[str, Any], where: str) -> Atoms:
    """Return the structure described by plain data: one of pymatgen's, or arrays in eV and Å.

    Parameters
    ----------
    record
        The structure with its labels and other information.
    where
        The file and the frame, for messages.

    Raises
    ------
    DataError
        There is no structure in it.
    """
    try:
        record = _flattened(record)
        return _from_pymatgen(record) if "structure" in record else _from_arrays(record)
    except DataError as exc:
        msg = f"{where}: {exc}"
        raise DataError(msg) from None
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as exc:
        msg = f"{where}: no structure that is understood ({cause(exc)})."
        raise DataError(msg) from exc


def _flattened(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record whose nested labels stand beside its other entries."""
    nested = [record[key] for key in _NESTED if isinstance(record.get(key), dict)]
    if not nested:
        return record
    inner = {key: value for part in nested for key, value in part.items()}
    return inner | {key: value for key, value in record.items() if key not in _NESTED}


def _records(path: Path, data: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each frame's name and record, from a list, from columns, or from MPtrj's nested mappings."""
    if isinstance(data, list):
        yield from (("", record) for record in data)
    elif not isinstance(data, dict):
        msg = f"{path}: expected a list or a mapping of structures, got {type(data).__name__}."
        raise DataError(msg)
    elif {"columns", "data"} <= data.keys():  # a pandas table, as in Matbench's files
        yield from (("", dict(zip(data["columns"], row, strict=True))) for row in data["data"])
    elif isinstance(data.get("structure"), list):
        columns = {k: v for k, v in data.items() if isinstance(v, list)}
        for i in range(len(data["structure"])):
            yield "", {k: column[i] for k, column in columns.items()}
    elif "structure" in data:
        yield "", data
    elif isinstance(data.get("structures"), list):
        msg = (
            f"{path}: its names ({', '.join(list(data)[:8])}) leave open whether energies are per atom, and "
            "the unit of a stress. Name the columns structure, energy or energy_per_atom, forces, stress."
        )
        raise DataError(msg)
    else:
        for outer, part in data.items():
            if isinstance(part, dict) and "structure" not in part:
                yield from ((str(inner), record) for inner, record in part.items())
            else:
                yield str(outer), part


def _from_pymatgen(record: dict[str, Any]) -> Atoms:
    """Return a structure of pymatgen's with its labels: those of CHGNet and MPtrj are converted.

    Their energies are per atom, and their stress is in kbar with VASP's sign.
    """
    from ase import Atoms, units
    from ase.calculators.singlepoint import SinglePointCalculator

    given = record["structure"]
    given = json.loads(given) if isinstance(given, str) else given
    symbols, scaled = [], []
    for i, site in enumerate(given["sites"]):
        (species, *others) = site["species"]
        if others or species["occu"] != 1:
            msg = f"site {i} is occupied by more than one element or in part; order the structure first."
            raise DataError(msg)
        symbols.append(species["element"])
        scaled.append(site["abc"])
    atoms = Atoms(
        symbols, cell=given["lattice"]["matrix"], pbc=given["lattice"].get("pbc", [True] * 3)
    )
    atoms.set_scaled_positions(np.reshape(np.array(scaled, dtype=float), (-1, 3)))
    n = len(atoms)
    results: dict[str, Any] = {}
    if record.get("energy_per_atom") is not None:
        results["energy"] = float(record["energy_per_atom"]) * n
    if record.get("force") is not None:
        results["forces"] = np.array(record["force"], dtype=float).reshape(n, 3)
    if results and record.get("stress") is not None:
        stress = np.array(record["stress"], dtype=float).reshape(3, 3) * _KBAR_TO_GPA * units.GPa
        results["stress"] = in_voigt_order(stress)
    if results and record.get("magmom") is not None:
        results["magmoms"] = np.array(record["magmom"], dtype=float).reshape(n)
    used = ("energy_per_atom", "force", "stress", "magmom") if results else ()
    _add_values(atoms, {key: value for key, value in record.items() if key not in used})
    if results:
        atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def _from_arrays(record: dict[str, Any]) -> Atoms:
    """Return a structure from plain arrays in eV and Å; other entries keep their names."""
    from ase import Atoms

    kind = next((k for k in SPECIES if k in record), None)
    place = next((k for k in _POSITIONS if k in record), None)
    if kind is None or place is None:
        there = ", ".join(map(str, list(record)[:_NAMED])) or "nothing"
        msg = f"has no atomic numbers or no positions, only {there}."
        raise DataError(msg)
    cell = next((record[k] for k in _CELL if record.get(k) is not None), None)
    cell = None if cell is None else np.array(cell, dtype=float)
    cell = cell.reshape(3, 3) if cell is not None and cell.size == 9 else cell
    has_cell = cell is not None and bool(np.any(cell))
    atoms = Atoms(
        record[kind],
        positions=np.array(record[place], dtype=float).reshape(-1, 3),
        cell=cell,
        pbc=record.get("pbc", has_cell),
    )
    _add_values(atoms, record)
    return atoms


def _add_values(atoms: Atoms, values: dict[str, Any]) -> None:
    """Add everything but the geometry to a structure, under the names it has."""
    n = len(atoms)
    for key, value in values.items():
        if key in _OF_GEOMETRY or value is None:
            continue
        array = _array_of(value)
        is_force = read_name(key).label == FORCES.name
        if array is None or array.dtype.kind not in "biuf":
            atoms.info[key] = value
        elif array.size == 1:
            atoms.info[key] = array.ravel()[0]
        elif is_force and array.size == 3 * n:
            atoms.arrays[key] = array.reshape(n, 3)  # even if given as one row
        elif array.size == 9 and array.shape[-2:] == (3, 3) and not is_force:
            atoms.info[key] = array.reshape(3, 3)  # even if given as a batch of one
        elif array.shape[:1] == (n,) and array.ndim <= 2 and "stress" not in key.lower():
            atoms.arrays[key] = array
        else:
            atoms.info[key] = array


def _array_of(value: Any) -> NDArray[Any] | None:
    """Return a list as an array; None for anything else, and for lists of different lengths."""
    try:
        return np.array(value) if isinstance(value, list) else None
    except ValueError:
        return None


READER = Reader("json", _takes, _open, ("*.json", "*.jsonl"))
