"""Translates data sets in MatterTune configs to their equivalents here."""

from __future__ import annotations

import os
from typing import Any

from mattertune_nb.config.errors import about, cut
from mattertune_nb.config.properties import PROPERTIES
from mattertune_nb.data.sources.materials_project import KEY

_KEYS = {name: p.key_field for p in PROPERTIES.values() for name in (p.name, p.ase)}


def from_mattertune(data: Any) -> Any:
    """Return the settings of a data set under our names, if they use those of MatterTune.

    ``json`` with its ``tasks``, ``omat24`` and ``mptraj`` become files; the last two are not downloaded. A
    key given for ``mp`` is put into this process's environment, and never appears in a saved config.

    Raises
    ------
    ConfigError
        A label has no equivalent here, or the data have to be downloaded first.
    """
    if not isinstance(data, dict):
        return data
    kind = data.get("type")
    if not isinstance(kind, str):
        return data
    if kind == "mp" and "api" in data:
        os.environ[KEY] = str(data["api"])
        return {name: value for name, value in data.items() if name != "api"}
    if kind == "matbench" and data.get("split") == "valid":
        return data | {"split": "validation"}
    if kind not in ("json", "omat24", "mptraj"):
        return data
    if "src" not in data:
        text = f"'{kind}' is not downloaded; give its file or folder as src"
        raise about(text, "src")
    renamed = {k: v for k, v in data.items() if k not in ("type", "tasks", "split")}
    tasks = data.get("tasks") or {}
    if not isinstance(tasks, dict):
        text = "write a label and its name on each line, as in 'energy: dft_energy'"
        raise about(text, "tasks")
    for label, key in tasks.items():
        name = _KEYS.get(label)
        if name is None:
            text = (
                f"'{cut(str(label))}' is no label of energy, forces or stress; name it by `key` of a "
                "property of the model (GraphPropertyConfig)"
            )
            raise about(text, "tasks")
        renamed[name] = key
    return {"type": "xyz", **renamed}
