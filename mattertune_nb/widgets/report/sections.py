"""The sections of a report, from the run's directory."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from mattertune_nb.config.errors import DataError, RunError
from mattertune_nb.data.division.splits import AutoSplitDataModuleConfig
from mattertune_nb.data.fingerprint import fingerprint
from mattertune_nb.data.sources.configs import AtomsListDatasetConfig
from mattertune_nb.physics.scorecard import read_scorecard
from mattertune_nb.training.outcome.headlines import HEADLINES, MAIN, headlines_of
from mattertune_nb.training.outcome.stages import gain, validated_stages
from mattertune_nb.training.records.findings import read_findings
from mattertune_nb.training.records.foreign import read_foreign
from mattertune_nb.training.records.novelty import read_novelty
from mattertune_nb.training.records.walls import read_walls
from mattertune_nb.widgets.live.curves_picture import draw_curves
from mattertune_nb.widgets.live.distance_view import distance_html, draw_distances, paired
from mattertune_nb.widgets.live.elsewhere_view import foreign_html
from mattertune_nb.widgets.live.expected import expected_of
from mattertune_nb.widgets.live.series import CurveData
from mattertune_nb.widgets.live.validation_view import about_property
from mattertune_nb.widgets.live.walls_view import draw_walls, walls_html
from mattertune_nb.widgets.page.style import number
from mattertune_nb.widgets.report.html import paragraph, picture, table, text

if TYPE_CHECKING:
    from mattertune_nb.data.sources.configs import DatasetConfig
    from mattertune_nb.training.config import MatterTunerConfig
    from mattertune_nb.training.outcome.headlines import Headline
    from mattertune_nb.training.runs.run import Run


def summary(run: Run) -> str:
    """Return state, length and time of a run, shown below the title."""
    status = run.status()
    times = [r["time"] for r in run.metrics() if isinstance(r.get("time"), (int, float))]
    facts = [status.state, f"epoch {status.counted_epoch}", f"step {status.step}"]
    if times:
        facts.append(time.strftime("%d %B %Y, %H:%M", time.localtime(times[0])))
    line = paragraph(" · ".join(facts), "faint") + paragraph(run.path.absolute(), "faint")
    return line + (paragraph(status.error, "bad") if status.error else "")


def errors(run: Run) -> str:
    """Return the validation errors before and after training, as recorded."""
    baseline: dict[str, float] = {}
    for record in run.metrics():
        baseline |= {k: v for k, v in record.items() if k.startswith("baseline/") and v is not None}
    best = run.directory.best_metrics()
    if not best:
        return paragraph("No validation was recorded.")
    stages = validated_stages(baseline, best)
    *before, after = stages.values()
    rows = []
    learnt = run.config().model.learnt
    for metric, headline in (HEADLINES | headlines_of(learnt)).items():
        name = metric.removeprefix("val/")
        if metric not in MAIN.values() and name not in {p.main_metric for p in learnt}:
            continue
        if name not in after:
            continue
        cells: list[object] = [
            number(headline.factor * stage[name]) if name in stage else "–"
            for stage in stages.values()
        ]
        referenced = before[-1].get(name)
        cells.append("–" if referenced is None else gain(referenced, after[name]))
        rows.append([_label(headline), *cells])
    return table(["mean absolute error", *stages, "error against re-referenced"], rows) + paragraph(
        "On the validation set, which also selects the best weights.", "faint"
    )


def _label(headline: Headline) -> str:
    title = headline.title.removesuffix(" MAE")
    return f"{title} ({headline.unit})" if headline.unit else title


def curves(run: Run) -> str:
    """Return the curves of a run."""
    data = CurveData(*expected_of(run))
    data.add(run.metrics())
    figure = draw_curves(data)
    if figure is None:
        return paragraph("Nothing has been recorded yet.")
    return picture(figure, "Loss, errors and learning rate of the run by step")


def distances(run: Run) -> str:
    """Return the errors of the last validation against the distance of each frame to training."""
    novelty = read_novelty(run.directory)
    try:
        found = json.loads(run.directory.validation_file.read_text(encoding="utf-8"))
        far, errors_ = paired(novelty["validation"], found["frames"])
        prop = about_property(found["ranked_by"])
    except (OSError, ValueError, KeyError, TypeError):
        return paragraph("This run has no record of distances to the training frames.")
    figure = draw_distances(far, errors_, prop)
    return picture(figure, "Error of each validation frame against its distance to training") + (
        f"<p class='faint'>{distance_html(novelty)}</p>"
    )


def findings(run: Run) -> str:
    """Return the doctor's findings about the data before the first step."""
    report = read_findings(run.directory)
    if report is None:
        return paragraph(
            "The data of this run were not checked: run mattertune-nb check on its config.yaml."
        )
    return report.to_html()


