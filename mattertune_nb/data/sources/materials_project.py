"""Structures from the Materials Project, through its own client."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, Literal

from typing_extensions import override

from mattertune_nb.config.base import setting
from mattertune_nb.config.errors import DataError, cause
from mattertune_nb.data.cache_folder import cache_folder, keep
from mattertune_nb.data.readers.reader import require_package
from mattertune_nb.data.sources.fetched import FetchedSource

KEY = "MP_API_KEY"
"""Environment variable in which the client looks for the key."""


class MPDatasetConfig(FetchedSource):
    """Relaxed structures from the Materials Project; downloaded once, with the key in ``MP_API_KEY``."""

    type: Literal["mp"] = setting(
        "mp", "Kind of source.", label="Kind of source", options={"mp": "Materials Project"}
    )
    query: dict[str, Any] = setting(
        ...,
        "What is asked for, as arguments of mp-api's materials.summary.search, e.g. chemsys: Li-Mn-O. The "
        "answer is kept in the user's cache folder, so that a run is resumed on the same structures.",
        label="Query",
        basic=True,
        fixed=True,
        min_length=1,
    )
    fields: list[str] = setting(
        lambda: ["energy_per_atom", "uncorrected_energy_per_atom"],
        "What is asked of each material beside its structure and its id; energy_per_atom is taken as the "
        "energy, others by their names.",
        label="Fields",
        fixed=True,
    )

    @property
    @override
    def src(self) -> Path:
        asked = json.dumps([self.query, sorted(self.fields)], sort_keys=True, default=str)
        digest = hashlib.sha256(asked.encode()).hexdigest()[:24]
        return cache_folder("materials_project") / f"{digest}.json"

    @override
    def fetch(self) -> None:
        where = Path("the Materials Project")
        require_package(where, "asking it", "mp_api", "mp")
        if not os.environ.get(KEY):
            msg = (
                f"{where}: its key is missing. Set the variable {KEY} to yours, which "
                "next-gen.materialsproject.org/api shows once you are logged in."
            )
            raise DataError(msg)
        from mp_api.client import MPRester

        wanted = list(dict.fromkeys(["material_id", "structure", *self.fields]))
        try:
            with MPRester(use_document_model=False, mute_progress_bars=True) as client:
                search = client.materials.summary.search
                found = search(all_fields=False, fields=wanted, **self.query)
        except Exception as exc:  # from requests, from pydantic, and its own
            msg = (
                f"{where}: {json.dumps(self.query, default=str)} cannot be fetched ({cause(exc)})."
            )
            raise DataError(msg) from exc
        records = [_plain(record) for record in found]
        if not records:
            msg = f"{where}: no material fits {json.dumps(self.query, default=str)}."
            raise DataError(msg)
        try:
            keep(self.src, lambda file: file.write(json.dumps(records).encode()))
        except OSError as exc:
            msg = f"{self.src}: what was fetched cannot be kept ({exc.strerror})."
            raise DataError(msg) from exc


def _plain(record: Any) -> dict[str, Any]:
    """Return a record as plain JSON data; the client creates structure objects and its own id type."""
    plain: dict[str, Any] = json.loads(json.dumps(dict(record), default=_as_json))
    return {name: value for name, value in plain.items() if value is not None}


def _as_json(value: Any) -> Any:
    return value.as_dict() if hasattr(value, "as_dict") else str(value)
