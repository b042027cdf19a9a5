"""NequIP and Allegro, in one framework of their vendor's.

Batzner et al., Nat. Commun. 13, 2453 (2022); Musaelian et al., Nat. Commun. 14, 579 (2023).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import field_validator
from typing_extensions import override

from mattertune_nb.backbones.guard import guarded
from mattertune_nb.backbones.trust import (
    TrustingBackboneConfig,
    remember,
    require_remembered,
)
from mattertune_nb.config.base import setting
from mattertune_nb.config.errors import ConfigError

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

    from mattertune_nb.backbones.backbone import Backbone

_NAME = re.compile(r"nequip\.net:[\w-]+/[\w-]+:[\w.-]+")
_FILE = "sha256"
"""Key of the architecture of a model that its file alone can build."""


class NequIPBackboneConfig(TrustingBackboneConfig):
    """NequIP, an equivariant message-passing model, from a checkpoint or a package of the vendor's."""

    requires: ClassVar[tuple[str, ...]] = ("nequip",)
    extra: ClassVar[str | None] = "nequip"
    conflict: ClassVar[str | None] = "in another environment than MACE, which needs e3nn 0.4.4"

    name: Literal["nequip"] = setting(
        "nequip", "Backbone.", label="Backbone", options={"nequip": "NequIP"}
    )
    pretrained_model: str = setting(
        "nequip.net:mir-group/NequIP-OAM-L:0.1",
        "Weights of nequip.net, as nequip.net:GROUP/MODEL:VERSION; downloaded once. Choose the smallest that "
        "is accurate enough: S, M, L, XL.",
        label="Pretrained weights",
        basic=True,
    )
    checkpoint: Path | None = setting(
        None,
        "Weights in place of those of nequip.net: the folder of a run that tuned this backbone, or its "
        "checkpoint, whose zero of energy is kept; or a checkpoint (.ckpt) or package (.nequip.zip) of the "
        "vendor's.",
        label="Start from",
    )

    _title: ClassVar[str] = "NequIP"

    @field_validator("pretrained_model")
    @classmethod
    def _check_name(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            msg = f"'{value}' is not nequip.net:GROUP/MODEL:VERSION; give a file by checkpoint"
            raise ValueError(msg)
        return value

    @override
    @guarded()
    def create_backbone(self) -> Backbone:
        self.require_installed()
        from mattertune_nb.backbones.nequip_adapter import NequIPBackbone
        from mattertune_nb.backbones.nequip_files import build

        label = (
            f"{type(self).model_fields['name'].default} {self.checkpoint or self.pretrained_model}"
        )
        recipe = self._architecture
        if recipe is not None and _FILE not in recipe:
            model, file = build(recipe), None
        else:
            model, recipe, file = self._load()
        backbone = NequIPBackbone(model, label, recipe)
        backbone.architecture = recipe if file is None or recipe else {_FILE: remember(file)}
        return backbone

    @override
    @guarded()
    def vendor_calculator(self) -> Calculator:
        from nequip.integrations.ase import NequIPCalculator

        file = self._file()
        self.require_trust(file, "is loaded by the vendor's calculator, which can run any code")
        return NequIPCalculator._from_saved_model(file, chemical_species_to_atom_type_map=True)

    def _load(self) -> tuple[Any, dict[str, Any] | None, Path]:
        from mattertune_nb.backbones.nequip_files import load

        file = self._file()
        why = (
            "holds Python code, which runs"
            if file.name.endswith(".nequip.zip")
            else "is a pickle or names other files, and can run any code"
        )

        def check() -> None:
            if self._architecture is None:
                self.require_trust(file, why)
            else:
                require_remembered(file, self._architecture[_FILE])

        try:
            return *load(file, check), file
        except ConfigError:
            raise
        except Exception as exc:
            reason = f"{type(exc).__name__}: {str(exc).splitlines()[0] if str(exc) else ''}"
            msg = f"checkpoint: {file} is no checkpoint or package of NequIP or Allegro ({reason})."
            raise ConfigError(msg) from exc

    def _file(self) -> Path:
        """Return the file of the weights, downloaded by the vendor where it has a name."""
        if self.checkpoint is not None:
            if not self.checkpoint.is_file():
                msg = f"checkpoint: {self.checkpoint} does not exist."
                raise ConfigError(msg)
            return self.checkpoint
        self.require_trust(self.pretrained_model, "is a package with Python code, which runs")
        from nequip.model.saved_models.load_utils import _get_model_file_path
        from requests import RequestException

        try:
            with _get_model_file_path(self.pretrained_model) as file:
                return Path(file)
        except (RequestException, OSError) as exc:
            file_name = self.pretrained_model.rpartition("/")[2].replace(":", "-")
            msg = (
                f"pretrained_model: {self.pretrained_model} cannot be fetched ({type(exc).__name__}). Get "
                f"{file_name}.nequip.zip from https://www.nequip.net on a machine with a network, and set "
                "checkpoint to it."
            )
            raise ConfigError(msg) from exc


class AllegroBackboneConfig(NequIPBackboneConfig):
    """Allegro, strictly local and equivariant, from a checkpoint or a package of the vendor's."""

    requires: ClassVar[tuple[str, ...]] = ("nequip", "allegro")

    name: Literal["allegro"] = setting(  # type: ignore[assignment]
        "allegro", "Backbone.", label="Backbone", options={"allegro": "Allegro"}
    )
    pretrained_model: str = setting(
        "nequip.net:mir-group/Allegro-OAM-L:0.1",
        "Weights of nequip.net, as nequip.net:GROUP/MODEL:VERSION; downloaded once. Choose the smallest that "
        "is accurate enough.",
        label="Pretrained weights",
        basic=True,
    )

    _title = "Allegro"
