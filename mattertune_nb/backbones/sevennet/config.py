"""SevenNet (Park et al., J. Chem. Theory Comput. 20, 4857, 2024), with the weights of its wheel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import model_validator
from typing_extensions import override

from mattertune_nb.backbones import input_settings
from mattertune_nb.backbones.base import BackboneConfig, BackboneFacts
from mattertune_nb.backbones.guard import guarded, quiet
from mattertune_nb.config.base import setting
from mattertune_nb.config.errors import ConfigError

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

    from mattertune_nb.backbones.backbone import Backbone

_MODALITIES = {"7net-mf-0": ("PBE", "R2SCAN")}

_HARMLESS = {
    f"numpy.{module}multiarray.{name}"
    for module in ("core.", "_core.")
    for name in ("_reconstruct", "scalar")
} | {"numpy.dtype", "numpy.ndarray"}
"""Objects in the vendor's checkpoints other than tensors and builtins; unpickling them runs no code."""

_ELEMENTS = "89, H to Pu but Po, At, Rn, Fr and Ra"
_LICENCE = "MIT, as the package sevenn"

FACTS = {
    "7net-0": BackboneFacts(
        elements=_ELEMENTS,
        n_elements=89,
        cutoff=5.0,
        parameters=842_623,
        trained_on="MPtrj: relaxations of the Materials Project, PBE and PBE+U",
        licence=_LICENCE,
        relative_cost=2.9,
    ),
    "7net-l3i5": BackboneFacts(
        elements=_ELEMENTS,
        n_elements=89,
        cutoff=5.0,
        parameters=1_171_327,
        trained_on="MPtrj: relaxations of the Materials Project, PBE and PBE+U",
        licence=_LICENCE,
        relative_cost=8.1,
    ),
    "7net-mf-0": BackboneFacts(
        elements=_ELEMENTS,
        n_elements=89,
        cutoff=5.0,
        parameters=846_168,
        trained_on="MPtrj (PBE) and r2SCAN data of the Materials Project, told apart by modality",
        licence=_LICENCE,
        relative_cost=2.6,
    ),
}
"""For each of the vendor's weights; measured by tests/benchmarks/bench_backbones.py."""


class SevenNetBackboneConfig(BackboneConfig):
    """SevenNet, an equivariant model; more accurate and about three times slower than CHGNet."""

    requires: ClassVar[tuple[str, ...]] = ("sevenn",)
    known_weights: ClassVar[Mapping[str, BackboneFacts]] = FACTS
    extra: ClassVar[str | None] = "sevennet"
    conflict: ClassVar[str | None] = "in another environment than MACE, which needs e3nn 0.4.4"

    name: Literal["sevennet"] = setting(
        "sevennet", "Backbone.", label="Backbone", options={"sevennet": "SevenNet"}
    )
    pretrained_model: Literal["7net-0", "7net-l3i5", "7net-mf-0"] = setting(
        "7net-0",
        "Vendor's weights; l3i5 is more accurate and slower, mf-0 has two modalities. Choose "
        "l3i5 if time allows.",
        label="Pretrained weights",
        basic=True,
        options={
            "7net-0": "7net-0 (PBE)",
            "7net-l3i5": "7net-l3i5 (PBE), more accurate",
            "7net-mf-0": "7net-mf-0 (PBE and r2SCAN)",
        },
    )
    modality: str | None = input_settings.level_of_theory(
        "modality", "PBE or R2SCAN for mf-0; not set: the only one."
    )
    checkpoint: Path | None = setting(
        None,
        "Start from these weights instead: the folder of a run that tuned SevenNet, or its checkpoint, "
        "keeping its zero of energy; or a checkpoint of SevenNet's own trainer.",
        label="Start from",
    )

    @model_validator(mode="after")
    def _check_modality(self) -> Self:
        if self.checkpoint is not None:
            return self
        allowed = _MODALITIES.get(self.pretrained_model, ())
        if allowed and self.modality not in allowed:
            msg = f"modality: {self.pretrained_model} needs one of {', '.join(allowed)}"
            raise ValueError(msg)
        if not allowed and self.modality is not None:
            msg = f"modality: {self.pretrained_model} has none; leave it unset"
            raise ValueError(msg)
        return self

    @override
    @guarded()
    def create_backbone(self, architecture: dict[str, Any] | None = None) -> Backbone:
        self.require_installed()
        from e3nn import set_optimization_defaults

        from mattertune_nb.backbones.sevennet.adapter import SevenNetBackbone

        # e3nn's own choice from torch 2.10 on; what it compiles otherwise cannot be copied
        set_optimization_defaults(jit_mode="eager")
        label = f"SevenNet {self.checkpoint or self.pretrained_model}"
        model, architecture = self._load(architecture)
        backbone = SevenNetBackbone(model, label, self.modality, architecture)
        if self.checkpoint is not None:
            backbone.architecture = architecture
        return backbone

    @override
    @guarded()
    def vendor_calculator(self) -> Calculator:
        from sevenn.calculator import SevenNetCalculator

        self._check_checkpoint()
        with quiet():
            return SevenNetCalculator(
                str(self.checkpoint or self.pretrained_model), device="cpu", modal=self.modality
            )

    def _load(self, architecture: dict[str, Any] | None) -> tuple[Any, dict[str, Any]]:
        from sevenn.model_build import build_E3_equivariant_model
        from sevenn.util import load_checkpoint

        with quiet():
            if architecture is not None:
                return build_E3_equivariant_model(dict(architecture)), architecture
            self._check_checkpoint()
            try:
                checkpoint = load_checkpoint(str(self.checkpoint or self.pretrained_model))
                return checkpoint.build_model(), _plain(checkpoint.config)
            except Exception as exc:
                msg = f"checkpoint: {self.checkpoint} is not a SevenNet checkpoint ({exc})."
                raise ConfigError(msg) from exc

    def _check_checkpoint(self) -> None:
        """Refuse a file that could run code, because the vendor unpickles whatever it is given."""
        if self.checkpoint is None:
            return
        checkpoint = self.existing_checkpoint()
        from torch.serialization import get_unsafe_globals_in_checkpoint

        try:
            unsafe = set(get_unsafe_globals_in_checkpoint(checkpoint)) - _HARMLESS
        except Exception as exc:
            msg = f"checkpoint: {self.checkpoint} is damaged or not a SevenNet checkpoint."
            raise ConfigError(msg) from exc
        if unsafe:
            msg = (
                f"checkpoint: {self.checkpoint} is refused because loading it would call "
                f"{', '.join(sorted(unsafe))}. Use a checkpoint of SevenNet's own trainer."
            )
            raise ConfigError(msg)


def _plain(value: Any) -> Any:
    """Return the settings of a checkpoint as builtins, without those about where it was trained."""
    if isinstance(value, dict):
        kept = {k: _plain(v) for k, v in value.items() if k != "device"}
        return {k: v for k, v in kept.items() if not str(k).endswith("_cp")}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    # arrays, tensors and numbers of NumPy
    return value.tolist() if hasattr(value, "tolist") else value
