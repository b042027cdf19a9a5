"""Faults planted in the numbers that people read, and whether the tests notice: one at a time, in a copy.

``python tests/benchmarks/planted_faults.py`` plants all of them and prints the share that is caught, which
should be 95 % or more; ``--list`` names them, and words choose: ``planted_faults.py eta unit``. That the
code still holds what each fault replaces is a test of the suite, ``tests/test_planted_faults.py``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fault import Fault
from faults_of_trust import TRUST_FAULTS

ROOT = Path(__file__).parents[2]

LIVE, VIEWS, FORMS = "widgets/live/", "widgets/views/", "widgets/forms/"
NUMBERS = ("widgets/test_numbers.py",)
ESTIMATE = ("training/test_estimate.py", "training/test_length.py")
STAGES = ("training/test_stages.py",)
PARITY = ("widgets/views/test_parity_data.py",)
VERDICT = ("training/test_verdict.py",)


FAULTS = (
    # parity
    Fault(
        "R² with the wrong sign",
        VIEWS + "parity_data.py",
        "float(1 - np.square",
        "float(1 + np.square",
        PARITY,
    ),
    Fault(
        "forces labelled GPa",
        "config/properties.py",
        'Quantity("forces", "forces", "meV/Å")',
        'Quantity("forces", "forces", "GPa")',
        PARITY,
    ),
    Fault(
        "stress labelled GPa",
        "config/properties.py",
        'Quantity("stresses", "stress", "meV/Å³")',
        'Quantity("stresses", "stress", "GPa")',
        PARITY,
    ),
    Fault(
        "MAE without absolute values",
        VIEWS + "parity_data.py",
        "np.abs(self.error).mean()",
        "self.error.mean()",
        PARITY,
    ),
    Fault(
        "RMSE without its root",
        VIEWS + "parity_data.py",
        "np.sqrt(np.square(self.error).mean())",
        "np.square(self.error).mean()",
        PARITY,
    ),
    Fault(
        "errors with the wrong sign",
        VIEWS + "parity_data.py",
        "return self.prediction - self.label\n",
        "return self.label - self.prediction\n",
        PARITY,
    ),
    Fault(
        "energies not per atom",
        VIEWS + "parity_data.py",
        "(n if prop.shown_per_atom else 1)",
        "1",
        PARITY,
    ),
    Fault(
        "norms of forces in eV",
        VIEWS + "parity_data.py",
        "FORCES.factor * np.linalg.norm",
        "np.linalg.norm",
        PARITY,
    ),
    Fault(
        "a common error hidden from the axes only",
        VIEWS + "parity_data.py",
        "return common if far else 0.0",
        "return 0.0",
        PARITY,
    ),
    # before and after
    Fault(
        "'smaller' inverted",
        "training/outcome/stages.py",
        "smaller = after < before",
        "smaller = after > before",
        STAGES,
    ),
    Fault(
        "a gain as a share of itself",
        "training/outcome/stages.py",
        "ratio = high / low if low",
        "ratio = low / high if low",
        STAGES,
    ),
    Fault(
        "the best epoch counted from 0",
        "training/outcome/stages.py",
        "best epoch {best['epoch'] + 1}",
        "best epoch {best['epoch']}",
        STAGES,
    ),
    Fault(
        "energies of the record told in eV",
        "config/properties.py",
        "factor: float = 1000.0",
        "factor: float = 1.0",
    ),
    Fault(
        "forces of curves labelled GPa",
        "config/properties.py",
        '"forces", "meV/Å"',
        '"forces", "GPa"',
    ),
    Fault(
        "energies of curves labelled meV",
        "config/properties.py",
        '"energy", "meV/atom"',
        '"energy", "meV"',
    ),
    Fault(
        "the log counts epochs from 0",
        "training/outcome/headlines.py",
        "epoch {epoch + 1}, step",
        "epoch {epoch}, step",
    ),
    # the header of a run
    Fault(
        "ETA that forgets what is done",
        LIVE + "progress.py",
        "max(max_steps - status.step, 0) / speed",
        "max_steps / speed",
    ),
    Fault(
        "ETA the wrong way up",
        LIVE + "progress.py",
        "max(max_steps - status.step, 0) / speed",
        "max(max_steps - status.step, 0) * speed",
    ),
    Fault(
        "structures a second without the batch",
        LIVE + "progress.py",
        "speed * n_train / per_epoch",
        "speed",
    ),
    Fault(
        "the bar by epochs that are left",
        LIVE + "progress.py",
        "min(self.step / self.max_steps, 1.0)",
        "min(1 - self.step / self.max_steps, 1.0)",
    ),
    Fault(
        "accumulation forgotten in the steps of an epoch",
        LIVE + "progress.py",
        "math.ceil(batches / config.trainer.accumulate_grad_batches)",
        "batches",
    ),
    Fault(
        "memory in MB under GB",
        LIVE + "progress.py",
        "for p in family) / 1e9",
        "for p in family) / 1e6",
    ),
    Fault(
        "minutes shown as hours",
        "training/amounts.py",
        '("h", 3600.0)',
        '("h", 60.0)',
    ),
    # curves
    Fault("mode=max ignored", LIVE + "series.py", "= name, self.mode", '= name, "min"'),
    Fault(
        "the best point is the worst",
        LIVE + "series.py",
        "rank(point.value, self.mode) > rank(",
        "rank(point.value, self.mode) < rank(",
    ),
    Fault(
        "the star without the unit's factor",
        LIVE + "series.py",
        "panel.note(Point(step, epoch, factor * value",
        "panel.note(Point(step, epoch, value",
    ),
    Fault(
        "curves without the unit's factor",
        LIVE + "series.py",
        "series.add(step, epoch, factor * value",
        "series.add(step, epoch, value",
    ),
    Fault(
        "the untuned line without the unit's factor",
        LIVE + "series.py",
        "panel.lines[line] = factor * value",
        "panel.lines[line] = value",
    ),
    Fault("pauses counted as training", LIVE + "series.py", "self._clock.clear()", "pass"),
    Fault(
        "speed over the number of records",
        LIVE + "series.py",
        "return (last - first) / (end - start) if",
        "return len(self._clock) / (end - start) if",
    ),
    Fault(
        "steps of the table counted from 0",
        LIVE + "curve_table.py",
        "[int(step) + 1 for step",
        "[int(step) for step",
    ),
    Fault(
        "epochs of the table counted from 0",
        LIVE + "curve_table.py",
        "[epoch + 1 for _, epoch",
        "[epoch for _, epoch",
    ),
    # several runs
    Fault(
        "the best of compared runs is the worst",
        LIVE + "compare.py",
        "shown.best_of, shown.mode = panel.best_of, panel.mode",
        "shown.best_of, shown.mode = panel.best_of, {'min': 'max', 'max': 'min'}[panel.mode]",
    ),
    Fault(
        "a run table 1 000 times too small",
        "training/outcome/verdict.py",
        "prop.factor * after, than",
        "after, than",
        VERDICT,
    ),
    Fault(
        "a verdict that calls a loss a gain",
        "training/outcome/verdict.py",
        "if change.sign < 0)\n\n    @property",
        "if change.sign > 0)\n\n    @property",
        VERDICT,
    ),
    Fault(
        "the best epoch of a verdict counted from 0",
        "training/outcome/verdict.py",
        'summary.best.get("epoch", 0)) + 1, summary',
        'summary.best.get("epoch", 0)), summary',
        VERDICT,
    ),
    # data sets
    Fault("a wrong robust σ", VIEWS + "dataset_table.py", 'scale="normal"', "scale=1.0"),
    Fault(
        "energies of a set in eV",
        VIEWS + "dataset_table.py",
        "energy = ENERGY.factor * (energy - counts",
        "energy = (energy - counts",
    ),
    Fault(
        "energies of a set not per atom",
        VIEWS + "dataset_table.py",
        "@ references) / n_atoms",
        "@ references)",
    ),
    Fault(
        "the smallest force of a frame",
        VIEWS + "dataset_table.py",
        "self._force[i] = self._norms[i].max(initial=0)",
        "self._force[i] = self._norms[i].min()",
    ),
    Fault(
        "stress of a set in eV",
        VIEWS + "dataset_table.py",
        "stress[i] = STRESSES.factor * np.abs(",
        "stress[i] = np.abs(",
    ),
    Fault(
        "forces of a set labelled eV",
        VIEWS + "dataset_table.py",
        'FORCE = FORCES.with_unit("force")',
        'FORCE = "force (eV/Å)"',
    ),
    Fault(
        "bins that leave the largest out",
        VIEWS + "bins.py",
        "np.linspace(low, high, n + 1",
        "np.linspace(low, 0.9 * high, n + 1",
    ),
    Fault(
        "a wrong unit on a colour scale",
        VIEWS + "atom_values.py",
        'FORCE: FORCES.with_unit("force")',
        'FORCE: "force (eV/Å)"',
    ),
    Fault(
        "colours of forces in eV",
        VIEWS + "atom_values.py",
        "= FORCES.factor * np.linalg.norm",
        "= np.linalg.norm",
    ),
    Fault(
        "arrows of another length than the scale says",
        VIEWS + "shown.py",
        "exact = _LONGEST / self.longest",
        "exact = _LONGEST * self.longest",
        ("widgets/views/test_shown.py",),
    ),
    # before Start
    Fault(
        "an estimate without validation",
        "training/estimate/estimate.py",
        "+ n_validations * (one_pass + trial.save)",
        "",
        ESTIMATE,
    ),
    Fault(
        "an estimate that forgets max_steps",
        "training/length.py",
        "min(max_epochs * steps_per_epoch, max_steps)",
        "max_epochs * steps_per_epoch",
        ESTIMATE,
    ),
    Fault(
        "accumulated batches counted as steps",
        "training/length.py",
        "math.ceil(train / accumulated)",
        "train",
        ESTIMATE,
    ),
    Fault(
        "hours shown as days",
        "training/amounts.py",
        '("h", 3600.0)',
        '("d", 3600.0)',
        ESTIMATE,
    ),
    Fault(
        "checkpoints counted once",
        "training/estimate/estimate.py",
        "n_checkpoints * checkpoint\n",
        "checkpoint\n",
        ESTIMATE,
    ),
    Fault(
        "the share of validation is that of training",
        "training/estimate/estimate.py",
        "return self.validation_seconds / self.epoch_seconds",
        "return self.train_seconds / self.epoch_seconds",
        ESTIMATE,
    ),
    Fault(
        "memory of one epoch for any number",
        "training/estimate/estimate.py",
        "return self.memory[i], self.gpu_memory[i]",
        "return self.memory[0], self.gpu_memory[0]",
        ESTIMATE,
    ),
    *TRUST_FAULTS,
)


def main() -> int:
    """Plant the faults that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="plant only faults whose names hold one of these")
    parser.add_argument("--list", action="store_true", help="name the faults and plant none")
    arguments = parser.parse_args()
    chosen = [
        fault
        for fault in FAULTS
        if not arguments.words
        or any(word.lower() in fault.name.lower() for word in arguments.words)
    ]
    if arguments.list:
        sys.stdout.writelines(f"{fault.name}: {fault.file}\n" for fault in chosen)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        for name in ("mattertune_nb", "tests"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, copy / name, ignore=ignored)
        shutil.copy(ROOT / "pyproject.toml", copy)
        for tests in sorted({fault.tests for fault in chosen}):
            if not passes(copy, tests):
                sys.stdout.write(f"{' '.join(tests)} fail without any fault\n")
                return 2
        caught = [is_caught(fault, copy) for fault in chosen]
    sys.stdout.write(f"{sum(caught)} of {len(caught)} caught: {sum(caught) / len(caught):.0%}\n")
    return 0 if sum(caught) >= 0.95 * len(caught) else 1


def is_caught(fault: Fault, copy: Path) -> bool:
    """Plant a fault in the copy, run its tests, and take it out again."""
    path = copy / "mattertune_nb" / fault.file
    code = path.read_text(encoding="utf-8")
    begun = time.perf_counter()
    try:
        path.write_text(code.replace(fault.old, fault.new), encoding="utf-8")
        caught = not passes(copy, fault.tests)
    finally:
        path.write_text(code, encoding="utf-8")
    word = "caught" if caught else "MISSED"
    sys.stdout.write(f"{word}  {fault.name}  ({time.perf_counter() - begun:.0f} s)\n")
    sys.stdout.flush()
    return caught


def passes(copy: Path, tests: tuple[str, ...]) -> bool:
    """Return whether tests pass with the package of the copy."""
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    # what starts processes of its own is slow, and of no use here
    command += [
        "-k",
        "not process and not command_line and not near_the_run and not lightning_makes",
    ]
    done = subprocess.run(
        [*command, *(f"tests/{name}" for name in tests)],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode not in (0, 1):
        raise SystemExit(done.stdout + done.stderr)
    return done.returncode == 0


if __name__ == "__main__":
    raise SystemExit(main())