def elsewhere(run: Run) -> str:
    """Return the errors or changes on structures away from the target."""
    record = read_foreign(run.directory)
    if record is None:
        return paragraph("Nothing was measured away from the target.")
    return foreign_html(record)


def walls(run: Run) -> str:
    """Return the energies of pairs of atoms before and after training."""
    record = read_walls(run.directory)
    if record is None or not record.untuned:
        return paragraph("This run has no record of pair energies.")
    return walls_html(record) + picture(draw_walls(record), "Pair energies")


def scorecard(run: Run) -> str:
    """Return whether the model is fit for use, as far as checked."""
    card = read_scorecard(run.directory.scorecard_file)
    if card is None:
        return paragraph("Not checked yet: run.validate() or mattertune-nb validate does.")
    return card.to_html()


def data(config: MatterTunerConfig, run: Run) -> str:
    """Return the data a run was trained on, with a hash that identifies the files."""
    counts = {stage: len(indices) for stage, indices in run.directory.splits().items()}
    rows = []
    for stages, source in _sources(config).items():
        used = [s for s in stages.split(", ") if counts.get(s)]
        frames = ", ".join(
            f"{number(counts[s])} {s}" if len(used) > 1 else number(counts[s]) for s in used
        )
        rows.append([", ".join(used) or stages, _name(source), frames or "–", _hash(source)])
    return table(["used for", "source", "frames", "SHA-256 now"], rows)


def _sources(config: MatterTunerConfig) -> dict[str, DatasetConfig]:
    if isinstance(config.data, AutoSplitDataModuleConfig):
        return {"train, validation, test": config.data.dataset}
    parts = {s: getattr(config.data, s) for s in ("train", "validation", "test")}
    found: dict[str, DatasetConfig] = {}
    for stage, source in parts.items():
        if isinstance(source, dict):
            found |= {f"{stage} ({name})": one for name, one in source.items()}
        elif source is not None:
            found[stage] = source
    return found


def _name(source: DatasetConfig) -> str:
    if isinstance(source, AtomsListDatasetConfig):
        return f"{len(source.atoms_list)} structures from Python"
    part = getattr(source, "split", getattr(source, "index", ":"))
    return str(source.src) if part == ":" else f"{source.src}, frames {part}"


def _hash(source: DatasetConfig) -> str:
    try:
        return fingerprint(source)
    except DataError as exc:
        return str(exc)


def settings(config: MatterTunerConfig) -> str:
    """Return all settings as the file from which the run can be repeated."""
    shown: Any = config
    sources = _sources(config).values()
    note = ""
    if any(isinstance(source, AtomsListDatasetConfig) for source in sources):
        # structures would be most of the file, and nobody reads them
        shown = config.model_copy(deep=True)
        for source in _sources(shown).values():
            if isinstance(source, AtomsListDatasetConfig):
                source.atoms_list = source.atoms_list[:1]
        note = (
            "Of the structures from Python only the first is shown; the run's config.yaml has all."
        )
    return f"<pre>{text(shown.to_yaml())}</pre>" + (paragraph(note, "faint") if note else "")


def versions(run: Run) -> str:
    """Return the software versions that trained the run."""
    try:
        found = json.loads(run.directory.versions_file.read_text(encoding="utf-8"))
        return table(["package", "version"], [list(item) for item in found.items()])
    except (OSError, ValueError, AttributeError) as exc:
        msg = f"{run.directory.versions_file}: cannot be read ({type(exc).__name__})."
        raise RunError(msg) from exc
