"""Whether this machine can run a config, with an explanation before anything starts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mattertune_nb.config.errors import TrainingError
from mattertune_nb.config.ipython import ipython_shell

if TYPE_CHECKING:
    import torch

    from mattertune_nb.config.trainer import TrainerConfig


def check_hardware(config: TrainerConfig, *, in_notebook: bool | None = None) -> None:
    """Refuse to start what this machine cannot run.

    Raises
    ------
    TrainingError
        Names the field, what is missing, and a setting that works here.
    """
    reason = refusal(config, in_notebook=_in_notebook() if in_notebook is None else in_notebook)
    if reason is not None:
        raise TrainingError(reason)


def refusal(config: TrainerConfig, *, in_notebook: bool = False) -> str | None:
    """Return why a config cannot start on this machine, or ``None``."""
    import torch

    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    has_mps = torch.backends.mps.is_available()
    accelerator = config.accelerator
    if accelerator == "auto":
        accelerator = "cuda" if n_gpus else "cpu"
    if accelerator == "gpu":
        accelerator = "mps" if has_mps and not n_gpus else "cuda"
    reason = _device_refusal(config, accelerator, n_gpus)
    if reason is not None:
        return reason
    if config.num_nodes > 1 and not _in_cluster_job():
        return (
            f"trainer.num_nodes: {config.num_nodes} machines need a cluster job (e.g. srun or "
            "torchrun) that starts this command on each. Set it to 1 here."
        )
    if in_notebook and config.strategy != "ddp_notebook":
        return _notebook_refusal(config, n_gpus if accelerator == "cuda" else 1)
    return None


def _device_refusal(config: TrainerConfig, accelerator: str, n_gpus: int) -> str | None:
    """Return why a config cannot run on its kind of processor, or ``None``."""
    if accelerator == "cuda" and not n_gpus:
        return (
            f"trainer.accelerator: '{config.accelerator}' needs a GPU, and this machine has none that "
            "torch can use. Set it to 'cpu' here, or run this config on a machine that has one."
        )
    if accelerator == "mps":
        return (
            f"trainer.accelerator: '{config.accelerator}' means an Apple GPU, which has no float64, "
            "but energies need it. Set it to 'cpu' here."
        )
    if accelerator == "tpu":
        return "trainer.accelerator: 'tpu' needs torch_xla and a TPU. Set it to 'cpu' here."
    if accelerator == "cuda":
        wanted = config.devices if isinstance(config.devices, list) else []
        count = config.devices if isinstance(config.devices, int) else 0
        if any(i >= n_gpus for i in wanted) or count > n_gpus:
            return (
                f"trainer.devices: {config.devices} asks for GPUs that do not exist; this machine "
                f"has {n_gpus} (numbered from 0)."
            )
    if accelerator == "cpu":
        if isinstance(config.devices, list) or config.devices == -1:
            return (
                f"trainer.devices: {config.devices} means GPUs, but this run is on the CPU. Give a "
                "number of processes instead."
            )
        if config.precision in ("16-mixed", "16-true", "transformer-engine"):
            return (
                f"trainer.precision: '{config.precision}' needs a GPU; on a CPU Lightning would replace "
                "it with bfloat16. Set '32-true', or 'bf16-mixed' if that is what you want."
            )
    return None


def accelerator_here(config: TrainerConfig) -> str:
    """Return the accelerator to request from Lightning, whose 'auto' would pick an Apple GPU."""
    import torch

    if config.accelerator == "auto" and torch.backends.mps.is_available():
        return "cpu"
    return config.accelerator


def device_in_words(device: torch.device, n_processes: int) -> str:
    """Return what a run trains on, e.g. ``NVIDIA H100`` or ``the CPU (4 threads)``."""
    import torch

    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        return f"{n_processes} × {name}" if n_processes > 1 else name
    n_threads = torch.get_num_threads()
    threads = f"{n_threads} thread{'s' * (n_threads != 1)}"
    return f"the CPU ({f'{n_processes} processes of ' if n_processes > 1 else ''}{threads})"


def _notebook_refusal(config: TrainerConfig, n_present: int) -> str | None:
    """Return why Lightning cannot train in a kernel: it would have to start processes that share it."""
    devices = config.devices
    n_devices = len(devices) if isinstance(devices, list) else devices
    if n_devices in ("auto", -1):
        n_devices = n_present
    shared = config.strategy.split("_")[0] in ("ddp", "fsdp", "deepspeed", "xla")
    if n_devices == 1 and not shared:
        return None
    field = f"devices: {config.devices}" if n_devices != 1 else f"strategy: '{config.strategy}'"
    return (
        f"trainer.{field} cannot be used from inside a notebook's kernel. Start the run in a separate "
        "process: run = tuner.start()."
    )


def _in_cluster_job() -> bool:
    from lightning.fabric.plugins.environments.lsf import LSFEnvironment
    from lightning.fabric.plugins.environments.mpi import MPIEnvironment
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    # Lightning's own way: the same command on each machine, with these variables set
    if "MASTER_ADDR" in os.environ and {"NODE_RANK", "GROUP_RANK", "RANK"} & set(os.environ):
        return True
    return (
        SLURMEnvironment.detect()
        or TorchElasticEnvironment.detect()
        or LSFEnvironment.detect()
        or MPIEnvironment.detect()
    )


def _in_notebook() -> bool:
    return type(ipython_shell()).__name__ == "ZMQInteractiveShell"
