"""What a tuned model is, what it was made from, and what it is not for: a card beside its weights."""

from __future__ import annotations

import contextlib
import json
import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from mattertune_nb.config.errors import DataError, MatterTuneError
from mattertune_nb.config.escaped import escaped
from mattertune_nb.config.places import checkpoint_file
from mattertune_nb.config.properties import ENERGY, FORCES
from mattertune_nb.config.yaml import dump_yaml
from mattertune_nb.data.division.splits import AutoSplitDataModuleConfig
from mattertune_nb.data.evenly import evenly_spread
from mattertune_nb.data.fingerprint import fingerprint
from mattertune_nb.data.sources.configs import AtomsListDatasetConfig
from mattertune_nb.model.checkpoint import read_checkpoint
from mattertune_nb.model.starting import start_in
from mattertune_nb.physics.scorecard import read_scorecard
from mattertune_nb.training.files import write_text
from mattertune_nb.training.outcome.verdict import verdict
from mattertune_nb.training.records.foreign import read_foreign
from mattertune_nb.training.records.split import datasets_of
from mattertune_nb.training.records.summary import summary_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from mattertune_nb.backbones.base import BackboneConfig
    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.data.sources.configs import DatasetConfig
    from mattertune_nb.training.config import MatterTunerConfig
    from mattertune_nb.training.records.summary import Summary
    from mattertune_nb.training.run_dir import RunDirectory

log = logging.getLogger(__name__)

_VERSION = 1
_MOST = 2000
"""Maximum number of frames read for ranges; if there are more, evenly spaced ones."""

_TITLES = {
    "not_for": "not to be used for",
    "sha256": "SHA-256",
    "cutoff_A": "cutoff (Å)",
    "periodicity": "periodic along x, y, z (T: true, F: false)",
    "atoms_a_frame": "atoms in a frame, from and to",
    "volume_A3_per_atom": "volume (Å³/atom), from and to",
    "temperature_K": "temperature (K), from and to",
    "largest_force_eV_per_A": "largest force (eV/Å)",
    "forces_meV_per_A": FORCES.with_unit("difference of forces"),
    "energy_meV_per_atom": ENERGY.with_unit("difference of energies"),
}
"""Titles on the page, where a key of the YAML is too short to read."""

_TEMPERATURES = ("temperature", "temperature_K", "T")


def model_card(run: RunDirectory) -> dict[str, Any]:
    """Return the card of a run's best weights as builtins.

    Parameters
    ----------
    run
        The run's directory.

    Raises
    ------
    ConfigError
        The run's settings cannot be read.
    """
    config, summary = run.config(), summary_of(run)
    training = _training_data(run)
    card = {
        "card_version": _VERSION,
        "name": run.path.name,
        "model": _model(run, config),
        "data": _data(config, summary) | training,
        "errors": _errors(summary),
        "elsewhere": _elsewhere(run, summary),
        "scorecard": _scorecard(run),
        "not_for": _not_for(training, summary),
        "versions": _versions(run),
        "settings": _settings(config),
    }
    return {name: value for name, value in card.items() if value not in ({}, [], None)}


def write_model_card(run: RunDirectory) -> Path | None:
    """Write the card as ``model_card.yaml`` and ``model_card.html``; return the latter.

    A failure costs only the card, and ``None`` is returned.

    Parameters
    ----------
    run
        The run's directory.
    """
    try:
        card = model_card(run)
        write_text(run.card_file, dump_yaml(card))
        page = run.card_file.with_suffix(".html")
        write_text(page, card_html(card))
    except (MatterTuneError, OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as exc:
        log.warning("The model card could not be written (%s).", exc)
        return None
    return page


def card_html(card: dict[str, Any]) -> str:
    """Return a card as a page.

    Parameters
    ----------
    card
        As :func:`model_card` returns it.
    """
    name = escaped(str(card["name"]))
    parts = [
        f"<h2>{escaped(_title(key))}</h2>{_html(value)}"
        for key, value in card.items()
        if key not in ("name", "settings", "card_version")
    ]
    settings = escaped(dump_yaml(card.get("settings", {})))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}: model card</title>'
        "<style>body{font:15px/1.5 sans-serif;max-width:900px;margin:2em auto;padding:0 1em}"
        "td{vertical-align:top;padding:2px 12px 2px 0}pre{overflow:auto}</style></head><body>"
        f"<h1>{name}: model card</h1>{''.join(parts)}<h2>Settings</h2><pre>{settings}</pre></body></html>"
    )


