"""The narrow interface between this package and a pretrained potential."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping  # noqa: TC003  pydantic reads it
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, get_args

from pydantic import PrivateAttr, field_validator, model_validator

from mattertune_nb.backbones.start import Start  # noqa: TC001  pydantic reads it
from mattertune_nb.config.base import setting
from mattertune_nb.config.errors import ConfigError, MissingExtraError, check_path
from mattertune_nb.config.model import ModelConfig
from mattertune_nb.config.places import path_of
from mattertune_nb.config.properties import ENERGY, PROPERTIES, Property, PropertyName
from mattertune_nb.config.unbroken import grouped

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

    from mattertune_nb.backbones.backbone import Backbone


Trait = Literal["equivariant", "extensive", "smooth", "bitwise"]
TRAITS: Mapping[Trait, str] = {
    "equivariant": "rotating a structure rotates the forces and leaves the energy unchanged",
    "extensive": "two equal cells have twice the energy of one",
    "smooth": "the energy has no jumps as atoms move",
    "bitwise": "the same structure has the same energy to the last digit",
}
"""Properties expected of a backbone, in words."""


@dataclass(frozen=True)
class Download:
    """Source of weights that are not inside a package.

    Attributes
    ----------
    page
        Address from which a browser can download them, or find them.
    files
        Names of the files, with their sha256; ``None`` if the vendor publishes none.
    megabytes
        Total size; ``None`` if unknown.
    """

    page: str
    files: Mapping[str, str | None]
    megabytes: float | None = None

    def names(self) -> str:
        """Return the files with what each is compared with, in words."""
        return ", ".join(
            f"{file} (sha256 {published or 'of its hub, or of the first download'})"
            for file, published in self.files.items()
        )


@dataclass(frozen=True)
class BackboneFacts:
    """Facts that help to choose pretrained weights, available without loading them.

    Attributes
    ----------
    elements
        Elements covered, in words.
    n_elements
        Number of elements covered.
    cutoff
        Radius of the neighbour list in Å; ``None`` if unknown.
    parameters
        Number of weights; ``None`` if unknown and we never loaded them.
    trained_on
        Data and level of theory.
    licence
        Licence of the weights.
    relative_cost
        Time of a training step relative to CHGNet 0.3.0, on one core, measured by
        ``tests/benchmarks/bench_backbones.py``; ``None`` if not measured.
    allows
        What the licence permits, in words.
    download
        Source of the weights; ``None`` if they are inside their package.
    """

    elements: str
    n_elements: int
    cutoff: float | None
    parameters: int | None
    trained_on: str
    licence: str
    relative_cost: float | None
    allows: str = "any use, if the notice is kept"
    download: Download | None = None

    def rows(self) -> dict[str, str]:
        """Return what form, command and pages show, each with its name."""
        parameters = "not told"
        if self.parameters is not None:
            parameters = grouped(self.parameters)
        cost = "not measured"
        if self.relative_cost is not None:
            cost = f"{self.relative_cost:.2g} × CHGNet 0.3.0"
        origin = "inside the package"
        if self.download is not None:
            size = self.download.megabytes
            origin = self.download.page + ("" if size is None else f", {size:g} MB")
        return {
            "Elements": self.elements,
            "Cutoff": "not told" if self.cutoff is None else f"{self.cutoff:g} Å",
            "Parameters": parameters,
            "Cost of a step": cost,
            "Trained on": self.trained_on,
            "Licence": f"{self.licence}; allows {self.allows}",
            "From": origin,
            "File": "in the package" if self.download is None else self.download.names(),
        }


class BackboneConfig(ModelConfig, ABC):
    """Which pretrained weights a model starts from; one subclass per vendor, beside its adapter.

    A subclass has a field ``name`` with the name of its entry point in the group ``mattertune_nb.backbones``,
    by which files and checkpoints find it again.
    """

    fields_are_fixed: ClassVar[bool] = True

    name: str = setting(..., "Backbone, the name of its entry point.", label="Backbone")
    checkpoint: Path | None = setting(
        None,
        "Weights to start from: the folder of a run that tuned this backbone, or its checkpoint. Its zero "
        "of energy is kept.",
        label="Start from",
    )

    requires: ClassVar[tuple[str, ...]] = ()
    """Packages that must be installed, by import name."""

    extra: ClassVar[str | None] = None
    """Extra of this package that installs them."""

    conflict: ClassVar[str | None] = None
    """Backbones that cannot be installed alongside it, and why, in words."""

    implements: ClassVar[tuple[PropertyName, ...]] = (ENERGY.name,)
    """Outputs with heads of the backbone's own; otherwise forces and stress are gradients of the energy."""

    lacks: ClassVar[Mapping[Trait, str]] = MappingProxyType({})
    """Those of :data:`TRAITS` that the backbone lacks, each with a sentence that says why."""

    known_weights: ClassVar[Mapping[str, BackboneFacts]] = MappingProxyType({})
    """Facts about weights, by the names of the field ``pretrained_model``."""

    _start: Start | None = PrivateAttr(None)

    @field_validator("checkpoint", mode="before")
    @classmethod
    def _take_a_run(cls, value: Any) -> Any:
        # a value that is not the place of a run is reported by the type of the field
        given = getattr(value, "run", value)
        is_place = isinstance(given, str | Path) or hasattr(given, "path")
        return path_of(value) if is_place else value

    @model_validator(mode="after")
    def _check_heads(self) -> Self:
        for prop in self.properties:
            name = prop.about().name
            if not getattr(prop, "conservative", True) and name not in self.implements:
                msg = (
                    f"properties: {type(self).__name__} has no direct head for {name}; "
                    "set conservative=True"
                )
                raise ValueError(msg)
        return self

    @property
    def start(self) -> Start | None:
        """What a model of this config is rebuilt from, if its own weights are not to be read."""
        return self._start

    def starting_from(self, start: Start | None) -> Self:
        """Return a config whose model is rebuilt from a checkpoint, although the files it names may be gone.

        The model does not keep `start`: its ``hparams`` are settings alone.

        Parameters
        ----------
        start
            What the checkpoint holds; ``None`` to read the weights that the config names.
        """
        if start is self._start:
            return self
        copy = self.model_copy()
        copy._start = start
        return copy

    @property
    def direct(self) -> list[PropertyName]:
        """Names of the properties predicted by the backbone's own heads, besides the energy."""
        gradients = {p.about().name for p in self.properties if getattr(p, "conservative", False)}
        return [
            name
            for name in self.property_names
            if name in self.implements and name not in {ENERGY.name, *gradients}
        ]

    @property
    def headed(self) -> list[Property]:
        """The properties predicted by our own heads on the backbone's features."""
        return [
            prop
            for prop in self.learnt
            if prop.name not in PROPERTIES and prop.name not in self.implements
        ]

    def facts(self) -> BackboneFacts | None:
        """Return the facts about the weights, by their name in the config or that of their file, if any."""
        place = self.checkpoint
        if place is None:
            return self.known_weights.get(getattr(self, "pretrained_model", ""))
        is_vendors = self.reads_folder(place)
        found = [
            facts
            for name, facts in self.known_weights.items()
            if (is_vendors and name == place.name)
            or (facts.download is not None and set(facts.download.files) == {place.name})
        ]
        return found[0] if len(found) == 1 else None

    @classmethod
    def weights(cls) -> dict[str, BackboneFacts]:
        """Return the facts about each of the vendor's weights, by name."""
        field = cls.model_fields.get("pretrained_model")
        told = {}
        for name in get_args(field.annotation) if field else ():
            facts = cls.model_construct(**{"pretrained_model": name}).facts()
            if facts is not None:
                told[name] = facts
        return told

    @classmethod
    def reads_folder(cls, path: Path) -> bool:
        """Return whether the folder at `path` contains a model saved by the vendor, rather than a run."""
        return False

    def existing_checkpoint(self) -> Path:
        """Return `checkpoint`, which must be a file.

        Raises
        ------
        ConfigError
            The file does not exist.
        """
        if self.checkpoint is None or not self.checkpoint.is_file():
            msg = f"checkpoint: {self.checkpoint} does not exist. {check_path()}"
            raise ConfigError(msg)
        return self.checkpoint

    @classmethod
    def is_installed(cls) -> bool:
        """Return whether the vendor's package is installed."""
        return all(find_spec(package) is not None for package in cls.requires)

    @classmethod
    def install_hint(cls) -> str:
        """Return the command that installs what the backbone needs."""
        if cls.extra is not None:
            return f"pip install 'mattertune-nb[{cls.extra}]'"
        return f"pip install {' '.join(cls.requires)}"

    @classmethod
    def require_installed(cls) -> None:
        """Raise a :class:`MissingExtraError` with the pip command if the package is missing."""
        if not cls.is_installed():
            apart = f", {cls.conflict}" if cls.conflict else ""
            msg = f"{cls.__name__} needs {', '.join(cls.requires)}: {cls.install_hint()}{apart}"
            raise MissingExtraError(msg)

    @abstractmethod
    def create_backbone(self, architecture: dict[str, Any] | None = None) -> Backbone:
        """Build the vendor's model with its pretrained weights, without a network connection.

        If the weights come from a file, store what is needed to build the model without it in the backbone's
        ``architecture``.

        Parameters
        ----------
        architecture
            That of such a backbone, to build it again without the file; its weights are loaded afterwards.
        """

    @abstractmethod
    def vendor_calculator(self) -> Calculator | None:
        """Return the vendor's own ASE calculator for the conformance tests, if any."""
