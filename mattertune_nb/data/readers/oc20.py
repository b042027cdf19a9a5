"""LMDB as used by OC20: one pickled graph per key, read without running code named in a pickle."""

from __future__ import annotations

import io
import pickle
import warnings
import zlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np

from mattertune_nb.config.errors import DataError, cause
from mattertune_nb.data.readers.json_structures import from_record
from mattertune_nb.data.readers.lmdb import refuse_cut_off
from mattertune_nb.data.readers.reader import Reader, require_package

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms

    from mattertune_nb.data.sources.frames import Frames

_NAMES = {"force": "forces", "pos": "positions"}
_LEFT_OUT = ("edge_index", "cell_offsets", "distances", "natoms", "pos_relaxed")


class GraphFrames:
    """Graphs of an LMDB as structures, one at a time; ``y`` keeps its name, as it is not a total energy.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    DataError
        It is not an LMDB, or has no graphs.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _opened(path) as database, database.begin() as txn:
            n = txn.stat()["entries"]  # the value stored under `length` is not reliable
            self._keys = [key for i in range(n) if txn.get(key := str(i).encode()) is not None]
        if not self._keys:
            msg = f"{path}: holds no structure under the keys 0, 1, … as OC20 has them."
            raise DataError(msg)

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, i: int) -> Atoms:
        """Return graph `i` as a structure.

        Raises
        ------
        DataError
            It cannot be read, or holds something other than data.
        IndexError
            There is no such graph.
        """
        key = self._keys[i]
        where = f"{self.path}, frame {i}"
        with _opened(self.path) as database, database.begin() as txn:
            packed = txn.get(key)
        try:
            record = _record(_plain(packed))
        except Exception as exc:  # a damaged pickle can raise any error
            msg = f"{where}: not a graph that can be read ({cause(exc)})."
            raise DataError(msg) from exc
        return from_record(record, where)


class _Graph(dict[str, Any]):
    """Stand-in for any graph class named in a pickle."""

    def __setstate__(self, state: Any) -> None:
        self.update(state if isinstance(state, dict) else {})


class _Unpickler(pickle.Unpickler):
    """Creates only tensors, arrays and graphs."""

    def find_class(self, module: str, name: str) -> Any:
        import torch

        if module.split(".")[0] == "torch_geometric":
            return _Graph
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            return _storage
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        if module.startswith("numpy") and name in ("_reconstruct", "ndarray", "dtype", "scalar"):
            return super().find_class(module, name)
        msg = f"it names {module}.{name}, which is no data"
        raise pickle.UnpicklingError(msg)


def _storage(data: bytes) -> Any:
    """Return the numbers of a tensor; the function torch itself uses would run a nested pickle."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about typed storages, which were used then
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def _tensor(storage: Any, offset: int, size: Any, stride: Any, *_: Any) -> Any:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        flat = torch.tensor([], dtype=storage.dtype).set_(storage.untyped())
    return flat.as_strided(size, stride, offset)


def _plain(packed: bytes) -> Any:
    if packed[:1] == b"\x78":  # zlib, used in later sets
        packed = zlib.decompress(packed)
    return _Unpickler(io.BytesIO(packed)).load()


def _record(graph: Any) -> dict[str, Any]:
    """Return a graph as the plain arrays of a structure."""
    found: dict[str, Any] = dict(graph)
    for store in ("_store", "__dict__"):
        inner = found.get(store)
        if isinstance(inner, dict):
            found = dict(inner)
            found = dict(found["_mapping"]) if isinstance(found.get("_mapping"), dict) else found
    record: dict[str, Any] = {}
    for name, value in found.items():
        if name in _LEFT_OUT or name.startswith("_") or value is None:
            continue
        array = np.asarray(value)
        if array.dtype.kind in "biufU":
            record[_NAMES.get(name, str(name))] = array.tolist()
    if "cell" in record:
        record |= {"cell": np.reshape(record["cell"], (3, 3)).tolist(), "pbc": [True] * 3}
    if "atomic_numbers" in record:
        record["atomic_numbers"] = [round(z) for z in record["atomic_numbers"]]
    return record


def _opened(path: Path) -> Any:
    import lmdb

    refuse_cut_off(path)
    try:
        return lmdb.open(
            str(path), subdir=path.is_dir(), readonly=True, lock=False, readahead=False
        )
    except lmdb.Error as exc:
        msg = f"{path}: cannot be read as LMDB ({cause(exc)}). Check that it is complete."
        raise DataError(msg) from exc


def _takes(path: Path, head: bytes) -> bool:
    return bool(head) and path.suffix.lower() == ".lmdb"


def _open(path: Path) -> Frames:
    require_package(path, "LMDB", "lmdb", "lmdb")
    return GraphFrames(path)


READER = Reader("oc20", _takes, _open, ("*.lmdb",))
