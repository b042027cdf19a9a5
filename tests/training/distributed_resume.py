"""Train in two processes; with a hook and a number, stop there and go on."""

from __future__ import annotations

import os
import sys

from stopping import NoisyModule, StopAfter

import mattertune_nb as mt
from mattertune_nb.training.run_dir import RunDirectory


def main(path: str, hook: str = "", calls: str = "0") -> None:
    """Train as the config at `path` says; each process runs this."""
    config = mt.MatterTunerConfig.from_yaml(path)
    run = RunDirectory(config.run.root / str(config.run.name))
    is_first = os.environ.get("LOCAL_RANK", "0") == "0"
    again = os.environ.get("RESUMING") == "1"
    tuner = mt.MatterTuner(config, module_class=NoisyModule)
    if again:
        tuner.resume(run)
        return
    tuner.tune([StopAfter(run, hook, int(calls))] if hook and is_first else [])
    if hook and is_first:
        assert run.status().state == "stopped"
        os.environ["RESUMING"] = "1"
        for name in ("MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE"):
            os.environ.pop(name, None)
        os.execv(sys.executable, [sys.executable, *sys.argv])


if __name__ == "__main__":
    main(*sys.argv[1:])
