"""The command line: it parses, calls, and prints; the classes it calls do the work."""

from __future__ import annotations

import importlib.util
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from mattertune_nb.cli_console import PlainConsole, note, note_warnings, passing_bar
from mattertune_nb.cli_runs import (
    convert,
    exit_if_interrupted,
    export,
    report,
    runs,
    say_result,
    stop,
    validate,
)
from mattertune_nb.cli_series import (
    Settings,
    ensemble,
    is_series,
    learning_curve,
    read_config,
    resume_series,
    select,
)
from mattertune_nb.config.errors import DataError, MatterTuneError, MissingExtraError
from mattertune_nb.config.overrides import override_settings
from mattertune_nb.config.threads import wait_without_spinning

app = typer.Typer(
    name="mattertune-nb",
    help="Fine-tune atomistic foundation models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = PlainConsole()


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


@app.command()
def fit(
    config: Annotated[
        Path, typer.Argument(help="A run's settings as YAML; `init` prints an example.")
    ],
    set_: Settings = None,
) -> None:
    """Fine-tune a model according to a config.

    The exit status is 0 if the run ended by its own settings, including their time limit, and 1 after an
    error. It is 130 if Ctrl-C or `mattertune-nb stop` interrupted the run, and 143 if SIGTERM did, e.g. of a
    job scheduler; `resume` then continues it, and ends in the same way.
    """
    from mattertune_nb.training.tuner import MatterTuner

    say_result(MatterTuner(read_config(config, set_)).tune(callbacks=[_progress_bar()]))


@app.command()
def estimate(
    config: Annotated[Path, typer.Argument(help="A run's settings as YAML.")],
    set_: Settings = None,
) -> None:
    """Estimate the time, memory and disk space of a run on this machine, from a trial of seconds."""
    from mattertune_nb.training.estimate.estimate import estimate

    found = estimate(read_config(config, set_))
    for line in (found, *found.hints):
        console.say(line)


@app.command()
def check(
    files: Annotated[
        list[Path], typer.Argument(help="Structures with labels, or a run's settings as YAML.")
    ],
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Its untuned weights predict a sample, to check units, signs and outliers; for YAML its own."
        ),
    ] = None,
    validation: Annotated[
        Path | None, typer.Option(help="Validation data, compared with each file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    tell_progress: Annotated[
        bool, typer.Option("--tell-progress", hidden=True, help="Report progress, for programs.")
    ] = False,
) -> None:
    """Check data for mistakes before training; exits with status 1 if there are errors."""
    from mattertune_nb.doctor.finding import joined
    from mattertune_nb.training.outcome.check_file import PROGRESS, check_file

    with passing_bar(disable=tell_progress) as show_bar:

        def show(what: str, done: int, total: int) -> None:
            show_bar(what, done, total)
            if tell_progress and (done == total or done % max(total // 100, 1) == 0):
                typer.echo(f"{PROGRESS}{what} {done} {total}", err=True)

        report = joined([check_file(f, backbone, validation, progress=show) for f in files])
    console.say(report.to_json() if as_json else report)
    if not report.is_sound:
        raise typer.Exit(1)


@app.command()
def resume(
    run: Annotated[Path, typer.Argument(help="The run's directory.")],
    set_: Settings = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Continue a run that was stopped, killed, or should train longer; or several runs as one."""
    if is_series(run):
        resume_series(run)
        return
    from mattertune_nb.training.run_dir import RunDirectory
    from mattertune_nb.training.tuner import MatterTuner

    directory = RunDirectory.open(run)
    if directory.status().state == "finished" and not set_:
        longer = f"mattertune-nb resume {run} --set trainer.max_epochs=NUMBER"
        note("Note:", "yellow", f"{run} has finished. To train it longer: {longer}")
    settings = override_settings(directory.config(), set_ or [])
    say_result(
        MatterTuner(settings).resume(directory, callbacks=[] if quiet else [_progress_bar()])
    )


_KEY_HELP = "Key of the {}; by default as in training."
_Reading = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Change how the file is read, e.g. units.energy=Hartree; by default as in training.",
    ),
]


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="A run's directory, or a checkpoint.")],
    data: Annotated[Path, typer.Argument(help="Structures with labels.")],
    energy_key: Annotated[str | None, typer.Option(help=_KEY_HELP.format("energy"))] = None,
    forces_key: Annotated[str | None, typer.Option(help=_KEY_HELP.format("forces"))] = None,
    stress_key: Annotated[str | None, typer.Option(help=_KEY_HELP.format("stress"))] = None,
    set_: _Reading = None,
) -> None:
    """Print the errors of a tuned model on a file, beside those of the untuned one."""
    from mattertune_nb.model.checkpoint import read_checkpoint
    from mattertune_nb.training.outcome.error_table import error_table
    from mattertune_nb.training.outcome.evaluation import evaluate_stages
    from mattertune_nb.training.outcome.models import config_of_data

    if not run.is_dir():
        read_checkpoint(run)  # two arguments in the wrong order are told before the data are read
    given = {"energy_key": energy_key, "forces_key": forces_key, "stress_key": stress_key}
    named = {field: key for field, key in given.items() if key is not None}
    read = override_settings(config_of_data(data, run, **named), set_ or [])
    with passing_bar() as show:
        stages = evaluate_stages(run, read.create_dataset(), progress=show)
    # as the title of a narrow table, a long path would be broken within words
    console.say(str(data))
    console.print(error_table(stages))


for command in (
    runs, stop, ensemble, learning_curve, select, validate, export, convert, report
):  # fmt: skip
    app.command()(command)


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="A run's directory, or a checkpoint.")],
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="Structures in any format that ASE reads.")
    ],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Extended XYZ to write.")],
) -> None:
    """Write a file with the predicted energies, forces and stresses."""
    from mattertune_nb.training.outcome.predicted_file import predict_file

    with passing_bar() as show:
        n_frames = predict_file(run, source, target, progress=show)
    console.say(f"Wrote {n_frames} frames to {target}.")


@app.command()
def backbones(
    check: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Check one backbone in a new environment; takes minutes."
        ),
    ] = None,
    set_: Settings = None,
) -> None:
    """List all pretrained weights with elements, licence and origin; or check a backbone."""
    if check is not None:
        from mattertune_nb.testing.environment import check_in_new_environment

        raise typer.Exit(check_in_new_environment(check, set_ or []))
    from mattertune_nb.backbones.listing import listing

    console.say(listing())


@app.command()
def init(
    data: Annotated[Path, typer.Argument(help="File with the training data.")] = Path("data.xyz"),
    backbone: Annotated[str, typer.Option(help="Backbone, e.g. chgnet or sevennet.")] = "chgnet",
    set_: Settings = None,
) -> None:
    """Print a commented starting config, with the label names found in the file.

    If the file leaves open which of its values is a label, the config says so, and the command ends with a
    message about what to set: here, e.g. --set data.dataset.energy_key=U0, or in the config.
    """
    from mattertune_nb.training.template import first_config

    first = first_config(data, backbone, set_ or [])
    sys.stdout.write(first.text)
    sys.stdout.flush()
    for remark in first.notes:
        note("Note:", "yellow", remark if remark.endswith("?") else f"{remark}.")
    if first.questions:
        raise DataError(" ".join(first.questions))


@app.command()
def demo(
    root: Annotated[Path, typer.Option(help="Folder for the run.")] = Path("runs"),
    max_epochs: Annotated[int | None, typer.Option(help="Train shorter or longer.")] = None,
) -> None:
    """Fine-tune CHGNet on the bundled ethanol data and print the errors before and after."""
    from mattertune_nb.data.sources.configs import XYZDatasetConfig
    from mattertune_nb.demo import demo_config, demo_data
    from mattertune_nb.training.outcome.error_table import error_table
    from mattertune_nb.training.outcome.evaluation import evaluate_stages
    from mattertune_nb.training.tuner import MatterTuner

    config = demo_config(root)
    if max_epochs is not None:
        config.trainer.max_epochs = max_epochs
    result = MatterTuner(config).tune(callbacks=[_progress_bar()])
    test = XYZDatasetConfig(src=demo_data("test")).create_dataset()
    stages = evaluate_stages(result.run.path, test)
    console.print(error_table(stages, "ethanol, a trajectory never seen in training"))
    console.say(f"The run is in {result.run.path}.")
    exit_if_interrupted(result.interrupted_by)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(
    context: typer.Context,
    headless: Annotated[
        bool,
        typer.Option(
            "--headless",
            help="Do not open a browser: run the quickstart and write it and an HTML page.",
        ),
    ] = False,
) -> None:
    """Open the quickstart in JupyterLab, copied here with the other notebooks; options are JupyterLab's."""
    from mattertune_nb.demo.quickstart import copy_quickstart, execute, root_options

    notebook = copy_quickstart(Path.cwd())
    if headless:
        console.print(f"Running {notebook.name}, about two minutes …")
        page = execute(notebook)
        console.print(f"Wrote {notebook} and {page}.", soft_wrap=True)
        return
    from jupyterlab.labapp import main as jupyter_lab

    # the address, not the file as an argument: it is also printed if no browser can be opened
    address = f"--LabApp.default_url=/lab/tree/{notebook.name}"
    options, note = root_options()
    console.print(note, soft_wrap=True, end="")
    jupyter_lab([address, *options, *context.args])


@app.command("app", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def serve_app(
    context: typer.Context,
    folder: Annotated[
        Path, typer.Argument(help="Folder of the runs, to which paths in the form are relative.")
    ] = Path(),
    port: Annotated[int, typer.Option(help="If it is in use, the next free one.")] = 8866,
) -> None:
    """Serve form and runs as a web page without code, on this machine; further options are Voila's."""
    if importlib.util.find_spec("voila") is None:
        msg = "Voila, which serves the page, is not installed: pip install 'mattertune-nb[app]'"
        raise MissingExtraError(msg)
    from mattertune_nb.app.server import serve

    serve(folder, [f"--port={port}", *context.args])


def main() -> None:
    """Run the command line; an error meant for people is one line without a traceback."""
    wait_without_spinning(os.environ)
    note_warnings()
    # each command that trains prints the verdict itself
    warnings.filterwarnings("ignore", message=r".*: Worse than before in ")
    try:
        app()
    except MatterTuneError as exc:
        note("Error:", "red", str(exc))
        raise SystemExit(1) from None


def _progress_bar() -> Any:
    from mattertune_nb.training.callbacks.progress_bar import EpochsFromOne

    return EpochsFromOne(leave=False)


if __name__ == "__main__":
    main()
