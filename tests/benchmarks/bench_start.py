"""How long until something happens: ``python tests/benchmarks/bench_start.py``.

Aims: ``mattertune-nb --help`` in 0.5 s, ``import mattertune_nb`` in 0.3 s, and from ``mattertune-nb fit`` on
the demo to the first training step 2 s beside the imports of torch, Lightning and the vendor's package. The
errors of the untuned model, which a run measures before its first step, are a line of their own: they are a
pass over the validation set, and one over the training set for the reference energies.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

from timing import print_table, run_alone

warnings.simplefilter("ignore")
N_RUNS = 5


def main() -> None:
    """Measure, each time in a fresh process."""
    program = str(Path(sys.executable).parent / "mattertune-nb")
    rows = [("", "time", "processor", "aim")]
    for title, aim, command in (
        ("mattertune-nb --help", "0.5 s", [program, "--help"]),
        ("import mattertune_nb", "0.3 s", [sys.executable, "-c", "import mattertune_nb"]),
    ):
        runs = [run_alone(*command) for _ in range(N_RUNS)]
        wall, cpu = (
            statistics.median(column)
            for column in zip(*((r.wall, r.cpu) for r in runs), strict=True)
        )
        rows.append((title, f"{wall:.2f} s", f"{cpu:.2f} s", aim))
    print_table(f"A fresh process, median of {N_RUNS}", *rows)

    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        for title in ("the first time", "again, with the graphs that were kept"):
            laps = run_alone(sys.executable, __file__, folder).said
            rows = [("", "time", "processor")]
            rows += [(name, f"{wall:.2f} s", f"{cpu:.2f} s") for name, (wall, cpu) in laps.items()]
            print_table(f"To the first step of the demo, {title}", *rows)


class Clock:
    """Wall and processor time, in all and within some functions."""

    def __init__(self) -> None:
        self.laps: dict[str, tuple[float, float]] = {}
        self._start = self._now()

    def lap(self, name: str) -> None:
        """Give what has passed since the last lap a name."""
        self._add(name, self._start)
        self._start = self._now()

    def watch(self, owner: Any, function: str, name: str) -> None:
        """Give what passes within a function a name; it still counts in its lap."""
        original = getattr(owner, function)

        def watched(*args: Any, **kwargs: Any) -> Any:
            start = self._now()
            try:
                return original(*args, **kwargs)
            finally:
                self._add(name, start)

        setattr(owner, function, watched)

    def _now(self) -> tuple[float, float]:
        return time.perf_counter(), time.process_time()

    def _add(self, name: str, start: tuple[float, float]) -> None:
        before = self.laps.get(name, (0.0, 0.0))
        passed = zip(before, self._now(), start, strict=True)
        self.laps[name] = tuple(total + now - then for total, now, then in passed)


def fit(folder: str) -> None:
    """Run ``mattertune-nb fit`` up to its first step, and print what that took."""
    clock = Clock()
    import chgnet.model
    import lightning.pytorch
    import torch

    del chgnet, lightning, torch
    clock.lap("torch, Lightning, CHGNet: imports")
    from mattertune_nb import cli
    from mattertune_nb.demo import demo_config
    from mattertune_nb.model.baseline import ZeroShotBaseline
    from mattertune_nb.model.loader import GraphDataset
    from mattertune_nb.training import tuner

    clock.lap("ours: imports")
    path = Path(folder) / "demo.yaml"
    demo_config(Path(folder) / "runs").to_yaml(path)
    whole, prepare = "ours: fit to the first step", "  data read and checked, model built"
    baseline, graphs = "  errors of the untuned model", "    of it, graphs and labels"
    clock.laps |= dict.fromkeys((whole, prepare, baseline, graphs), (0.0, 0.0))
    clock.watch(tuner.MatterTuner, "_prepare", prepare)
    clock.watch(ZeroShotBaseline, "on_train_start", baseline)
    clock.watch(GraphDataset, "__getitem__", graphs)

    def first_step(*_: Any) -> None:
        clock.lap(whole)
        own, work = clock.laps["ours: imports"], clock.laps[baseline]
        clock.laps["ours, without those errors (aim: 2 s)"] = tuple(
            mine + all_of_it - of_it
            for mine, all_of_it, of_it in zip(own, clock.laps[whole], work, strict=True)
        )
        sys.stdout.write("\n" + json.dumps(clock.laps) + "\n")
        sys.stdout.flush()
        os._exit(0)  # what comes after the first step is not of interest

    tuner.FinetuneModuleBase.on_train_batch_start = first_step
    clock.lap("")
    del clock.laps[""]
    cli.fit(path)


if __name__ == "__main__":
    if sys.argv[1:]:
        fit(sys.argv[1])
    else:
        main()
