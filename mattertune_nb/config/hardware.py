"""The hardware on which a run trains."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import field_validator

from mattertune_nb.config.base import StrictConfig, setting

Precision = Literal[
    "32-true", "64-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "transformer-engine"
]

_PRECISION_ALIASES: dict[Any, str] = {
    32: "32-true",
    64: "64-true",
    16: "16-mixed",
    "32": "32-true",
    "64": "64-true",
    "16": "16-mixed",
    "bf16": "bf16-mixed",
}


class HardwareConfig(StrictConfig):
    """Devices and number format, under Lightning's own names."""

    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps", "tpu"] = setting(
        "auto",
        "Kind of processor; 'auto' uses a GPU if there is one. Choose the CPU to leave the GPU to others.",
        label="Processor",
        basic=True,
        options={
            "auto": "automatic",
            "cpu": "CPU",
            "gpu": "GPU of any kind",
            "cuda": "NVIDIA GPU (CUDA)",
            "mps": "Apple GPU (MPS)",
            "tpu": "TPU",
        },
        group="hardware",
    )
    devices: int | list[int] | Literal["auto"] = setting(
        1,
        "How many devices, their indices as a list, or 'auto' for all. Set one index if others "
        "share the machine.",
        label="Devices",
        options={"auto": "all"},
        group="hardware",
        kinds={"int": "number of devices", "list": "indices of devices"},
    )
    strategy: str = setting(
        "auto",
        "How several devices share the work: 'auto', 'ddp', 'fsdp', ...; see Lightning.",
        label="Strategy for several devices",
        group="hardware",
    )
    num_nodes: int = setting(
        1,
        "Machines of a cluster job. Raise it only for a job that was allocated that many.",
        label="Number of machines",
        ge=1,
        group="hardware",
    )
    precision: Precision = setting(
        "32-true",
        "Number format. Use '64-true' for elastic constants and phonons; mixed precision needs a GPU.",
        label="Precision",
        options={
            "32-true": "single (32 bit)",
            "64-true": "double (64 bit)",
            "16-mixed": "half, mixed (16 bit)",
            "bf16-mixed": "bfloat16, mixed",
            "16-true": "half (16 bit)",
            "bf16-true": "bfloat16",
            "transformer-engine": "8 bit (Transformer Engine)",
        },
        group="hardware",
    )
    deterministic: bool | Literal["warn"] = setting(
        False,
        "Use only algorithms that give identical results each time; slower. Turn it on to repeat a "
        "run on a GPU exactly; runs on a CPU always repeat exactly.",
        label="Deterministic algorithms",
        group="hardware",
        kinds={"literal": "warn only"},
    )

    @field_validator("precision", mode="before")
    @classmethod
    def _expand_precision(cls, value: Any) -> Any:
        return _PRECISION_ALIASES.get(value, value) if isinstance(value, (int, str)) else value

    @field_validator("devices")
    @classmethod
    def _check_devices(cls, value: Any) -> Any:
        counts = value if isinstance(value, list) else []
        if (
            value in (0, [])
            or (isinstance(value, int) and value < -1)
            or any(i < 0 for i in counts)
        ):
            msg = "give a number of devices (1 or more; -1 for all), or a list of their indices"
            raise ValueError(msg)
        return value
