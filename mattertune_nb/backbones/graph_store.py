"""Graphs on disk, so that a second run on the same structures need not rebuild them."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import sqlite3
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from mattertune_nb.backbones.graph import Graph
from mattertune_nb.data.cache_folder import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from ase import Atoms

T = TypeVar("T")

log = logging.getLogger(__name__)

_VERSION = 2
_TIMEOUT = 10.0  # s; another process may be writing
_PAGE = 8192  # bytes; a graph is tens to hundreds of kilobytes


class GraphStore:
    """Graphs of one kind in a file of limited size in the user's cache folder.

    Several processes may use it at once. If anything goes wrong with the file, graphs are simply rebuilt.

    Parameters
    ----------
    kind
        What graphs depend on besides the structure; see :attr:`Backbone.graph_kind`.
    megabytes
        Maximum size of the file; the oldest graphs are dropped.
    folder
        Folder of the file; by default ``mattertune_nb/graphs`` in the user's cache folder.
    info
        Keys of ``Atoms.info`` on which a graph depends.
    """

    def __init__(
        self, kind: str, megabytes: float, folder: Path | None = None, info: Iterable[str] = ()
    ) -> None:
        self._kind = f"{_VERSION} {kind}"
        self._info = tuple(info)
        self._megabytes = megabytes
        name = hashlib.sha256(self._kind.encode()).hexdigest()[:16]
        self.path = (folder or cache_folder("graphs")) / f"{name}.sqlite"
        self._connection: sqlite3.Connection | None = None
        self._pid = -1
        self._usable = megabytes > 0

    def get(self, atoms: Atoms) -> Graph | None:
        """Return the graph of a structure, or ``None`` if there is none."""
        return self._in_transaction(lambda connection: _read(connection, self._key(atoms)))

    def put(self, atoms: Atoms, graph: Graph) -> None:
        """Store the graph of a structure."""
        self._in_transaction(lambda connection: self._write(connection, self._key(atoms), graph))

    def _in_transaction(self, action: Callable[[sqlite3.Connection], T]) -> T | None:
        if not self._usable:
            return None
        try:
            with self._open() as connection:
                return action(connection)
        except Exception as exc:  # sqlite, the disk or a damaged entry: graphs are built instead
            log.warning("Graphs are not kept in %s (%s).", self.path, exc)
            self._usable = False
            return None

    def _write(self, connection: sqlite3.Connection, key: bytes, graph: Graph) -> None:
        connection.execute("INSERT OR REPLACE INTO graphs VALUES (?, ?)", (key, _to_bytes(graph)))
        pages, free = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count")
        )
        if (pages - free) * _PAGE > self._megabytes * 1e6:
            connection.execute(
                "DELETE FROM graphs WHERE rowid IN (SELECT rowid FROM graphs ORDER BY rowid "
                "LIMIT (SELECT 1 + COUNT(*) / 10 FROM graphs))"
            )

    def _open(self) -> sqlite3.Connection:
        # a connection must not cross a fork
        if self._connection is None or self._pid != os.getpid():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self.path, timeout=_TIMEOUT, check_same_thread=False)
            self._pid = os.getpid()
            self._connection.execute(f"PRAGMA page_size = {_PAGE}")
            # anything lost in a power cut is rebuilt
            self._connection.execute("PRAGMA synchronous = OFF")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS graphs (key BLOB UNIQUE, graph BLOB)"
            )
        return self._connection

    def __reduce__(self) -> tuple[Any, ...]:
        kind = self._kind.partition(" ")[2]
        return type(self), (kind, self._megabytes, self.path.parent, self._info)

    def _key(self, atoms: Atoms) -> bytes:
        content = hashlib.sha256()
        for array in (
            atoms.numbers.astype(np.int64),
            atoms.positions,
            atoms.cell.array,
            np.asarray(atoms.pbc, dtype=np.int64),
        ):
            content.update(np.ascontiguousarray(array).tobytes())
        for name in self._info:
            content.update(f"{name}={atoms.info.get(name)!r};".encode())
        return content.digest()


def _read(connection: sqlite3.Connection, key: bytes) -> Graph | None:
    row = connection.execute("SELECT graph FROM graphs WHERE key = ?", (key,)).fetchone()
    return _from_bytes(row[0]) if row else None


def _to_bytes(graph: Graph) -> bytes:
    """Return a graph as bytes: a line naming its arrays, then the arrays, with integers in 32 bits.

    Writing or reading torch's own format takes longer than building the graph of a small structure.
    """
    small = {k: v.int() if v.dtype == torch.int64 else v for k, v in graph.tensors().items()}
    arrays = {name: tensor.numpy() for name, tensor in small.items()}
    head = [(name, str(array.dtype), array.shape) for name, array in arrays.items()]
    return b"".join([json.dumps(head).encode(), b"\n", *(a.tobytes() for a in arrays.values())])


def _from_bytes(data: bytes) -> Graph:
    start = data.index(b"\n") + 1
    tensors = {}
    for name, dtype, shape in json.loads(data[:start]):
        array = np.frombuffer(data, dtype, count=math.prod(shape), offset=start).reshape(shape)
        start += array.nbytes
        # a copy, because arrays backed by bytes are read-only
        tensors[name] = torch.from_numpy(array.astype(np.int64 if dtype == "int32" else dtype))
    return Graph.from_tensors(tensors)
