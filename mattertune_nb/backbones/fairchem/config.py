"""UMA and eSEN of FAIR chemistry (Wood et al., arXiv:2506.23971; Fu et al., arXiv:2502.12147)."""

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


def _facts(file: str, repository: str, trained_on: str) -> BackboneFacts:
    return BackboneFacts(
        elements="those in its training sets",
        n_elements=0,
        cutoff=6.0,
        parameters=None,
        trained_on=trained_on,
        licence="FAIR Chemistry License, to be accepted on the hub, which needs a token",
        relative_cost=None,
        allows="uses within its acceptable use policy",
        download=Download(
            f"https://huggingface.co/{repository}/tree/main/checkpoints", {file: None}
        ),
    )


_ALL = "OMat24, OMol25, OC20, ODAC25 and OMC25, one task each"
_OMOL = "OMol25: ωB97M-V, molecules with charge and spin"

FACTS = {
    "uma-s-1p2p1": _facts("uma-s-1p2p1.pt", "facebook/UMA", f"{_ALL}, and OC25"),
    "uma-s-1p2": _facts("uma-s-1p2.pt", "facebook/UMA", f"{_ALL}, and OC25"),
    "uma-s-1p1": _facts("uma-s-1p1.pt", "facebook/UMA", _ALL),
    "uma-m-1p1": _facts("uma-m-1p1.pt", "facebook/UMA", _ALL),
    "esen-sm-conserving-all-omol": _facts("esen_sm_conserving_all.pt", "facebook/OMol25", _OMOL),
    "esen-sm-conserving-all-oc25": _facts(
        "esen_sm_conserve.pt", "facebook/OC25", "OC25: catalysts under solvents"
    ),
}
"""The weights that the vendor's package downloads by name; we never loaded them."""


class FairchemBackboneConfig(TrustingBackboneConfig):
    """UMA and eSEN, equivariant, from a fairchem checkpoint or by name."""

    requires: ClassVar[tuple[str, ...]] = ("fairchem",)
    known_weights: ClassVar[Mapping[str, BackboneFacts]] = FACTS
    extra: ClassVar[str | None] = "fairchem"
    conflict: ClassVar[str | None] = (
        "in another environment than MACE, which needs e3nn 0.4.4; it pins torch to 2.13"
    )
    lacks: ClassVar[Mapping[Trait, str]] = {
        "bitwise": "edges are rotated onto an axis with a random roll, which changes the last digits",
        "smooth": "an atom sees its nearest neighbours up to a number that dense structures reach",
    }

    name: Literal["uma"] = setting(
        "uma", "Backbone.", label="Backbone", options={"uma": "UMA, eSEN"}
    )
    pretrained_model: Literal[
        "uma-s-1p2p1",
        "uma-s-1p2",
        "uma-s-1p1",
        "uma-m-1p1",
        "esen-sm-conserving-all-omol",
        "esen-sm-conserving-all-oc25",
    ] = setting(
        "uma-s-1p2p1",
        "Vendor's weights, downloaded at first use from a hub that requires accepting a licence and a "
        "token (HF_TOKEN).",
        label="Pretrained weights",
        basic=True,
        options={
            "uma-s-1p2p1": "UMA small 1.2.1",
            "uma-s-1p2": "UMA small 1.2",
            "uma-s-1p1": "UMA small 1.1",
            "uma-m-1p1": "UMA medium 1.1",
            "esen-sm-conserving-all-omol": "eSEN small, molecules of OMol25",
            "esen-sm-conserving-all-oc25": "eSEN small, OC25",
        },
    )
    task: Literal["omat", "omol", "oc20", "oc25", "odac", "omc"] | None = (
        input_settings.level_of_theory(
            "task",
            "Not set: the only one.",
            options={
                "omat": "inorganic crystals (PBE)",
                "omol": "molecules (ωB97M-V)",
                "oc20": "catalysts (RPBE)",
                "oc25": "catalysts under solvents",
                "odac": "metal-organic frameworks",
                "omc": "molecular crystals",
            },
        )
    )
    checkpoint: Path | None = setting(
        None,
        "Start from these weights instead: the folder of a run that tuned this backbone, or its checkpoint, "
        "keeping its zero of energy; or an inference checkpoint (.pt) of fairchem.",
        label="Start from",
    )
    charge: float = input_settings.charge()
    spin: float | None = input_settings.spin(
        None,
        "Not set: 1 for omol and 0 for all others, which do not use it, as in the vendor's code.",
    )

    @override
    @guarded()
    def create_backbone(self, architecture: dict[str, Any] | None = None) -> Backbone:
        self.require_installed()
        file = self._file() if architecture is None else None
        with quiet():
            from mattertune_nb.backbones.fairchem.adapter import FairchemBackbone
            from mattertune_nb.backbones.fairchem.files import outputs_of, read, task_of

            loaded, recipe = None, architecture
            if file is not None:
                try:
                    loaded = read(file, self.task)
                except ConfigError:
                    raise
                except Exception as exc:
                    msg = (
                        f"checkpoint: {file} is not a fairchem model that can be loaded here "
                        f"({cause(exc)})."
                    )
                    raise ConfigError(msg) from exc
                recipe = loaded.recipe
            assert recipe is not None
            label = f"UMA {self.checkpoint or self.pretrained_model}"
            task = task_of(outputs_of(recipe), self.task or recipe["task"], label)
            recipe = recipe | {"task": task}
            return FairchemBackbone(recipe, loaded, label, self.charge, self.spin)

    @override
    @guarded()
    def vendor_calculator(self) -> Calculator:
        file = self._file()
        with quiet():
            from mattertune_nb.backbones.fairchem.adapter import spin_of
            from mattertune_nb.backbones.fairchem.files import Calculator, read

            task = read(file, self.task).recipe["task"]
            spin = spin_of(task) if self.spin is None else self.spin
            return Calculator(file, task, {"charge": self.charge, "spin": spin})

    def _file(self) -> Path:
        """Return the file of the weights, downloaded by the vendor's code if given by name."""
        if self.checkpoint is not None:
            file = self.existing_checkpoint()
            self.require_trust(file, PICKLE)
            return file
        name = self.pretrained_model
        self.require_trust(name, PICKLE)
        with quiet():
            from fairchem.core.calculate import pretrained_mlip

        def fetch(_: str) -> Path:
            return Path(pretrained_mlip.pretrained_checkpoint_path_from_name(name))

        (path,) = fetched(name, FACTS[name], fetch).values()
        return path
