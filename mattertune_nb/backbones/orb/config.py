"""ORB of Orbital Materials (Neumann et al., arXiv:2410.22570; Rhodes et al., arXiv:2504.06231)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from typing_extensions import override

from mattertune_nb.backbones import input_settings
from mattertune_nb.backbones.base import BackboneConfig, BackboneFacts, Download, Trait
from mattertune_nb.backbones.downloads import fetched, reachable
from mattertune_nb.backbones.guard import guarded
from mattertune_nb.config.base import setting
from mattertune_nb.config.errors import ConfigError, cause
from mattertune_nb.config.own_properties import PropertyConfig
from mattertune_nb.config.properties import ENERGY, FORCES, STRESSES
from mattertune_nb.config.task import EnergyPropertyConfig, ForcesPropertyConfig

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

    from mattertune_nb.backbones.backbone import Backbone

_PLACE = "https://orbitalmaterials-public-models.s3.us-west-1.amazonaws.com/forcefields/"
_OMAT = "OMat24: PBE and PBE+U, rattled and relaxed crystals"
_MPA = "MPtrj and Alexandria: PBE and PBE+U relaxations"
_OMOL = "OMol25: ωB97M-V, molecules with charge and spin"


def _facts(file: str, parameters: int, trained_on: str) -> BackboneFacts:
    return BackboneFacts(
        elements="89, H to Pu but Po, At, Rn, Fr and Ra",
        n_elements=89,
        cutoff=6.0,
        parameters=parameters,
        trained_on=trained_on,
        licence="Apache-2.0, as the package orb-models",
        relative_cost=None,
        download=Download(_PLACE + file, {file.rpartition("/")[2]: None}, 100),
    )


_CONSERVATIVE, _DIRECT, _V2 = 25_510_582, 25_644_479, 25_213_601

FACTS = {
    **{
        f"orb-v3-conservative-{most}-{data}": _facts(
            f"orb-v3/orb-v3-conservative-{most}-{data}-20250404.ckpt", _CONSERVATIVE, about
        )
        for data, about in {"omat": _OMAT, "mpa": _MPA}.items()
        for most in ("20", "inf")
    },
    "orb-v3-conservative-omol": _facts(
        "orb-v3-conservative-omol-20250820.ckpt", _CONSERVATIVE, _OMOL
    ),
    **{
        f"orb-v3-direct-{most}-{data}": _facts(
            f"orb-v3/orb-v3-direct-{most}-{data}-20250404.ckpt", _DIRECT, about
        )
        for data, about in {"omat": _OMAT, "mpa": _MPA}.items()
        for most in ("20", "inf")
    },
    "orb-v3-direct-omol": _facts("orb-v3-direct-omol-20250820.ckpt", _DIRECT, _OMOL),
    "orb-v2": _facts("orb-v2-20241011.ckpt", _V2, _MPA),
    "orb-mptraj-only-v2": _facts("orb-mptraj-only-v2-20241014.ckpt", _V2, "MPtrj"),
}
"""For the vendor's weights, from its code; we never loaded them. Sizes are 4 bytes per weight."""


