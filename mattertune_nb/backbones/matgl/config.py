"""Potentials of matgl (Ko et al., npj Comput. Mater. 11, 253, 2025): M3GNet, TensorNet and CHGNet."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from typing_extensions import override

from mattertune_nb.backbones.base import BackboneConfig, BackboneFacts, Download
from mattertune_nb.backbones.downloads import fetched
from mattertune_nb.backbones.guard import guarded
from mattertune_nb.config.base import setting
from mattertune_nb.config.errors import ConfigError, cause

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

    from mattertune_nb.backbones.backbone import Backbone

_FILES = ("model.pt", "state.pt", "model.json")
_ELEMENTS = "89, H to Pu but Po, At, Rn, Fr and Ra"


def _facts(
    name: str, parameters: int | None, trained_on: str, licence: str, cutoff: float = 5.0
) -> BackboneFacts:
    return BackboneFacts(
        elements=_ELEMENTS,
        n_elements=89,
        cutoff=cutoff,
        parameters=parameters,
        trained_on=trained_on,
        licence=licence,
        relative_cost=None,
        allows="any use, if the notice is kept"
        if licence.startswith("BSD")
        else "what its authors say; the package matgl is under BSD-3-Clause",
        download=Download(
            f"https://huggingface.co/materialyze/{name}/tree/main", dict.fromkeys(_FILES)
        ),
    )


_PBE = "MatPES 2025.2: 300 K dynamics and relaxations, PBE"
_R2SCAN = "MatPES 2025.2: 300 K dynamics and relaxations, r2SCAN"
_UNSTATED = "not stated on the page of the weights"

FACTS = {
    **{
        f"TensorNet-PES-MatPES-{level}-2025.2{size}": _facts(
            f"TensorNet-PES-MatPES-{level}-2025.2{size}", parameters, about, _UNSTATED
        )
        for size, parameters in {"": 837_378, "-m": 1_067_906}.items()
        for level, about in {"PBE": _PBE, "r2SCAN": _R2SCAN}.items()
    },
    **{
        f"CHGNet-PES-MatPES-{level}-2025.2.10": _facts(
            f"CHGNet-PES-MatPES-{level}-2025.2.10", None, about, "BSD-3-Clause", cutoff=6.0
        )
        for level, about in {
            "PBE": "MatPES 2024.11: 391\u202f241 structures, PBE",
            "r2SCAN": "MatPES 2024.11: 349\u202f107 structures, r2SCAN",
        }.items()
    },
}
"""For the vendor's weights, from their pages; we never loaded them."""


class MatGLBackboneConfig(BackboneConfig):
    """matgl potentials: TensorNet, M3GNet and CHGNet, trained on MatPES."""

    requires: ClassVar[tuple[str, ...]] = ("matgl",)
    known_weights: ClassVar[Mapping[str, BackboneFacts]] = FACTS
    extra: ClassVar[str | None] = "matgl"

    name: Literal["matgl"] = setting(
        "matgl", "Backbone.", label="Backbone", options={"matgl": "matgl"}
    )
    pretrained_model: Literal[
        "TensorNet-PES-MatPES-PBE-2025.2",
        "TensorNet-PES-MatPES-r2SCAN-2025.2",
        "TensorNet-PES-MatPES-PBE-2025.2-m",
        "TensorNet-PES-MatPES-r2SCAN-2025.2-m",
        "CHGNet-PES-MatPES-PBE-2025.2.10",
        "CHGNet-PES-MatPES-r2SCAN-2025.2.10",
    ] = setting(
        "TensorNet-PES-MatPES-PBE-2025.2",
        "Vendor's weights, downloaded at first use. Choose the functional of your labels; m is larger and "
        "slower.",
        label="Pretrained weights",
        basic=True,
        options={
            "TensorNet-PES-MatPES-PBE-2025.2": "TensorNet, PBE",
            "TensorNet-PES-MatPES-r2SCAN-2025.2": "TensorNet, r2SCAN",
            "TensorNet-PES-MatPES-PBE-2025.2-m": "TensorNet m, PBE",
            "TensorNet-PES-MatPES-r2SCAN-2025.2-m": "TensorNet m, r2SCAN",
            "CHGNet-PES-MatPES-PBE-2025.2.10": "CHGNet, PBE",
            "CHGNet-PES-MatPES-r2SCAN-2025.2.10": "CHGNet, r2SCAN",
        },
    )
    checkpoint: Path | None = setting(
        None,
        "Start from these weights instead: the folder of a run that tuned this backbone, or its checkpoint, "
        "keeping its zero of energy; or a folder written by matgl's Potential.save, including M3GNet.",
        label="Start from",
    )

    @classmethod
    @override
    def reads_folder(cls, path: Path) -> bool:
        return (path / "model.json").is_file()

    @override
    @guarded()
    def create_backbone(self, architecture: dict[str, Any] | None = None) -> Backbone:
        self.require_installed()
        from mattertune_nb.backbones.matgl.adapter import MatGLBackbone

        potential, architecture = self._load(architecture)
        label = f"matgl {self.checkpoint or self.pretrained_model}"
        return MatGLBackbone(potential, label, architecture)

    @override
    @guarded()
    def vendor_calculator(self) -> Calculator:
        from matgl.ext.ase import PESCalculator

        return PESCalculator(self._load()[0].eval(), stress_unit="eV/A3", use_voigt=True)

    def _load(self, architecture: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        import torch

        from mattertune_nb.backbones.matgl.adapter import build

        if architecture is not None:
            return build(architecture), architecture
        files = self._files()
        where = "pretrained_model" if self.checkpoint is None else f"checkpoint: {self.checkpoint}"
        try:
            architecture, weights = (
                torch.load(files[name], map_location="cpu", weights_only=True)
                for name in ("model.pt", "state.pt")
            )
            potential = build(architecture)
            missing, _ = potential.load_state_dict(weights, strict=False)
        except ConfigError as exc:
            msg = f"{where}: {exc}"
            raise ConfigError(msg) from exc
        except Exception as exc:
            msg = f"{where}: is not a matgl potential that can be loaded safely ({cause(exc)})."
            raise ConfigError(msg) from exc
        lost = sorted(set(missing) & set(dict(potential.named_parameters())))
        if lost:
            msg = f"{where}: was written by a different version of matgl; it lacks {', '.join(lost[:3])}."
            raise ConfigError(msg)
        return potential, architecture

    def _files(self) -> dict[str, Path]:
        if self.checkpoint is not None:
            files = {name: self.checkpoint / name for name in _FILES}
            for file in files.values():
                if not file.is_file():
                    msg = f"checkpoint: {file} does not exist; matgl's Potential.save writes it."
                    raise ConfigError(msg)
            return files
        from huggingface_hub import hf_hub_download
        from matgl.config import MATGL_CACHE

        fetch = partial(
            hf_hub_download, f"materialyze/{self.pretrained_model}", cache_dir=MATGL_CACHE
        )
        found = fetched(
            self.pretrained_model, FACTS[self.pretrained_model], lambda n: Path(fetch(n))
        )
        return dict(found)
