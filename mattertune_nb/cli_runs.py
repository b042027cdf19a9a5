"""Commands for existing runs: list, stop, fitness for use, export, and report; and what a run ends with."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from mattertune_nb.cli_console import PlainConsole, passing_bar
from mattertune_nb.config.escaped import printable

if TYPE_CHECKING:
    from mattertune_nb.training.outcome.verdict import Verdict
    from mattertune_nb.training.result import TuneResult
    from mattertune_nb.training.runs.run import Run

console = PlainConsole()


def runs(
    folder: Annotated[Path, typer.Argument(help="Folder of the runs.")] = Path("runs"),
) -> None:
    """List the runs of a folder, the newest first: state, length, and what fine-tuning gained."""
    from mattertune_nb.training.runs.runs_folder import RunsFolder

    here = RunsFolder(folder)
    found = here.runs()
    for run in found:
        console.print(_in_words(run), soft_wrap=True)
    if not found:
        console.say(here.nothing_here())


def _in_words(run: Run) -> Text:
    from mattertune_nb.training.amounts import duration
    from mattertune_nb.training.outcome.verdict import verdict
    from mattertune_nb.training.records.summary import summary_of

    status, summary = run.status(), summary_of(run.directory)
    facts = [f"{summary.n_epochs} epoch{'s' * (summary.n_epochs != 1)}, step {status.step}"]
    if summary.started:
        began = time.strftime("%Y-%m-%d %H:%M", time.localtime(summary.started))
        facts += [f"began {began}", f"took {duration(summary.seconds)}"]
    words = Text.assemble((printable(run.name), "bold"), f"  {status.state}  {', '.join(facts)}")
    error = Text(printable(status.error), "red") if status.error else None
    result = error or _coloured(verdict(summary))
    return Text.assemble(words, "\n    ", result) if result else words


def _coloured(judged: Verdict) -> Text:
    return Text(str(judged), "green" if judged.is_gain else "yellow" if judged.worse else "")


def stop(run: Annotated[Path, typer.Argument(help="The run's directory.")]) -> None:
    """Ask a run to end at its next step, from any machine that sees its directory; `resume` continues it."""
    from mattertune_nb.training.runs.run import Run

    attached = Run.attach(run)
    if not attached.is_active():
        console.say(f"{run} is not training: it is {attached.status().state}.")
        return
    attached.stop()
    console.say(f"{run} ends at its next step, with its state saved.")


def validate(
    run: Annotated[Path, typer.Argument(help="Directory of a run, or of an ensemble.")],
    data: Annotated[
        Path | None, typer.Argument(help="Structures of the target; default: the validation set.")
    ] = None,
    check: Annotated[
        list[str] | None,
        typer.Option(help="A check, e.g. nve; may be given several times; default: all."),
    ] = None,
    seconds: Annotated[
        float, typer.Option(help="Time for dynamics and relaxations together.")
    ] = 150.0,
    temperature: Annotated[float, typer.Option(help="Temperature of the dynamics, in K.")] = 300.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the scorecard as JSON.")] = False,
) -> None:
    """Check whether a tuned model is fit for use; exits with status 1 if a check fails."""
    from mattertune_nb.training.outcome.validate import validate as checked

    with passing_bar() as show:
        card = checked(
            run, check or None, data=data, seconds=seconds, temperature=temperature, progress=show
        )
    console.say(card.to_json() if as_json else card)
    if card.status == "fail":
        raise typer.Exit(1)


def export(
    run: Annotated[Path, typer.Argument(help="A run's directory.")],
    to: Annotated[str, typer.Option(help="'vendor', 'lammps' or 'safetensors'.")] = "vendor",
    path: Annotated[Path | None, typer.Option(help="The file; not set: in the run.")] = None,
    member: Annotated[
        int | None, typer.Option(help="Which copy of the last block, counted from 0, if any.")
    ] = None,
) -> None:
    """Write the best weights for other programs: the vendor's own format, LAMMPS, or an archive."""
    from mattertune_nb.training.runs.run import Run

    written = Run.attach(run).export(to, path, member)
    console.say(f"Wrote {written}.")


def convert(
    model: Annotated[Path, typer.Argument(help="A .model file of MACE.")],
    target: Annotated[
        Path | None, typer.Argument(help="The file to write; default: beside it, as .pt.")
    ] = None,
    trust_checkpoint: Annotated[
        bool, typer.Option(help="Load it although it can run code.")
    ] = False,
) -> None:
    """Convert a vendor's file that can run code to plain settings and tensors, for any version of e3nn."""
    from mattertune_nb.backbones.mace.config import MACEBackboneConfig

    written = target or model.with_suffix(".pt")
    MACEBackboneConfig(checkpoint=model, trust_checkpoint=trust_checkpoint).save_plain(written)
    console.say(f"Wrote {written}.")


def report(
    run: Annotated[Path, typer.Argument(help="The run's directory.")],
    data: Annotated[
        Path | None, typer.Argument(help="Structures with labels; default: the validation set.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File; default: RUN/report.html.")
    ] = None,
) -> None:
    """Write a run to one HTML file: errors, curves, parity, worst structures, settings, versions."""
    from mattertune_nb.training.runs.run import Run

    written = Run.attach(run).report(output, data)
    console.say(f"Wrote {written}.")


def say_result(result: TuneResult) -> None:
    """Print the gains of a run on its validation set, once for all processes; exit if it was interrupted."""
    from mattertune_nb.training.outcome.error_table import error_table
    from mattertune_nb.training.outcome.stages import validated_stages
    from mattertune_nb.training.outcome.verdict import verdict
    from mattertune_nb.training.records.summary import summary_of

    if not result.trainer.is_global_zero:
        exit_if_interrupted(result.interrupted_by)
        return
    run = result.run.directory
    best = run.best_metrics()
    if result.model.baseline and best:
        console.print(error_table(validated_stages(result.model.baseline, best), "validation set"))
    console.print(_coloured(verdict(summary_of(run))), soft_wrap=True)
    status = run.status()
    if status.state == "stopped":
        console.say(f"Stopped at step {status.step}. To continue: mattertune-nb resume {run.path}")
    else:
        console.say(f"The run is in {run.path}.")
    exit_if_interrupted(result.interrupted_by)


def exit_if_interrupted(by: int | None) -> None:
    """Exit as programs do that a signal has ended: with 128 and its number."""
    if by is not None:
        raise typer.Exit(128 + by)