def _html(value: Any) -> str:
    if isinstance(value, dict):
        rows = "".join(
            f"<tr><td>{escaped(_title(str(k)))}</td><td>{_html(v)}</td></tr>"
            for k, v in value.items()
        )
        return f"<table>{rows}</table>"
    if isinstance(value, list):
        if all(not isinstance(item, (dict, list)) for item in value) and len(str(value)) < 90:
            return escaped(", ".join(map(str, value)))
        return f"<ul>{''.join(f'<li>{_html(item)}</li>' for item in value)}</ul>"
    return escaped(str(value))


def _title(key: str) -> str:
    words = _TITLES.get(key) or key.replace("_", " ")
    return words[:1].upper() + words[1:]


def _model(run: RunDirectory, config: MatterTunerConfig) -> dict[str, Any]:
    model = config.model
    about: dict[str, Any] = {"backbone": model.name}
    if model.checkpoint is not None:
        about["tuned_from"] = str(model.checkpoint)
    first = _first(run, model)
    facts, weights = first.facts(), getattr(first, "pretrained_model", None)
    if first.checkpoint is not None:
        weights = first.checkpoint
    if weights is not None and weights != model.checkpoint:
        about["pretrained_weights"] = str(weights)
    about["licence_of_the_weights"] = "not known"
    if facts is not None:
        how = "" if first.checkpoint is None else " (if the file is what its name says)"
        about |= {
            "pretrained_on": facts.trained_on,
            "licence_of_the_weights": f"{facts.licence}{how}",
            "parameters": facts.parameters,
            "cutoff_A": facts.cutoff,
        }
    return about | {"predicts": list(model.property_names)}


def _first(run: RunDirectory, model: BackboneConfig) -> BackboneConfig:
    """Return the config of the weights that were tuned first, by this run or by one that it goes on from."""
    if model.checkpoint is None:
        return model
    try:
        return type(model).from_dict(
            dict(start_in(read_checkpoint(checkpoint_file(run.path))).settings)
        )
    except MatterTuneError:
        return model


def _data(config: MatterTunerConfig, summary: Summary) -> dict[str, Any]:
    sources = []
    for source in _sources(config):
        if isinstance(source, AtomsListDatasetConfig):
            sources.append({"source": f"{len(source.atoms_list)} structures from Python"})
            continue
        entry = {"source": str(source.src)}
        with contextlib.suppress(DataError):
            entry["sha256"] = fingerprint(source)
        sources.append(entry)
    return {
        "sources": sources,
        "training_frames": summary.n_train,
        "validation_frames": summary.n_validation,
    }


def _sources(config: MatterTunerConfig) -> Iterable[DatasetConfig]:
    data = config.data
    if isinstance(data, AutoSplitDataModuleConfig):
        return [data.dataset]
    several = data.validation.values() if isinstance(data.validation, dict) else [data.validation]
    return [data.train, *several]


def _training_data(run: RunDirectory) -> dict[str, Any]:
    """Return elements and ranges of the training frames."""
    try:
        dataset = datasets_of(run)["train"]
        return _ranges(dataset)
    except (MatterTuneError, OSError, KeyError) as exc:
        return {"note": f"The training frames could not be read again: {exc}"}


