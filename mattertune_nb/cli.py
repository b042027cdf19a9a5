"""The command line: parses, calls, and prints; the work is done by the classes it calls."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mattertune_nb.config.errors import ConfigError, MatterTuneError, did_you_mean
from mattertune_nb.config.yaml import load_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mattertune_nb.training.config import MatterTunerConfig
    from mattertune_nb.training.tuner import TuneResult

app = typer.Typer(
    name="mattertune-nb",
    help="Fine-tune atomistic foundation models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console()

_ROWS = {
    "energy_per_atom_mae": "energy (meV/atom)",
    "forces_mae": "forces (meV/Å)",
    "stresses_mae": "stress (meV/Å³)",
}
_COLUMNS = {
    "untuned": "untuned",
    "references": "+ reference energies",
    "tuned": "tuned",
}


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        console.print(version("mattertune-nb"))
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Fine-tune atomistic foundation models."""


Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Change a field, e.g. trainer.max_epochs=5."),
]


@app.command()
def fit(
    config: Annotated[Path, typer.Argument(help="A run's settings as YAML; `init` prints some.")],
    set_: Settings = None,
) -> None:
    """Fine-tune a model as a config says."""
    from mattertune_nb.training.config import MatterTunerConfig
    from mattertune_nb.training.tuner import MatterTuner

    settings = override_settings(MatterTunerConfig.from_yaml(config), set_ or [])
    _report(MatterTuner(settings).tune(callbacks=[_progress_bar()]))


