"""CHGNet (Deng et al., Nat. Mach. Intell. 5, 1031, 2023), with the weights of its wheel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from typing_extensions import override

from mattertune_nb.backbones.base import BackboneConfig, BackboneFacts
from mattertune_nb.backbones.guard import guarded, quiet
from mattertune_nb.config.base import setting
from mattertune_nb.config.errors import ConfigError, cause
from mattertune_nb.config.properties import ENERGY

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

    from mattertune_nb.backbones.backbone import Backbone

_ELEMENTS = "94, H to Pu; its training data had no Po, At, Rn, Fr and Ra"
_LICENCE = "BSD, as the package chgnet"

FACTS = {
    "0.3.0": BackboneFacts(
        elements=_ELEMENTS,
        n_elements=94,
        cutoff=6.0,
        parameters=412_525,
        trained_on="MPtrj: relaxations of the Materials Project, PBE and PBE+U",
        licence=_LICENCE,
        relative_cost=1.0,
    ),
    "0.2.0": BackboneFacts(
        elements=_ELEMENTS,
        n_elements=94,
        cutoff=5.0,
        parameters=400_438,
        trained_on="MPtrj: relaxations of the Materials Project, PBE and PBE+U",
        licence=_LICENCE,
        relative_cost=0.6,
    ),
    "r2scan": BackboneFacts(
        elements=_ELEMENTS,
        n_elements=94,
        cutoff=6.0,
        parameters=412_525,
        trained_on="MPtrj, then the r2SCAN relaxations of the Materials Project",
        licence=_LICENCE,
        relative_cost=1.0,
    ),
}
"""For each of the vendor's weights; measured by tests/benchmarks/bench_backbones.py."""


class CHGNetBackboneConfig(BackboneConfig):
    """CHGNet, pretrained on the Materials Project's relaxations; small and fast on a CPU."""

    requires: ClassVar[tuple[str, ...]] = ("chgnet",)
    known_weights: ClassVar[Mapping[str, BackboneFacts]] = FACTS

    implements = (ENERGY.name, "magmoms")

    name: Literal["chgnet"] = setting(
        "chgnet", "Backbone.", label="Backbone", options={"chgnet": "CHGNet"}
    )
    pretrained_model: Literal["0.3.0", "0.2.0", "r2scan"] = setting(
        "0.3.0",
        "Vendor's weights: PBE (0.3.0, 0.2.0) or r2SCAN energies. Choose the functional that "
        "is closest to your labels.",
        label="Pretrained weights",
        basic=True,
        options={"0.3.0": "0.3.0 (PBE)", "0.2.0": "0.2.0 (PBE)", "r2scan": "r2SCAN"},
    )
    checkpoint: Path | None = setting(
        None,
        "Start from these weights instead: the folder of a run that tuned CHGNet, or its checkpoint, "
        "keeping its zero of energy; or a checkpoint of CHGNet's own trainer.",
        label="Start from",
    )

    @override
    @guarded()
    def create_backbone(self, architecture: dict[str, Any] | None = None) -> Backbone:
        self.require_installed()
        from mattertune_nb.backbones.chgnet.adapter import CHGNetBackbone

        backbone = CHGNetBackbone(
            self._load(architecture), label=f"CHGNet {self.checkpoint or self.pretrained_model}"
        )
        if self.checkpoint is not None:
            backbone.architecture = backbone.model.model_args
        return backbone

    @override
    @guarded()
    def vendor_calculator(self) -> Calculator:
        from chgnet.model.dynamics import CHGNetCalculator

        with quiet():
            return CHGNetCalculator(self._load(), use_device="cpu", on_isolated_atoms="ignore")

    def _load(self, architecture: dict[str, Any] | None = None) -> Any:
        import torch
        from chgnet.model.model import CHGNet

        with quiet():
            if architecture is not None:
                return CHGNet(**architecture)
            if self.checkpoint is None:
                return CHGNet.load(
                    model_name=self.pretrained_model, use_device="cpu", verbose=False
                )
            checkpoint = self.existing_checkpoint()
            try:
                state = torch.load(checkpoint, map_location="cpu", weights_only=True)
                return CHGNet.from_dict(state["model"])
            except Exception as exc:
                msg = (
                    f"checkpoint: {self.checkpoint} is not a checkpoint of CHGNet's trainer that can "
                    f"be loaded safely ({cause(exc)})."
                )
                raise ConfigError(msg) from exc
