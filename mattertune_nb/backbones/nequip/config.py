"""NequIP and Allegro, in their vendor's common framework.

Batzner et al., Nat. Commun. 13, 2453 (2022); Musaelian et al., Nat. Commun. 14, 579 (2023).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import field_validator
from typing_extensions import override

from mattertune_nb.backbones.base import BackboneFacts, Download
from mattertune_nb.backbones.downloads import fetched
from mattertune_nb.backbones.guard import guarded
from mattertune_nb.backbones.trust import (
    TrustingBackboneConfig,
    digest,
    require_remembered,
)
from mattertune_nb.config.base import setting
from mattertune_nb.config.errors import ConfigError, cause

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

    from mattertune_nb.backbones.backbone import Backbone

_NAME = re.compile(r"nequip\.net:[\w-]+/[\w-]+:[\w.-]+")


def _download(name: str, megabytes: float | None = None) -> Download:
    place = name.removeprefix("nequip.net:")
    file = place.rpartition("/")[2].replace(":", "-") + ".nequip.zip"
    return Download(f"https://www.nequip.net/models/{place}", {file: None}, megabytes)


def _oam(name: str, cutoff: float, parameters: int, megabytes: float | None) -> BackboneFacts:
    return BackboneFacts(
        elements="89, H to Pu but Po, At, Rn, Fr and Ra",
        n_elements=89,
        cutoff=cutoff,
        parameters=parameters,
        trained_on="OMat24, then sAlex and MPtrj, PBE and PBE+U",
        licence="CC-BY-4.0",
        relative_cost=None,
        allows="any use, with its authors named",
        download=_download(name, megabytes),
    )


_NEQUIP, _ALLEGRO = (
    "nequip.net:mir-group/NequIP-OAM-L:0.1",
    "nequip.net:mir-group/Allegro-OAM-L:0.1",
)

FACTS = {
    _NEQUIP: _oam(_NEQUIP, 6.0, 9_600_000, 78.5),
    _ALLEGRO: _oam(_ALLEGRO, 7.0, 9_700_000, None),
}
"""For the first weights to choose from, from their pages; we never loaded them."""

_FILE = "sha256"
"""Key of the architecture of a model that its file alone can build."""


class NequIPBackboneConfig(TrustingBackboneConfig):
    """NequIP, an equivariant message-passing model, from a vendor's checkpoint or package."""

    requires: ClassVar[tuple[str, ...]] = ("nequip",)
    known_weights: ClassVar[Mapping[str, BackboneFacts]] = FACTS
    extra: ClassVar[str | None] = "nequip"
    conflict: ClassVar[str | None] = "in another environment than MACE, which needs e3nn 0.4.4"

    name: Literal["nequip"] = setting(
        "nequip", "Backbone.", label="Backbone", options={"nequip": "NequIP"}
    )
    pretrained_model: str = setting(
        _NEQUIP,
        "Weights from nequip.net, as nequip.net:GROUP/MODEL:VERSION; downloaded once. Choose the smallest "
        "that is accurate enough: S, M, L, XL.",
        label="Pretrained weights",
        basic=True,
    )
    checkpoint: Path | None = setting(
        None,
        "Start from these weights instead: the folder of a run that tuned this backbone, or its checkpoint, "
        "keeping its zero of energy; or a checkpoint (.ckpt) or package (.nequip.zip) of the "
        "vendor's.",
        label="Start from",
    )

    @field_validator("pretrained_model")
    @classmethod
    def _check_name(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            msg = f"'{value}' is not nequip.net:GROUP/MODEL:VERSION; give a file by checkpoint"
            raise ValueError(msg)
        return value

    @classmethod
    @override
    def weights(cls) -> dict[str, BackboneFacts]:
        # facts about any other name on the site are on its page
        name = cls.model_fields["pretrained_model"].default
        return {name: FACTS[name]}

    @override
    @guarded()
    def create_backbone(self, architecture: dict[str, Any] | None = None) -> Backbone:
        self.require_installed()
        from mattertune_nb.backbones.nequip.adapter import NequIPBackbone
        from mattertune_nb.backbones.nequip.files import build

        label = (
            f"{type(self).model_fields['name'].default} {self.checkpoint or self.pretrained_model}"
        )
        recipe = architecture
        if recipe is not None and _FILE not in recipe:
            model, file = build(recipe), None
        else:
            model, recipe, file = self._load(recipe)
        backbone = NequIPBackbone(model, label, recipe)
        backbone.architecture = recipe if file is None or recipe else {_FILE: digest(file)}
        return backbone

    @override
    @guarded()
    def vendor_calculator(self) -> Calculator:
        from nequip.integrations.ase import NequIPCalculator

        file = self._file()
        self.require_trust(file, "is loaded by the vendor's calculator, which can run any code")
        return NequIPCalculator._from_saved_model(file, chemical_species_to_atom_type_map=True)

    def _load(self, remembered: dict[str, Any] | None) -> tuple[Any, dict[str, Any] | None, Path]:
        from mattertune_nb.backbones.nequip.files import load

        file = self._file()
        why = (
            "holds Python code, which runs"
            if file.name.endswith(".nequip.zip")
            else "is a pickle or names other files, and can run any code"
        )

        def check() -> None:
            if remembered is None:
                self.require_trust(file, why)
            else:
                require_remembered(file, remembered[_FILE])

        try:
            return *load(file, check), file
        except ConfigError:
            raise
        except Exception as exc:
            msg = f"checkpoint: {file} is not a NequIP or Allegro checkpoint or package ({cause(exc)})."
            raise ConfigError(msg) from exc

    def _file(self) -> Path:
        """Return the file of the weights, downloaded by the vendor's code if given by name."""
        if self.checkpoint is not None:
            return self.existing_checkpoint()
        self.require_trust(self.pretrained_model, "is a package with Python code, which runs")
        from nequip.model.saved_models.load_utils import _get_model_file_path

        def fetch(_: str) -> Path:
            with _get_model_file_path(self.pretrained_model) as path:
                return Path(path)

        name, page = self.pretrained_model, "told on its page"
        unknown = BackboneFacts(
            page, 0, None, None, page, page, None, allows=page, download=_download(name)
        )
        (path,) = fetched(name, FACTS.get(name, unknown), fetch).values()
        return path


class AllegroBackboneConfig(NequIPBackboneConfig):
    """Allegro, strictly local and equivariant, from a vendor's checkpoint or package."""

    requires: ClassVar[tuple[str, ...]] = ("nequip", "allegro")

    name: Literal["allegro"] = setting(  # type: ignore[assignment]
        "allegro", "Backbone.", label="Backbone", options={"allegro": "Allegro"}
    )
    pretrained_model: str = setting(
        _ALLEGRO,
        "Weights from nequip.net, as nequip.net:GROUP/MODEL:VERSION; downloaded once. Choose the smallest "
        "that is accurate enough.",
        label="Pretrained weights",
        basic=True,
    )
