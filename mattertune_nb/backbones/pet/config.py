"""PET of metatrain (Pozdnyakov and Ceriotti, NeurIPS 2023; Bigi et al., arXiv:2601.16195)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from typing_extensions import override

from mattertune_nb.backbones import input_settings
from mattertune_nb.backbones.base import BackboneFacts, Download, Trait
from mattertune_nb.backbones.downloads import fetched
from mattertune_nb.backbones.guard import guarded, quiet
from mattertune_nb.backbones.trust import PICKLE, TrustingBackboneConfig
from mattertune_nb.config.base import setting
from mattertune_nb.config.errors import ConfigError, cause

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

    from mattertune_nb.backbones.backbone import Backbone

_HUB = "lab-cosmo/upet"


def _facts(name: str, version: str, trained_on: str, *, n_elements: int = 0) -> BackboneFacts:
    return BackboneFacts(
        elements=str(n_elements) if n_elements else "those in its training set",
        n_elements=n_elements,
        cutoff=None,
        parameters=None,
        trained_on=trained_on,
        licence="BSD-3-Clause",
        relative_cost=None,
        download=Download(
            f"https://huggingface.co/{_HUB}/tree/main/models", {f"{name}-v{version}.ckpt": None}
        ),
    )


_MAD = "MAD-1.5 and catalytic surfaces, r2SCAN: materials, surfaces and molecules"
_OMAT = "OMat24, PBE and PBE+U"
_OAM = "OMat24, then sAlex and MPtrj, PBE and PBE+U"
_OMOL = "OMol25: ωB97M-V, molecules with charge and spin"
_SPICE = "SPICE: ωB97M-D3, molecules"

FACTS = {
    **{
        f"pet-mad-{s}": _facts(f"pet-mad-{s}", "1.6.0", _MAD, n_elements=102)
        for s in ("xs", "s", "m")
    },
    **{
        f"pet-omat-{s}": _facts(f"pet-omat-{s}", "1.0.0", _OMAT)
        for s in ("xs", "s", "m", "l", "xl")
    },
    "pet-oam-l": _facts("pet-oam-l", "0.1.0", _OAM),
    "pet-oam-xl": _facts("pet-oam-xl", "1.0.0", _OAM),
    "pet-omatpes-l": _facts("pet-omatpes-l", "0.1.0", "OMat24, then MatPES, r2SCAN"),
    **{f"pet-omol-{s}": _facts(f"pet-omol-{s}", "1.0.0", _OMOL) for s in ("s", "m", "l")},
    **{f"pet-spice-{s}": _facts(f"pet-spice-{s}", "0.2.0", _SPICE) for s in ("s", "l")},
}
"""For the weights of upet, from its pages; we never loaded them."""


class PETBackboneConfig(TrustingBackboneConfig):
    """PET, a transformer that learns rotations from data, from a metatrain checkpoint or by name."""

    requires: ClassVar[tuple[str, ...]] = ("metatrain", "upet")
    known_weights: ClassVar[Mapping[str, BackboneFacts]] = FACTS
    extra: ClassVar[str | None] = "pet"
    lacks: ClassVar[Mapping[Trait, str]] = {
        "equivariant": "layers see the directions of edges by fixed axes; it learnt to turn from turned "
        "structures",
    }

    name: Literal["pet"] = setting("pet", "Backbone.", label="Backbone", options={"pet": "PET"})
    pretrained_model: Literal[
        "pet-mad-xs",
        "pet-mad-s",
        "pet-mad-m",
        "pet-omat-xs",
        "pet-omat-s",
        "pet-omat-m",
        "pet-omat-l",
        "pet-omat-xl",
        "pet-oam-l",
        "pet-oam-xl",
        "pet-omatpes-l",
        "pet-omol-s",
        "pet-omol-m",
        "pet-omol-l",
        "pet-spice-s",
        "pet-spice-l",
    ] = setting(
        "pet-mad-s",
        "Weights from upet, downloaded at first use. xs and s suit a CPU, l and xl a GPU.",
        label="Pretrained weights",
        basic=True,
        options={name: f"{name}: {facts.trained_on}" for name, facts in FACTS.items()},
    )
    target: str | None = input_settings.level_of_theory(
        None, "Not set: the only one, or the one called energy."
    )
    checkpoint: Path | None = setting(
        None,
        "Start from these weights instead: the folder of a run that tuned PET, or its checkpoint, keeping "
        "its zero of energy; or a checkpoint (.ckpt) of metatrain.",
        label="Start from",
    )
    charge: float = input_settings.charge()
    spin: float = input_settings.spin()

    @override
    @guarded()
    def create_backbone(self, architecture: dict[str, Any] | None = None) -> Backbone:
        self.require_installed()
        file = self._file() if architecture is None else None
        with quiet():
            from mattertune_nb.backbones.pet.adapter import PETBackbone
            from mattertune_nb.backbones.pet.files import rebuilt

            recipe, weights = architecture, None
            if file is not None:
                recipe, weights = rebuilt(self._read(file), self.target)
            assert recipe is not None
            label = f"PET {self.checkpoint or self.pretrained_model}"
            inputs = {"charge": self.charge, "spin": self.spin}
            return PETBackbone(recipe, weights, label, inputs)

    @override
    @guarded()
    def vendor_calculator(self) -> Calculator:
        file = self._file()
        with quiet():
            from mattertune_nb.backbones.pet.files import Calculator, target_of

            model = self._read(file)
            inputs = {"charge": self.charge, "spin": self.spin}
            return Calculator(model.double(), target_of(model, self.target), inputs)

    def _read(self, file: Path) -> Any:
        """Return the vendor's model in a file."""
        from mattertune_nb.backbones.pet.files import read

        self.require_trust(file, PICKLE)
        try:
            return read(file)
        except ConfigError:
            raise
        except Exception as exc:
            msg = f"checkpoint: {file} is not a PET checkpoint that can be loaded here ({cause(exc)})."
            raise ConfigError(msg) from exc

    def _file(self) -> Path:
        """Return the file of the weights, downloaded if given by name."""
        if self.checkpoint is not None:
            return self.existing_checkpoint()
        name = self.pretrained_model
        self.require_trust(name, PICKLE)
        from huggingface_hub import hf_hub_download

        def fetch(file: str) -> Path:
            # as upet does, which asks for a list of all files before
            return Path(hf_hub_download(_HUB, file, subfolder="models"))

        (path,) = fetched(name, FACTS[name], fetch).values()
        return path