@app.command()
def resume(
    run: Annotated[Path, typer.Argument(help="The run's directory.")],
    set_: Settings = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Go on with a run that was stopped, killed, or should train longer."""
    from mattertune_nb.training.run_dir import RunDirectory
    from mattertune_nb.training.tuner import MatterTuner

    directory = RunDirectory.open(run)
    settings = override_settings(directory.config(), set_ or [])
    _report(MatterTuner(settings).resume(directory, callbacks=[] if quiet else [_progress_bar()]))


_KEY_HELP = "Key of the {}; not set: as in training."


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="A run's directory, or a checkpoint.")],
    data: Annotated[Path, typer.Argument(help="Structures with labels.")],
    energy_key: Annotated[str | None, typer.Option(help=_KEY_HELP.format("energy"))] = None,
    forces_key: Annotated[str | None, typer.Option(help=_KEY_HELP.format("forces"))] = None,
    stress_key: Annotated[str | None, typer.Option(help=_KEY_HELP.format("stress"))] = None,
) -> None:
    """Print the errors of a tuned model on a file, beside those of the untuned one."""
    from mattertune_nb.data.datasets import XYZDatasetConfig
    from mattertune_nb.training.evaluation import evaluate_stages, label_keys

    trained = label_keys(run)
    keys = {
        "energy_key": energy_key or trained.energy,
        "forces_key": forces_key or trained.forces,
        "stress_key": stress_key or trained.stress,
    }
    stages = evaluate_stages(run, XYZDatasetConfig(src=data, **keys).create_dataset())
    console.print(error_table(stages, str(data)))


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="A run's directory, or a checkpoint.")],
    source: Annotated[Path, typer.Argument(metavar="IN", help="Structures in any format of ASE.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Extended XYZ to write.")],
) -> None:
    """Write a file with the predicted energies, forces and stresses."""
    from mattertune_nb.training.evaluation import predict_file

    n_frames = predict_file(run, source, target)
    console.print(f"Wrote {n_frames} frames to {target}.", soft_wrap=True, markup=False)


@app.command()
def init(
    data: Annotated[Path, typer.Argument(help="File with the training data.")] = Path("data.xyz"),
    backbone: Annotated[str, typer.Option(help="Backbone, e.g. chgnet or sevennet.")] = "chgnet",
) -> None:
    """Print a commented config to begin with; names of labels are those of the file."""
    from mattertune_nb.training.template import commented_config

    sys.stdout.write(commented_config(data, backbone))


@app.command()
def demo(
    root: Annotated[Path, typer.Option(help="Folder for the run.")] = Path("runs"),
    max_epochs: Annotated[int | None, typer.Option(help="Train shorter or longer.")] = None,
) -> None:
    """Fine-tune CHGNet on the shipped ethanol data and print the errors before and after."""
    from mattertune_nb.data.datasets import XYZDatasetConfig
    from mattertune_nb.demo import demo_config, demo_data
    from mattertune_nb.training.evaluation import evaluate_stages
    from mattertune_nb.training.tuner import MatterTuner

    config = demo_config(root)
    if max_epochs is not None:
        config.trainer.max_epochs = max_epochs
    result = MatterTuner(config).tune(callbacks=[_progress_bar()])
    test = XYZDatasetConfig(src=demo_data("test")).create_dataset()
    stages = evaluate_stages(result.trainer.default_root_dir, test)
    console.print(error_table(stages, "ethanol, a trajectory that training never saw"))
    console.print(f"The run is in {result.trainer.default_root_dir}.", soft_wrap=True, markup=False)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(
    context: typer.Context,
    headless: Annotated[
        bool,
        typer.Option(
            "--headless", help="Open nothing: run the quickstart and write it and an HTML page."
        ),
    ] = False,
) -> None:
    """Open JupyterLab on the quickstart, copied here with the other notebooks; options are JupyterLab's."""
    from mattertune_nb.demo.quickstart import copy_quickstart, execute

    notebook = copy_quickstart(Path.cwd())
    if headless:
        console.print(f"Running {notebook.name}, some two minutes …")
        page = execute(notebook)
        console.print(f"Wrote {notebook} and {page}.", soft_wrap=True)
        return
    from jupyterlab.labapp import main as jupyter_lab

    # the address, and not the file as an argument: it is printed too where no browser can be opened
    jupyter_lab([f"--LabApp.default_url=/lab/tree/{notebook.name}", *context.args])


def main() -> None:
    """Run the command line; an error meant for people is one line and no traceback."""
    try:
        app()
    except MatterTuneError as exc:
        _say_error(str(exc))
        raise SystemExit(1) from None


def _say_error(message: str) -> None:
    """Print one line, in which brackets are brackets and not rich's markup."""
    line = Text.assemble(("Error:", "red"), " ", " ".join(message.split()))
    Console(stderr=True, soft_wrap=True, highlight=False).print(line)


def override_settings(config: MatterTunerConfig, changes: list[str]) -> MatterTunerConfig:
    """Return the config with dotted fields set, e.g. ``trainer.max_epochs=5``; values are YAML.

    Raises
    ------
    ConfigError
        Where a field does not exist or a value does not fit.
    """
    data = config.to_dict()
    given: set[tuple[str, ...]] = set()
    for change in changes:
        field, separator, text = change.partition("=")
        if not separator or not field:
            msg = f"--set {change}: write FIELD=VALUE, e.g. trainer.max_epochs=5."
            raise ConfigError(msg)
        try:
            value = load_yaml(text)
        except yaml.YAMLError as exc:
            reason = getattr(exc, "problem", None) or exc
            msg = f"--set {change}: the value is not valid YAML ({reason}). Quote it."
            raise ConfigError(msg) from exc
        given.add(tuple(field.split(".")))
        *parents, last = field.split(".")
        target: Any = data
        for name in parents:
            target = _child(target, name, field)
        if isinstance(target, list):
            _child(target, last, field)
            target[int(last)] = value
        elif isinstance(target, dict):
            target[last] = value
        else:
            _child(target, last, field)
    while True:
        try:
            return type(config).from_dict(data, source="--set" if changes else "")
        except ConfigError as exc:
            if not _drop_old_kind(data, given, exc):
                raise


def _drop_old_kind(data: Any, given: set[tuple[str, ...]], error: ConfigError) -> bool:
    """Drop what does not fit another kind of optimizer, loss, …, that was asked for by name or type."""
    dropped = False
    for path, _ in error.problems:
        names = tuple(map(str, path))
        switched = {(*names[:-1], "name"), (*names[:-1], "type")} & given
        if not switched or names in given:
            continue
        target = data
        for part in path[:-1]:
            target = target[part]
        if path[-1] in target:
            del target[path[-1]]
            dropped = True
    return dropped


def _child(target: Any, name: str, field: str) -> Any:
    if isinstance(target, list) and name.isdigit() and int(name) < len(target):
        return target[int(name)]
    if isinstance(target, dict) and name in target:
        if target[name] is None:
            target[name] = {}
        return target[name]
    if isinstance(target, dict) and target:
        hint = did_you_mean(name, target) or f" Allowed: {', '.join(target)}."
    else:
        hint = f" It has {len(target)} entries." if isinstance(target, list) else ""
    msg = f"--set {field}: there is no '{name}' there.{hint}"
    raise ConfigError(msg)


def error_table(stages: Mapping[str, Mapping[str, float]], title: str) -> Table:
    """Return a table of mean absolute errors in meV units, a column for each stage of a model.

    A dash stands where a stage has no such error; what no stage has is left out.
    """
    table = Table(title=Text(title))
    table.add_column("mean absolute error")
    for stage in stages:
        table.add_column(_COLUMNS.get(stage, stage), justify="right")
    for key, label in _ROWS.items():
        if any(key in errors for errors in stages.values()):
            cells = (f"{1000 * e[key]:,.1f}" if key in e else "–" for e in stages.values())
            table.add_row(label, *cells)
    return table


def _progress_bar() -> Any:
    from lightning.pytorch.callbacks import RichProgressBar

    return RichProgressBar(leave=False)


def _report(result: TuneResult) -> None:
    """Print, once for all processes, what the run has gained on its validation set."""
    from mattertune_nb.training.evaluation import validated_stages
    from mattertune_nb.training.run_dir import RunDirectory

    if not result.trainer.is_global_zero:
        return
    run = RunDirectory.open(str(result.trainer.default_root_dir))
    best = run.best_metrics()
    if result.model.baseline and best:
        console.print(error_table(validated_stages(result.model.baseline, best), "validation set"))
    console.print(f"The run is in {run.path}.", soft_wrap=True, markup=False)


if __name__ == "__main__":
    main()
