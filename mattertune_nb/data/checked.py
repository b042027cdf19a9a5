"""Results of checking a data set, cached while its files and the rules are the same."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from mattertune_nb.data.cache_folder import load_array, save_array
from mattertune_nb.data.content import cached_under, file_state

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from mattertune_nb.data.dataset import AtomsDataset

_VERSION = 1
"""Increase whenever a check finds more or less than before, or the cached format changes."""


class Checked:
    """The cache entry of a check.

    Parameters
    ----------
    dataset
        Data set being checked.
    required, elements, is_held_out
        Arguments of :func:`~mattertune_nb.data.frame_checks.check_dataset`.
    """

    def __init__(
        self,
        dataset: AtomsDataset,
        required: Mapping[Any, str],
        elements: Collection[str] | None,
        *,
        is_held_out: bool,
    ) -> None:
        # each of several sets has its own names
        state = file_state(dataset) if dataset.has_one_naming else None
        how = (
            [(str(label), missing) for label, missing in required.items()],
            None if elements is None else sorted(elements),
            is_held_out,
            (dataset.name, dataset.keys, dataset.notes),
        )
        kept_under = f"{_VERSION} {version('mattertune-nb')} {state} {how}"
        self._file: Path | None = None if state is None else cached_under("checked", kept_under)

    def read(self) -> tuple[dict[str, Any], NDArray[np.int64]] | None:
        """Return what was stored by :meth:`keep`, or None if there is nothing or it is damaged."""
        table = None if self._file is None else load_array(self._file)
        if self._file is None or table is None or table.ndim != 2:
            return None
        try:
            facts: dict[str, Any] = json.loads(self._file.with_suffix(".json").read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return (facts, table.astype(np.int64)) if facts.get("shape") == list(table.shape) else None

    def keep(self, facts: dict[str, Any], composition: NDArray[np.int64]) -> None:
        """Store the findings: text and numbers, and the atoms of each element in each frame."""
        if self._file is None:
            return
        save_array(self._file, composition.astype(np.int32))
        try:
            text = json.dumps(facts | {"shape": composition.shape})
            self._file.with_suffix(".json").write_text(text, encoding="utf-8")
        except OSError:
            return
