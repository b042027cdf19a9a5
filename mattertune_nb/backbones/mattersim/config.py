"""MatterSim (Yang et al., arXiv:2405.04967), an M3GNet trained on wide ranges of temperature and pressure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from typing_extensions import override

from mattertune_nb.backbones.base import BackboneConfig, BackboneFacts, Download
from mattertune_nb.backbones.downloads import fetched
from mattertune_nb.backbones.guard import guarded, quiet
from mattertune_nb.config.base import setting
from mattertune_nb.config.errors import ConfigError, cause

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

    from mattertune_nb.backbones.backbone import Backbone


def _facts(name: str, parameters: int | None) -> BackboneFacts:
    return BackboneFacts(
        elements="94, H to Pu",
        n_elements=94,
        cutoff=5.0,
        parameters=parameters,
        trained_on="the vendor's own data at 0 to 5000 K and 0 to 1000 GPa, PBE and PBE+U",
        licence="MIT",
        relative_cost=None,
        download=Download(
            "https://github.com/microsoft/mattersim/tree/main/pretrained_models",
            {f"{name}.pth": None},
        ),
    )


FACTS = {name: _facts(name, None) for name in ("mattersim-v1.0.0-1M", "mattersim-v1.0.0-5M")}
"""For the vendor's weights, from their pages; we never loaded them."""


class MatterSimBackboneConfig(BackboneConfig):
    """MatterSim, an invariant model with angles, trained far from equilibrium."""

    requires: ClassVar[tuple[str, ...]] = ("mattersim",)
    known_weights: ClassVar[Mapping[str, BackboneFacts]] = FACTS
    extra: ClassVar[str | None] = "mattersim"
    conflict: ClassVar[str | None] = "in another environment than MACE, which needs e3nn 0.4.4"

    name: Literal["mattersim"] = setting(
        "mattersim", "Backbone.", label="Backbone", options={"mattersim": "MatterSim"}
    )
    pretrained_model: Literal["mattersim-v1.0.0-1M", "mattersim-v1.0.0-5M"] = setting(
        "mattersim-v1.0.0-1M",
        "Vendor's weights, downloaded at first use; 5M is more accurate and slower.",
        label="Pretrained weights",
        basic=True,
        options={"mattersim-v1.0.0-1M": "v1.0.0, 1M", "mattersim-v1.0.0-5M": "v1.0.0, 5M"},
    )
    checkpoint: Path | None = setting(
        None,
        "Start from these weights instead: the folder of a run that tuned MatterSim, or its checkpoint, "
        "keeping its zero of energy; or a checkpoint of the vendor's trainer.",
        label="Start from",
    )

    @classmethod
    @override
    def install_hint(cls) -> str:
        # its torchvision has another build than a CPU torch, and breaks torchmetrics
        return f"{super().install_hint()} && pip uninstall -y torchvision"

    @override
    @guarded()
    def create_backbone(self, architecture: dict[str, Any] | None = None) -> Backbone:
        self.require_installed()
        file = self._file() if architecture is None else None
        with quiet():
            from mattersim.forcefield.m3gnet.m3gnet import M3Gnet

            from mattertune_nb.backbones.mattersim.adapter import MatterSimBackbone

            settings, weights = (architecture or {}, None) if file is None else _read(file)
            model = M3Gnet(device="cpu", **settings)
            if weights is not None:
                model.load_state_dict(weights)
            label = f"MatterSim {self.checkpoint or self.pretrained_model}"
            return MatterSimBackbone(model, label)

    @override
    @guarded()
    def vendor_calculator(self) -> Calculator:
        file = self._file()
        with quiet():
            from mattersim.forcefield import MatterSimCalculator, Potential

            _read(file)
            potential = Potential.from_checkpoint(
                str(file), device="cpu", load_training_state=False
            )
            return MatterSimCalculator(potential=potential, device="cpu")

    def _file(self) -> Path:
        """Return the file of the weights, downloaded by the vendor's code if given by name."""
        if self.checkpoint is not None:
            return self.existing_checkpoint()
        with quiet():
            from mattersim.utils.download_utils import download_checkpoint

        def fetch(file: str) -> Path:
            # where the vendor keeps it
            target = Path("~/.local/mattersim/pretrained_models").expanduser() / file
            if not target.is_file():
                download_checkpoint(file, save_folder=str(target.parent))
            return target

        (path,) = fetched(self.pretrained_model, FACTS[self.pretrained_model], fetch).values()
        return path


def _read(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return settings and weights from a vendor's checkpoint, which contains tensors and builtins."""
    import torch

    try:
        contents = torch.load(file, map_location="cpu", weights_only=True)
        return dict(contents["model_args"]), contents["model"]
    except Exception as exc:
        msg = f"checkpoint: {file} is not a MatterSim checkpoint that can be loaded safely ({cause(exc)})."
        raise ConfigError(msg) from exc
