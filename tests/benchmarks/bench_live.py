"""What live views cost: ``python tests/benchmarks/bench_live.py``.

Prints the share of LiveCurves in the wall time of a run of 10 000 steps (aim: 1 %), the time from
the first logged value to the first curve (aim: 1 s), and the time to attach to a run with 100 000
records (aim: 1 s). The cells run in a kernel of their own that counts as one with a page, so that
messages are made and sent as they are in JupyterLab.
"""

from __future__ import annotations

import os
import sys
import tempfile

import nbformat
from nbclient import NotebookClient

LIVE = """
import logging, time, warnings
warnings.simplefilter("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
import plotly.graph_objects
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader, TensorDataset
import mattertune_nb as mt
from mattertune_nb.training.records.recording import RunLogger

STEPS = 10_000

class Model(LightningModule):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(*(torch.nn.Linear(512, 512) for _ in range(6)))

    def training_step(self, batch, batch_idx):
        loss = self.layers(batch[0]).square().mean()
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.layers(batch[0]).square().mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-4)

spent = {}
first = {}

def n_points():
    return max((len(trace.x) for trace in curves.view.figure.widget.data), default=0)

def timed(owner, name):
    method = getattr(owner, name)
    def wrapper(*args, **kwargs):
        start = time.perf_counter()
        result = method(*args, **kwargs)
        spent[name] = spent.get(name, 0.0) + time.perf_counter() - start
        if name == "log_metrics":
            first.setdefault("logged", time.perf_counter())
        elif "logged" in first and "curve" not in first and n_points():
            first.setdefault("curve", time.perf_counter())
        return result
    setattr(owner, name, wrapper)

plotly.graph_objects.FigureWidget  # loaded once a kernel, which takes a second or two
curves = mt.LiveCurves()
hooks = ["setup", "on_fit_start", "on_train_start", "on_train_batch_end", "on_validation_end", "on_fit_end"]
for name in hooks:
    timed(curves, name)
timed(RunLogger, "log_metrics")
data = DataLoader(TensorDataset(torch.randn(1000 * 64, 512)), batch_size=64)
validation = DataLoader(TensorDataset(torch.randn(64, 512)), batch_size=64)
trainer = Trainer(
    max_steps=STEPS, max_epochs=-1, logger=False, log_every_n_steps=10, accelerator="cpu",
    enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    callbacks=[curves],
)
start = time.perf_counter()
trainer.fit(Model(), data, validation)
wall = time.perf_counter() - start
assert trainer.global_step == STEPS
total = sum(spent.values())
print(f"{STEPS} steps in {wall:.1f} s, of which LiveCurves {total:.2f} s = {100 * total / wall:.2f} % "
      f"({n_points()} points a trace at most)")
print(", ".join(f"{name} {seconds:.2f} s" for name, seconds in spent.items()))
print(f"first curve {first['curve'] - first['logged']:.2f} s after the first logged value")
"""

ATTACH = """
import time
from pathlib import Path
config = mt.demo_config("runs", "long")
from mattertune_nb.training.run_dir import RunDirectory
directory, _ = RunDirectory.create(config)
line = '{{"kind":"metrics","time":1.0,"epoch":{},"step":{},"train/total_loss":0.5}}\\n'
with directory.metrics_file.open("a") as file:
    file.writelines(line.format(step // 1000, step) for step in range(100_000))
directory.write_status("stopped", step=100_000)
start = time.perf_counter()
view = mt.Run.attach("runs/long").dashboard()
print(f"attached to 100 000 records in {time.perf_counter() - start:.2f} s")
"""


def main() -> None:
    """Run both cells in a kernel and print what they print."""
    os.environ["MATTERTUNE_NB_PLAIN"] = "0"
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(c) for c in (LIVE, ATTACH)]
    )
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        NotebookClient(notebook, timeout=1800, resources=resources).execute()
    for cell in notebook.cells:
        for output in cell.outputs:
            sys.stdout.write(output.get("text", ""))


if __name__ == "__main__":
    main()