class ORBBackboneConfig(BackboneConfig):
    """ORB v3, conservative: forces as gradients of an energy that is nearly equivariant."""

    requires: ClassVar[tuple[str, ...]] = ("orb_models",)
    known_weights: ClassVar[Mapping[str, BackboneFacts]] = FACTS
    extra: ClassVar[str | None] = "orb"
    lacks: ClassVar[Mapping[Trait, str]] = {
        "equivariant": "layers see edge directions in fixed axes; the rotational symmetry that they learnt "
        "is nearly exact",
        "smooth": "an atom sees its 20 or 120 nearest neighbours; the energy jumps when they change places",
        "extensive": "its repulsion at short distances is averaged over the atoms of a structure",
    }

    name: Literal["orb"] = setting("orb", "Backbone.", label="Backbone", options={"orb": "ORB"})
    pretrained_model: Literal[
        "orb-v3-conservative-20-omat",
        "orb-v3-conservative-inf-omat",
        "orb-v3-conservative-20-mpa",
        "orb-v3-conservative-inf-mpa",
        "orb-v3-conservative-omol",
    ] = setting(
        "orb-v3-conservative-inf-omat",
        "Vendor's weights, downloaded at first use; if a file is given by checkpoint, its kind. With 20 "
        "neighbours it is faster, but forces jump when neighbours change places.",
        label="Pretrained weights",
        basic=True,
        options={
            "orb-v3-conservative-20-omat": "v3, OMat24, 20 neighbours",
            "orb-v3-conservative-inf-omat": "v3, OMat24, 120 neighbours",
            "orb-v3-conservative-20-mpa": "v3, MPtrj and Alexandria, 20 neighbours",
            "orb-v3-conservative-inf-mpa": "v3, MPtrj and Alexandria, 120 neighbours",
            "orb-v3-conservative-omol": "v3, molecules of OMol25",
        },
    )
    checkpoint: Path | None = setting(
        None,
        "Start from these weights instead: the folder of a run that tuned this backbone, or its checkpoint, "
        "keeping its zero of energy; or a file of weights as the vendor saves them.",
        label="Start from",
    )
    charge: float = input_settings.charge()
    spin: float = input_settings.spin()

    @property
    def _max_neighbors(self) -> int:
        return 20 if "-20-" in self.pretrained_model or "v2" in self.pretrained_model else 120

    @property
    def _inputs(self) -> dict[str, float]:
        return {"charge": self.charge, "spin": self.spin}

    @override
    @guarded()
    def create_backbone(self, architecture: dict[str, Any] | None = None) -> Backbone:
        self.require_installed()
        from mattertune_nb.backbones.orb.adapter import ORBBackbone

        label = f"ORB {self.checkpoint or self.pretrained_model}"
        backbone = ORBBackbone(*self._load(architecture), label, self._inputs)
        for name in set(self.direct) & set(backbone.missing_heads):
            msg = (
                f"properties: {label} has no head for {name}; remove it, or set conservative=True."
            )
            raise ConfigError(msg)
        return backbone

    @override
    @guarded()
    def vendor_calculator(self) -> Calculator:
        from mattertune_nb.backbones.orb.adapter import Calculator as VendorCalculator

        calculator = VendorCalculator(self._load()[0].eval(), device="cpu")
        calculator.inputs = self._inputs if calculator.expects_charge_and_spin else {}
        return calculator

    def _load(self, architecture: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        import torch

        from mattertune_nb.backbones.orb.adapter import architecture_of, build

        if architecture is not None:
            return build(architecture), architecture
        file = self._file()
        try:
            state = torch.load(file, map_location="cpu", weights_only=True)
            architecture = architecture_of(state, self._max_neighbors)
            is_direct = architecture["version"] != "v3"
            if is_direct != (FORCES.name in self.implements):
                other = "orb-direct" if is_direct else "orb"
                msg = f"it belongs to the backbone {other}."
                raise ConfigError(msg)
            return build(architecture, state), architecture
        except Exception as exc:
            msg = (
                f"checkpoint: {file} contains no matching ORB weights that can be loaded safely "
                f"({cause(exc)})."
            )
            raise ConfigError(msg) from exc

    def _file(self) -> Path:
        if self.checkpoint is not None:
            return self.existing_checkpoint()
        from cached_path import cached_path, find_latest_cached

        facts = FACTS[self.pretrained_model]
        assert facts.download is not None
        page = facts.download.page

        def fetch(_: str) -> Path:
            # the vendor's client tries the network before its cache
            return Path(find_latest_cached(page) or cached_path(reachable(page)))

        (file,) = fetched(self.pretrained_model, facts, fetch).values()
        return file


class ORBDirectBackboneConfig(ORBBackboneConfig):
    """ORB with its own heads for forces and stress, v3 and v2: fast, but energy is not conserved."""

    implements = (ENERGY.name, FORCES.name, STRESSES.name)
    lacks: ClassVar[Mapping[Trait, str]] = {
        **ORBBackboneConfig.lacks,
        "equivariant": "layers see edge directions in fixed axes, and forces come from heads",
    }

    name: Literal["orb-direct"] = setting(  # type: ignore[assignment]
        "orb-direct", "Backbone.", label="Backbone", options={"orb-direct": "ORB, direct forces"}
    )
    pretrained_model: Literal[
        "orb-v3-direct-20-omat",
        "orb-v3-direct-inf-omat",
        "orb-v3-direct-20-mpa",
        "orb-v3-direct-inf-mpa",
        "orb-v3-direct-omol",
        "orb-v2",
        "orb-mptraj-only-v2",
    ] = setting(  # type: ignore[assignment]
        "orb-v3-direct-20-omat",
        "Vendor's weights, downloaded at first use; if a file is given by checkpoint, its kind. v3 is "
        "smaller and better than v2.",
        label="Pretrained weights",
        basic=True,
        options={
            "orb-v3-direct-20-omat": "v3, OMat24, 20 neighbours",
            "orb-v3-direct-inf-omat": "v3, OMat24, 120 neighbours",
            "orb-v3-direct-20-mpa": "v3, MPtrj and Alexandria, 20 neighbours",
            "orb-v3-direct-inf-mpa": "v3, MPtrj and Alexandria, 120 neighbours",
            "orb-v3-direct-omol": "v3, molecules of OMol25",
            "orb-v2": "v2, MPtrj and Alexandria",
            "orb-mptraj-only-v2": "v2, MPtrj",
        },
    )
    properties: list[PropertyConfig] = setting(
        lambda: [EnergyPropertyConfig(), ForcesPropertyConfig(conservative=False)],
        "What is predicted and trained on. Forces with conservative=False come from the vendor's head.",
        label="Properties",
        fixed=True,
        basic=True,
        min_length=1,
        group="properties and losses",
    )
