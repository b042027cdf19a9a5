"""Identifies frames by their content, wherever they are stored, through hashes."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from mattertune_nb.data.cache_folder import cache_folder, load_array, save_array
from mattertune_nb.data.plain import calculator_results
from mattertune_nb.data.sketch import N_NUMBERS, sketch
from mattertune_nb.data.watched import watched
from mattertune_nb.data.xyz.geometry import plain_geometry

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mattertune_nb.data.dataset import AtomsDataset

_VERSION = 4
_N_HASHES = 5
_WORTH_KEEPING = 0.5  # s of reading
_DECIMALS = 4  # Å; files have more digits, and programs agree to these


@dataclass(frozen=True)
class FrameKeys:
    """Hashes of the frames of a data set, (n,) uint64 each, and their sketches.

    Attributes
    ----------
    structure
        Hash of species, positions, cell and periodicity, to 0.0001 Å: equal for two frames with the same
        structure, whatever their labels.
    content
        Hash of everything in a frame, to the last digit, including its labels; for extended XYZ, of its text.
    species
        Hash of the ordered species and the periodicity: constant along a trajectory.
    composition
        Hash of the composition: equal for a cell and its supercell.
    atoms
        Hash of species and periodicity, in whatever order the atoms are.
    sketch
        Numbers by which :func:`~mattertune_nb.data.near.near_structures` finds structures that are equal but
        for rounding, (n, 7) float64.
    """

    structure: NDArray[np.uint64]
    content: NDArray[np.uint64]
    species: NDArray[np.uint64]
    composition: NDArray[np.uint64]
    atoms: NDArray[np.uint64]
    sketch: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.structure)

    def names(self) -> list[str]:
        """Return each frame's name in a record: 16 digits for its structure, 16 for its whole content."""
        pairs = zip(self.structure.tolist(), self.content.tolist(), strict=True)
        return [f"{structure:016x}{content:016x}" for structure, content in pairs]


def frame_keys(dataset: AtomsDataset) -> FrameKeys:
    """Return the hashes of all frames of a data set, cached on disk if reading is slow.

    Raises
    ------
    DataError
        A frame cannot be read.
    """
    cache = _cache_file(dataset)
    shape = (_N_HASHES + N_NUMBERS, len(dataset))
    kept = None if cache is None else load_array(cache)
    if kept is None or kept.dtype != np.uint64 or kept.shape != shape:
        begun = time.monotonic()
        kept = np.empty(shape, dtype=np.uint64)
        for i in watched(range(len(dataset)), f"Reading {dataset.name}"):
            *hashes, sketched = _keys(dataset, i)
            kept[:_N_HASHES, i] = hashes
            kept[_N_HASHES:, i] = sketched.view(np.uint64)
        if cache is not None and time.monotonic() - begun > _WORTH_KEEPING:
            save_array(cache, kept)
    structure, content, species, composition, atoms = kept[:_N_HASHES]
    sketches = kept[_N_HASHES:].view(np.float64).T
    return FrameKeys(structure, content, species, composition, atoms, sketches)


