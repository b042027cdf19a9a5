"""MACE (Batatia et al., NeurIPS 2022; foundation models: arXiv:2401.00096)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from typing_extensions import override

from mattertune_nb.backbones import input_settings
from mattertune_nb.backbones.base import BackboneFacts, Download
from mattertune_nb.backbones.downloads import fetched
from mattertune_nb.backbones.guard import guarded, quiet
from mattertune_nb.backbones.trust import PICKLE, TrustingBackboneConfig
from mattertune_nb.config.base import setting
from mattertune_nb.config.errors import ConfigError, cause

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

    from mattertune_nb.backbones.backbone import Backbone

_OFF = "off-"
"""Prefix of the names of models of organic molecules, which the vendor names by size alone."""


def _facts(
    file: str, trained_on: str, *, parameters: int | None = None, cutoff: float | None = 6.0
) -> BackboneFacts:
    """Return the facts about weights for inorganic materials."""
    return BackboneFacts(
        elements="89, H to Pu but Po, At, Rn, Fr and Ra",
        n_elements=89,
        cutoff=cutoff,
        parameters=parameters,
        trained_on=trained_on,
        licence="MIT",
        relative_cost=None,
        download=Download("https://github.com/ACEsuit/mace-foundations/releases", {file: None}),
    )


def _academic(facts: BackboneFacts) -> BackboneFacts:
    return replace(facts, licence="Academic Software License", allows="no commercial use")


def _off(size: str, cutoff: float) -> BackboneFacts:
    page = "https://github.com/ACEsuit/mace-off/tree/main/mace_off23"
    return replace(
        _academic(_facts("", "SPICE, ωB97M-D3(BJ): organic molecules", cutoff=cutoff)),
        elements="10: H, C, N, O, F, P, S, Cl, Br, I",
        n_elements=10,
        download=Download(page, {f"MACE-OFF23_{size}.model": None}),
    )


_MPTRJ = "MPtrj: relaxations of the Materials Project, PBE and PBE+U"
_OMAT = "OMat24, PBE and PBE+U"

FACTS = {
    "small": _facts("2023-12-10-mace-128-L0_energy_epoch-249.model", _MPTRJ),
    "medium": _facts("2023-12-03-mace-128-L1_epoch-199.model", _MPTRJ, parameters=4_688_656),
    "large": _facts("MACE_MPtrj_2022.9.model", _MPTRJ),
    "medium-0b3": _facts("mace-mp-0b3-medium.model", f"{_MPTRJ}; steadier at high pressure"),
    "medium-mpa-0": _facts(
        "mace-mpa-0-medium.model", "MPtrj and sAlex, PBE and PBE+U", parameters=9_063_204
    ),
    "small-omat-0": _academic(_facts("mace-omat-0-small.model", _OMAT, cutoff=None)),
    "medium-omat-0": _academic(_facts("mace-omat-0-medium.model", _OMAT, cutoff=None)),
    "mace-matpes-pbe-0": _academic(
        _facts("MACE-matpes-pbe-omat-ft.model", "OMat24, then MatPES, PBE", cutoff=None)
    ),
    "mace-matpes-r2scan-0": _academic(
        _facts("MACE-matpes-r2scan-omat-ft.model", "OMat24, then MatPES, r2SCAN", cutoff=None)
    ),
    "off-small": _off("small", 4.5),
    "off-medium": _off("medium", 5.0),
    "off-large": _off("large", 5.0),
}
"""The weights that the vendor downloads by name, from their pages; we never loaded them."""


class MACEBackboneConfig(TrustingBackboneConfig):
    """MACE, equivariant and of high body order, from a file or a named foundation model."""

    requires: ClassVar[tuple[str, ...]] = ("mace",)
    known_weights: ClassVar[Mapping[str, BackboneFacts]] = FACTS
    extra: ClassVar[str | None] = "mace"
    conflict: ClassVar[str | None] = (
        "in another environment than SevenNet and NequIP, because "
        "it needs e3nn 0.4.4 and they need a newer one"
    )

    name: Literal["mace"] = setting("mace", "Backbone.", label="Backbone", options={"mace": "MACE"})
    pretrained_model: Literal[
        "small",
        "medium",
        "large",
        "medium-0b3",
        "medium-mpa-0",
        "small-omat-0",
        "medium-omat-0",
        "mace-matpes-pbe-0",
        "mace-matpes-r2scan-0",
        "off-small",
        "off-medium",
        "off-large",
    ] = setting(
        "medium-mpa-0",
        "Vendor's weights, downloaded once. Those of omat, matpes and off (organic molecules) are under an "
        "academic licence, which forbids commercial use.",
        label="Pretrained weights",
        basic=True,
        options={name: f"{name} ({facts.licence})" for name, facts in FACTS.items()},
    )
    head: str | None = input_settings.level_of_theory(
        "head", "Not set: the only one, or the one called default."
    )
    checkpoint: Path | None = setting(
        None,
        "Start from these weights instead: the folder of a run that tuned MACE, or its checkpoint, keeping "
        "its zero of energy; a plain file from `mattertune-nb convert`; or a vendor's .model file.",
        label="Start from",
    )

    @override
    @guarded()
    def create_backbone(self, architecture: dict[str, Any] | None = None) -> Backbone:
        self.require_installed()
        file = self._file() if architecture is None else None
        with quiet():
            from mattertune_nb.backbones.mace.adapter import MACEBackbone
            from mattertune_nb.backbones.mace.files import build, rebuilt

            if file is not None:
                model, settings = rebuilt(self._read(file))
            else:
                settings = dict(architecture or {})
                model = build(settings)
            label = f"MACE {self.checkpoint or self.pretrained_model}"
            return MACEBackbone(model, label, settings, self.head)

    @override
    @guarded()
    def vendor_calculator(self) -> Calculator:
        file = self._file()
        with quiet():
            from mace.calculators import MACECalculator

            from mattertune_nb.backbones.mace.adapter import head_of

            model = self._read(file)
            heads = getattr(model, "heads", ["Default"])
            return MACECalculator(
                models=[model.double()],
                device="cpu",
                default_dtype="float64",
                head=heads[head_of(heads, self.head, "This MACE")],
            )

    @guarded()
    def save_plain(self, path: Path) -> None:
        """Write the model as plain settings and tensors, which load without trust and under any e3nn.

        Parameters
        ----------
        path
            The file.

        Raises
        ------
        ConfigError
            The model cannot be rebuilt from settings, or its file must be trusted.
        """
        self.require_installed()
        file = self._file()
        with quiet():
            from mattertune_nb.backbones.mace.files import save_plain

            save_plain(self._read(file), path)

    def _read(self, file: Path) -> Any:
        """Return the vendor's model in a file."""
        from mattertune_nb.backbones.mace.files import read

        try:
            return read(file, lambda: self.require_trust(file, PICKLE))
        except ConfigError:
            raise
        except Exception as exc:
            msg = (
                f"checkpoint: {file} is not a MACE model that can be loaded here ({cause(exc)}). A .model "
                "file loads only under the e3nn version it was written with: convert it to a plain file "
                "there, with `mattertune-nb convert`."
            )
            raise ConfigError(msg) from exc

    def _file(self) -> Path:
        """Return the file of the weights, downloaded by the vendor's code if given by name."""
        if self.checkpoint is not None:
            return self.existing_checkpoint()
        name, facts = self.pretrained_model, FACTS[self.pretrained_model]
        self.require_trust(name, PICKLE)
        with quiet():
            from mace.calculators import foundations_models as vendor

        def fetch(file: str) -> Path:
            if not name.startswith(_OFF):
                return Path(vendor.download_mace_mp_checkpoint(name))
            # where the vendor puts it, who has no function for it that does not load it too
            target = Path(vendor.get_cache_dir()) / file
            if not target.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                url = vendor.mace_off_urls[name.removeprefix(_OFF)]
                vendor._urlretrieve_with_timeout(url, str(target))
            return target

        (path,) = fetched(name, facts, fetch).values()
        return path
