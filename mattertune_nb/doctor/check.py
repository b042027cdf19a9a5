"""The doctor: reads data once, lets an untuned backbone predict a sample, and reports its findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.data.contents import search_labels
from mattertune_nb.data.dataset import AtomsDataset, as_dataset
from mattertune_nb.data.isolated import without_isolated_atoms
from mattertune_nb.data.labels.choice import key_settings
from mattertune_nb.data.sources.configs import XYZDatasetConfig
from mattertune_nb.data.sources.open_dataset import is_source
from mattertune_nb.doctor import (
    exchanged,
    geometry,
    labels,
    lengths,
    mixed_units,
    model_energies,
    model_order,
    model_outliers,
    model_stresses,
    model_units,
    pairs,
)
from mattertune_nb.doctor.case import Case, Rule
from mattertune_nb.doctor.evidence import weigh
from mattertune_nb.doctor.exchanged import exchanged_elements
from mattertune_nb.doctor.facts import gather
from mattertune_nb.doctor.finding import Finding, Report, ordered
from mattertune_nb.doctor.picture import with_picture
from mattertune_nb.doctor.predicted import predict, untuned_model
from mattertune_nb.doctor.sets import against_training

if TYPE_CHECKING:
    from mattertune_nb.backbones.base import BackboneConfig
    from mattertune_nb.doctor.predicted import Predicted
    from mattertune_nb.model.module import FinetuneModuleBase

_SEARCHED = 20.0  # s, time limit for finding label names

Progress: TypeAlias = Callable[[str, int, int], None]

RULES: tuple[Rule, ...] = (
    *geometry.RULES,
    *lengths.RULES,
    *labels.RULES,
    *pairs.RULES,
    *exchanged.RULES,
    *mixed_units.RULES,
    *model_units.RULES,
    *model_stresses.RULES,
    *model_order.RULES,
    *model_energies.RULES,
    *model_outliers.RULES,
)
"""All rules about one data set, in reporting order."""


def _silent(what: str, done: int, total: int) -> None:
    """Report progress to nobody."""


def check(
    data: Any,
    backbone: str | BackboneConfig | None = None,
    *,
    validation: Any = None,
    progress: Progress | None = None,
) -> Report:
    """Check data for problems before training on them.

    Without a backbone, structures and labels are checked on their own: some ten thousand frames take seconds.
    With one, its untuned weights predict a sample, which reveals wrong units and signs, forces of other atoms
    and frames, mixed settings and outliers.

    Parameters
    ----------
    data
        A file, folder or pattern, a list of these, a dataset or its config, or a list of structures with
        labels.
    backbone
        Name of a backbone or its config; by default none is used.
    validation
        Validation data, in the same forms; compared with `data`.
    progress
        Called with the current task, and the numbers of frames done and in total.

    Returns
    -------
    Report
        The findings; ``report.is_sound`` if there are no errors.

    Raises
    ------
    DataError
        A file cannot be read.
    ConfigError
        There is no such backbone.
    """
    model = None if backbone is None else untuned_model(backbone)
    given = [data] if validation is None else [data, validation]
    opened = [_opened(one, model) for one in given]
    # as in a run, isolated atoms are references rather than frames
    looked_at = [without_isolated_atoms({"": dataset})[0][""] for dataset, _ in opened]
    cases = [
        replace(look_at(dataset, model, progress=progress or _silent), asked=frozenset(questions))
        for dataset, (_, questions) in zip(looked_at, opened, strict=True)
    ]
    findings = [finding for _, questions in opened for finding in questions.values()]
    # two parts of one source cannot be distinguished by its name
    is_one_source = len({case.source for case in cases}) < len(cases)
    parts = ("training", "validation") if is_one_source else ("",) * len(cases)
    for case, part in zip(cases, parts, strict=True):
        findings += [replace(finding, part=part) for finding in findings_of(case)]
    if validation is not None:
        findings += [
            replace(finding, part=parts[-1]) for finding in compared_with(cases[1], cases[0])
        ]
    return Report(
        ordered(findings),
        sum(len(case.facts) for case in cases),
        sum(len(case.predicted) for case in cases if case.predicted is not None),
    )


def look_at(
    dataset: AtomsDataset,
    model: FinetuneModuleBase | None = None,
    predicted: Predicted | None = None,
    progress: Progress = _silent,
) -> Case:
    """Read a data set, and let a model predict a sample of it.

    Parameters
    ----------
    dataset
        The frames.
    model
        An untuned backbone; by default nothing is predicted.
    predicted
        Its predictions, if already known.
    progress
        Called with the current task, and the numbers of frames done and in total.

    Raises
    ------
    DataError
        A frame cannot be read.
    """
    n = len(dataset)
    facts = gather(dataset, lambda done: progress("reading", done, n))
    elements = None if model is None else model.backbone.elements
    case = Case(facts, Path(dataset.name).name, predicted, elements)
    if model is None or predicted is not None or list(geometry.unknown_elements(case)):
        return case
    predicted = predict(model, facts, lambda done: progress("predicting", done, n))
    case = replace(case, predicted=predicted)
    return replace(case, exchanged=exchanged_elements(model, case))


def findings_of(case: Case) -> list[Finding]:
    """Yield the findings of all rules about a `case`, in order."""
    return _pictured([finding for rule in RULES for finding in rule(case)], case)


def compared_with(validation: Case, training: Case) -> list[Finding]:
    """Yield what validation shares with training, and what training lacks."""
    return _pictured(against_training(validation, training), validation)


def _pictured(findings: Iterable[Finding], case: Case) -> list[Finding]:
    return [with_picture(finding, case.facts.dataset) for finding in findings]


def _opened(data: Any, model: FinetuneModuleBase | None) -> tuple[AtomsDataset, dict[str, Finding]]:
    """Open data; label names in files are determined, with a finding for each that is unclear."""
    if not is_source(data):
        return data.create_dataset() if hasattr(data, "create_dataset") else as_dataset(data), {}
    config = XYZDatasetConfig(src=data)
    dataset = config.create_dataset()
    choices = search_labels(dataset, at_most=_SEARCHED).choices()
    if model is not None:
        with suppress(MatterTuneError):  # frames it cannot handle are reported below
            weigh(dataset, choices, model, model.hparams.name)
    dataset.keys = config.model_copy(update=key_settings(choices)).keys
    remedy = "Name the label in the data set's config; `mattertune-nb init` writes one."
    where = Path(dataset.name).name
    return dataset, {
        label: Finding("label-candidates", "error", choice.question, remedy, source=where)
        for label, choice in choices.items()
        if choice.question is not None
    }
