"""Data sets as configs of MatterTune name them, read as what they are here."""

from __future__ import annotations

from typing import Any

from mattertune_nb.config.errors import about

_KEYS = {"energy": "energy_key", "forces": "forces_key", "stress": "stress_key"}
_ELSEWHERE = {
    "matbench": "install matbench, and give its structures as atoms_list",
    "mp": "fetch the structures with mp-api, and give them as atoms_list",
}


def from_mattertune(data: Any) -> Any:
    """Return the settings of a data set under the names of here, where they are those of MatterTune.

    ``json`` with its ``tasks``, ``omat24`` and ``mptraj`` become files; the last two are not downloaded.

    Raises
    ------
    ConfigError
        A label has no place here, or the data have to be fetched first.
    """
    if not isinstance(data, dict):
        return data
    kind = data.get("type")
    if kind in _ELSEWHERE:
        text = f"'{kind}' downloads its data, which is not done here; {_ELSEWHERE[kind]}"
        raise about(text, "type")
    if kind not in ("json", "omat24", "mptraj"):
        return data
    if "src" not in data:
        text = f"'{kind}' is not downloaded; give its file or folder as src"
        raise about(text, "src")
    renamed = {k: v for k, v in data.items() if k not in ("type", "tasks", "split")}
    for label, key in (data.get("tasks") or {}).items():
        name = _KEYS.get("stress" if label == "stresses" else label)
        if name is None:
            text = (
                f"'{label}' is no label of energy, forces or stress; name it by `key` of a property of the "
                "model (GraphPropertyConfig)"
            )
            raise about(text, "tasks")
        renamed[name] = key
    return {"type": "xyz", **renamed}
