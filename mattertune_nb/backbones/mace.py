"""MACE (Batatia et al., NeurIPS 2022; foundation models: arXiv:2401.00096)."""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from typing_extensions import override

from mattertune_nb.backbones.guard import guarded, quiet
from mattertune_nb.backbones.trust import TrustingBackboneConfig
from mattertune_nb.config.base import setting
from mattertune_nb.config.errors import ConfigError

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

    from mattertune_nb.backbones.backbone import Backbone

_MIT = "MIT"
_ASL = "Academic Software License: no commercial use"
LICENCES = {
    "small": _MIT,
    "medium": _MIT,
    "large": _MIT,
    "medium-0b3": _MIT,
    "medium-mpa-0": _MIT,
    "small-omat-0": _ASL,
    "medium-omat-0": _ASL,
    "mace-matpes-pbe-0": _ASL,
    "mace-matpes-r2scan-0": _ASL,
    "off-small": _ASL,
    "off-medium": _ASL,
    "off-large": _ASL,
}
"""Of the weights that the vendor fetches by name, as its package says."""


class MACEBackboneConfig(TrustingBackboneConfig):
    """MACE, equivariant and of high body order, from a file or by a name of its foundation models."""

    requires: ClassVar[tuple[str, ...]] = ("mace",)
    extra: ClassVar[str | None] = "mace"
    conflict: ClassVar[str | None] = (
        "in another environment than SevenNet and NequIP, as "
        "it needs e3nn 0.4.4 and they a newer one"
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
        "Weights that the vendor fetches, once. Those of omat, matpes and off (organic molecules) are under "
        "an academic licence, which allows no commercial use.",
        label="Pretrained weights",
        basic=True,
        options={name: f"{name} ({licence})" for name, licence in LICENCES.items()},
    )
    head: str | None = setting(
        None,
        "Which head a model with several answers and learns with, such as the level of theory. Not set: the "
        "only one, or that called default.",
        label="Head",
        basic=True,
    )
    checkpoint: Path | None = setting(
        None,
        "Weights in place of those by name: the folder of a run that tuned MACE, or its checkpoint, whose "
        "zero of energy is kept; a plain file of `mattertune-nb convert`; or a .model file of the vendor's.",
        label="Start from",
    )

    @override
    @guarded()
    @quiet()
    def create_backbone(self) -> Backbone:
        self.require_installed()
        from mattertune_nb.backbones.mace_adapter import MACEBackbone
        from mattertune_nb.backbones.mace_files import build, rebuilt

        if self._architecture is not None:
            model, settings = build(self._architecture), self._architecture
        else:
            model, settings = rebuilt(self._read())
        label = f"MACE {self.checkpoint or self.pretrained_model}"
        return MACEBackbone(model, label, settings, self.head)

    @override
    @guarded()
    @quiet()
    def vendor_calculator(self) -> Calculator:
        from mace.calculators import MACECalculator

        from mattertune_nb.backbones.mace_adapter import head_of

        model = self._read()
        heads = getattr(model, "heads", ["Default"])
        return MACECalculator(
            models=[model.double()],
            device="cpu",
            default_dtype="float64",
            head=heads[head_of(heads, self.head, "This MACE")],
        )

    @guarded()
    @quiet()
    def save_plain(self, path: Path) -> None:
        """Write the model as plain settings and tensors, to be loaded without trust and under any e3nn.

        Parameters
        ----------
        path
            The file.

        Raises
        ------
        ConfigError
            The model cannot be built again from settings, or its file needs to be trusted.
        """
        self.require_installed()
        from mattertune_nb.backbones.mace_files import save_plain

        save_plain(self._read(), path)

    def _read(self) -> Any:
        """Return the vendor's model of the file, or of the name."""
        from mattertune_nb.backbones.mace_files import read

        if self.checkpoint is None:
            return self._fetch()
        if not self.checkpoint.is_file():
            msg = f"checkpoint: {self.checkpoint} does not exist."
            raise ConfigError(msg)

        def check() -> None:
            self.require_trust(str(self.checkpoint), "is a pickle, which can run any code")

        try:
            return read(self.checkpoint, check)
        except ConfigError:
            raise
        except Exception as exc:
            reason = f"{type(exc).__name__}: {str(exc).splitlines()[0] if str(exc) else ''}"
            msg = (
                f"checkpoint: {self.checkpoint} is no model of MACE that can be loaded here ({reason}). A "
                ".model file loads under the version of e3nn that it was written under: turn it into a plain "
                "one there, by `mattertune-nb convert`."
            )
            raise ConfigError(msg) from exc

    def _fetch(self) -> Any:
        """Return the model of a name, by the vendor's own download."""
        from mace.calculators import foundations_models as vendor

        name = self.pretrained_model.removeprefix("off-")
        of_molecules = name != self.pretrained_model
        url = (vendor.mace_off_urls if of_molecules else vendor.mace_mp_urls)[name]
        file = url.rpartition("/")[2]
        self.require_trust(file, "is a pickle, which can run any code")
        # what the vendor's import sets, and the guard took back
        os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"
        fetch = vendor.mace_off if of_molecules else vendor.mace_mp
        try:
            # its licence and how far it is
            with redirect_stdout(sys.stderr):
                return fetch(model=name, device="cpu", return_raw_model=True)
        except RuntimeError as exc:
            msg = (
                f"pretrained_model: {self.pretrained_model} cannot be fetched ({exc.__cause__ or exc}). Get "
                f"{url} on a machine with a network, and set checkpoint to {file}."
            )
            raise ConfigError(msg) from exc