def bytes_key(data: bytes) -> int:
    """Return the 64-bit hash of bytes."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


def text_key(text: str) -> int:
    """Return the 64-bit hash of a text."""
    return bytes_key(text.encode())


def structure_key(
    numbers: NDArray[np.int64],
    positions: NDArray[np.float64],
    cell: NDArray[np.float64],
    pbc: NDArray[np.bool_],
) -> int:
    """Return the hash of a structure: species, positions and cell to 0.0001 Å, periodicity."""
    # adding zero makes −0 to 0
    rounded = b"".join((np.round(a, _DECIMALS) + 0.0).tobytes() for a in (cell, positions))
    return bytes_key(_species(numbers, pbc) + rounded)


def numbers_of(keys: NDArray[np.uint64], seed: int) -> NDArray[np.float64]:
    """Return a number in [0, 1) for each key, (n,), uniform over keys and seeds, the same on any machine."""
    # the finalizer of SplitMix64; arithmetic of uint64 arrays wraps around
    mixed = keys + np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _keys(dataset: AtomsDataset, i: int) -> tuple[int, int, int, int, int, NDArray[np.float64]]:
    block = dataset.block(i)
    geometry = None if block is None else plain_geometry(block)
    if block is not None and geometry is not None:
        return _of_geometry(*geometry, held=block)
    atoms = dataset.frame(i)
    arrays = {k: v for k, v in atoms.arrays.items() if k not in ("numbers", "positions")}
    carried = (atoms.info, arrays, calculator_results(atoms))
    held = [b"|".join(_bytes(k) + b"=" + _bytes(d[k]) for k in sorted(d, key=str)) for d in carried]
    numbers = np.asarray(atoms.numbers, dtype=np.int64)
    exact = atoms.cell.array.tobytes() + np.ascontiguousarray(atoms.positions).tobytes()
    return _of_geometry(
        numbers, atoms.positions, atoms.cell.array, atoms.pbc, held=b"#".join([exact, *held])
    )


def _of_geometry(
    numbers: NDArray[np.int64],
    positions: NDArray[np.float64],
    cell: NDArray[np.float64],
    pbc: NDArray[np.bool_],
    *,
    held: bytes,
) -> tuple[int, int, int, int, int, NDArray[np.float64]]:
    species = _species(numbers, pbc)
    structure = structure_key(numbers, positions, cell, pbc)
    sketched = sketch(numbers, positions, cell, np.asarray(pbc))
    return structure, bytes_key(species + held), *_of_species(species), sketched


def _species(numbers: NDArray[np.int64], pbc: NDArray[Any]) -> bytes:
    return numbers.tobytes() + np.asarray(pbc, dtype=np.int64).tobytes()


@lru_cache(maxsize=1024)  # consecutive frames mostly have the same
def _of_species(species: bytes) -> tuple[int, int, int]:
    """Return hashes of species, composition and species in any order, from numbers and flags as int64."""
    numbers, pbc = np.split(np.frombuffer(species, dtype=np.int64), [-3])
    present, counts = np.unique(numbers, return_counts=True)
    shares = counts // np.gcd.reduce(counts) if len(counts) else counts
    composition = bytes_key(np.stack([present, shares]).tobytes())
    return bytes_key(species), composition, bytes_key(_species(np.sort(numbers), pbc))


def _bytes(value: Any) -> bytes:
    if isinstance(value, np.ndarray) and value.dtype != object:
        return (
            repr((value.shape, value.dtype.kind)).encode() + np.ascontiguousarray(value).tobytes()
        )
    return repr(value).encode()


def _cache_file(dataset: AtomsDataset) -> Path | None:
    state = file_state(dataset)
    return None if state is None else cached_under("keys", f"{_VERSION} {state}")


def file_state(dataset: AtomsDataset) -> str | None:
    """Return a text that changes when the frames of a data set may have changed; None if there is none.

    Files are identified by size and time of change.
    """
    try:
        paths = [path.absolute() for path in dataset.files()]
        stats = [(str(path), (s := path.stat()).st_size, s.st_mtime_ns) for path in paths]
    except (OSError, RuntimeError):
        return None
    if any(path.is_dir() for path in paths):
        return None  # changes inside a folder may not alter its time of change
    taken = hashlib.blake2b(dataset.indices.tobytes(), digest_size=8)
    if dataset.numbers is not None:
        taken.update(dataset.numbers.tobytes())
    return f"{stats} {taken.hexdigest()} {dataset.keys.units.length}"


def cached_under(kind: str, state: str) -> Path:
    """Return the file in the user's cache folder for data belonging to a state."""
    return cache_folder(kind) / f"{hashlib.sha256(state.encode()).hexdigest()[:32]}.npy"