def _ranges(dataset: AtomsDataset) -> dict[str, Any]:
    chosen = evenly_spread(len(dataset), _MOST)
    found: dict[str, list[float]] = {"volume": [], "force": [], "n_atoms": [], "temperature": []}
    elements: set[str] = set()
    periodic: set[str] = set()
    for i in chosen.tolist():
        atoms, labels = dataset.frame(i), dataset.labels(i)
        elements |= set(atoms.symbols)
        periodic.add("".join("FT"[int(p)] for p in atoms.pbc))
        found["n_atoms"].append(len(atoms))
        if atoms.pbc.all():
            found["volume"].append(float(atoms.get_volume()) / len(atoms))
        if FORCES.name in labels:
            norms = np.linalg.norm(np.asarray(labels[FORCES.name]), axis=1)
            found["force"].append(float(np.nanmax(norms)))
        for key in _TEMPERATURES:
            if isinstance(atoms.info.get(key), (int, float)):
                found["temperature"].append(float(atoms.info[key]))
                break
    out: dict[str, Any] = {
        "elements": sorted(elements),
        "periodicity": sorted(periodic),
        "atoms_a_frame": [int(min(found["n_atoms"])), int(max(found["n_atoms"]))],
    }
    if found["volume"]:
        out["volume_A3_per_atom"] = [round(f(found["volume"]), 3) for f in (min, max)]
    if found["force"]:
        out["largest_force_eV_per_A"] = round(max(found["force"]), 3)
    if found["temperature"]:
        out["temperature_K"] = [f(found["temperature"]) for f in (min, max)]
    return out


def _errors(summary: Summary) -> dict[str, Any]:
    return {
        f"{change.name} ({change.unit})" if change.unit else change.name: {
            change.than: None if change.before is None else float(f"{change.before:.4g}"),
            "tuned": float(f"{change.after:.4g}"),
        }
        for change in verdict(summary).changes
    }


def _elsewhere(run: RunDirectory, summary: Summary) -> dict[str, Any]:
    record, told = read_foreign(run), verdict(summary)
    out: dict[str, Any] = {}
    if told.elsewhere is not None and record is not None:
        out |= {
            "structures": record.n_structures,
            "compared_with": record.source if record.has_labels else "the untuned model",
            "forces_meV_per_A": float(f"{told.elsewhere.forces:.4g}"),
            "energy_meV_per_atom": float(f"{told.elsewhere.energy:.4g}"),
        }
    return out | ({"holes": told.holes} if told.holes else {})


def _scorecard(run: RunDirectory) -> dict[str, Any] | None:
    card = read_scorecard(run.scorecard_file)
    if card is None:
        return None
    return {line.title: f"{line.status}: {line.tuned} {line.reason}".strip() for line in card.lines}


def _not_for(training: dict[str, Any], summary: Summary) -> list[str]:
    """Return what a model should not be used for, as far as the run knows."""
    said = []
    if "elements" in training:
        said.append(
            f"elements other than {', '.join(training['elements'])}, which were not in the training set"
        )
    if "volume_A3_per_atom" in training:
        low, high = training["volume_A3_per_atom"]
        said.append(
            f"volumes outside {low:g} to {high:g} Å³ per atom, which were not in the training set"
        )
    elif "periodicity" in training:
        said.append("crystals and liquids: no frame was periodic in three directions")
    if "largest_force_eV_per_A" in training:
        said.append(
            f"forces above {training['largest_force_eV_per_A']:g} eV/Å, which were not in the training set"
        )
    judged = verdict(summary)
    if judged.worse:
        said.append(f"it is worse than before in {judged.worse_in_words}")
    if any(hole["is_new"] for hole in summary.holes or []):
        said.append(
            "high pressure, collisions and random structure searches: atoms fall into new holes"
        )
    predicted = {key.split(" ")[0] for key in _errors(summary)}
    if "stress" not in predicted:
        said.append("variable cells: the stress was not trained")
    return said


def _settings(config: MatterTunerConfig) -> dict[str, Any]:
    """Return all settings, but no structures: there may be thousands from Python."""
    if any(isinstance(source, AtomsListDatasetConfig) for source in _sources(config)):
        return {k: v for k, v in config.to_dict().items() if k != "data"}
    return config.to_dict()


def _versions(run: RunDirectory) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(run.versions_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found
