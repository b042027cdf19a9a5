"""Commands for several runs as one, i.e. ensembles and learning curves, and for selecting frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mattertune_nb.cli_console import PlainConsole, passing_bar
from mattertune_nb.cli_runs import exit_if_interrupted
from mattertune_nb.config.errors import ConfigError, RunError
from mattertune_nb.config.overrides import override_settings
from mattertune_nb.config.places import SERIES

if TYPE_CHECKING:
    from mattertune_nb.training.config import MatterTunerConfig

console = PlainConsole()

_Config = Annotated[Path, typer.Argument(help="A run's settings as YAML.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Change a field, e.g. trainer.max_epochs=5."),
]


def read_config(file: Path, changes: list[str] | None) -> MatterTunerConfig:
    """Return a run's settings with the changes of ``--set``.

    Raises
    ------
    ConfigError
        The file is no config, or a setting is unknown, missing or not allowed.
    """
    from mattertune_nb.training.config import MatterTunerConfig

    try:
        config = MatterTunerConfig.from_yaml(file)
    except ConfigError as exc:
        if not file.is_file() or file.suffix in (".yaml", ".yml"):
            raise
        msg = f"{exc} If it contains structures: `mattertune-nb init {file} > config.yaml` writes a config."
        raise ConfigError(msg) from exc
    return override_settings(config, changes or [])


def ensemble(
    config: _Config,
    members: Annotated[int, typer.Option(help="How many runs, each with its own seed.")] = 4,
    set_: Settings = None,
) -> None:
    """Train the same run with several seeds; their folder can be used as one model with an uncertainty."""
    from mattertune_nb.training.ensemble import new_ensemble

    settings = read_config(config, set_)
    _say(new_ensemble(settings, members).train())


def learning_curve(
    config: _Config,
    fraction: Annotated[
        list[float] | None,
        typer.Option(
            help="Fraction of the training set; may be given several times; default: 0.25, 0.5, 1."
        ),
    ] = None,
    set_: Settings = None,
) -> None:
    """Train on parts of the training set, and estimate the gain from twice the data."""
    from mattertune_nb.training.learning_curve import new_learning_curve

    settings = read_config(config, set_)
    _say(new_learning_curve(settings, fraction or (0.25, 0.5, 1.0)).train())


def select(
    pool: Annotated[Path, typer.Argument(help="Structures, with or without labels.")],
    n: Annotated[int, typer.Argument(help="How many to choose.")],
    by: Annotated[
        str, typer.Option(help="uncertainty or both (need an ensemble), distance or diversity.")
    ] = "uncertainty",
    model: Annotated[
        Path | None, typer.Option(help="Folder of an ensemble, a run's directory or a checkpoint.")
    ] = None,
    known: Annotated[
        Path | None, typer.Option(help="Structures known already; default: the run's training set.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Extended XYZ to write.")] = Path(
        "selected.xyz"
    ),
    inputs: Annotated[
        str | None, typer.Option(help="Also write input files: vasp, espresso or cp2k.")
    ] = None,
) -> None:
    """Choose which of many structures to compute next, and write them for DFT."""
    from mattertune_nb.training.dft_inputs import check_code
    from mattertune_nb.training.files import check_target
    from mattertune_nb.training.selection import select

    check_target(output, pool)
    if inputs is not None:
        check_code(inputs)
    with passing_bar() as show:
        found = select(pool, n, by, model, known=known, progress=show)  # type: ignore[arg-type]  # it says what is allowed
    console.say(found)
    written = found.write(output)
    places = f"Wrote {written}."
    if inputs is not None:
        folder = output.with_suffix("")
        found.write_inputs(folder, inputs)
        places += (
            f" Input files are in {folder}: complete them (functional, cutoff, k-points, potentials) as for "
            "your other labels."
        )
    console.say(places)


def is_series(path: Path) -> bool:
    """Return whether a folder contains runs that belong together."""
    return (path / SERIES).is_file()


def resume_series(path: Path) -> None:
    """Train the remaining runs of an ensemble or a learning curve, and print the results."""
    from mattertune_nb.training.ensemble import EnsembleRun
    from mattertune_nb.training.learning_curve import LearningCurve

    kinds: tuple[type[EnsembleRun | LearningCurve], ...] = (EnsembleRun, LearningCurve)
    for kind in kinds:
        try:
            series = kind(path)
        except RunError:
            continue
        _say(series.train())
        return
    msg = f"{path}: contains neither an ensemble nor a learning curve of this version."
    raise RunError(msg)


def _say(series: Any) -> None:
    place = f"The runs are in {series.path}."
    if series.interrupted_by is not None:
        place = (
            f"Stopped after {series.progress()}. To continue: mattertune-nb resume {series.path}"
        )
    for line in (*series.told(), place):
        console.say(line)
    exit_if_interrupted(series.interrupted_by)
