"""The table of properties: everything declared about a property, in one place."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Literal

from mattertune_nb.config.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

PropertyName = str

GROUP = "mattertune_nb.properties"
"""Entry points through which other packages provide kinds of properties; each names a settings class."""

Kind = Literal["structure", "vector", "voigt", "atom", "atom_vector"]
"""One number, a vector or six numbers per structure; one number or a vector per atom."""

_COLUMNS: dict[Kind, tuple[int, ...]] = {
    "structure": (),
    "vector": (3,),
    "voigt": (6,),
    "atom": (),
    "atom_vector": (3,),
}


@dataclass(frozen=True)
class Quantity:
    """A quantity in which errors of a property are reported.

    Attributes
    ----------
    name
        As in metric names, e.g. ``energy_per_atom``.
    title, unit
        As people read them, e.g. ``energy`` in ``meV/atom``.
    """

    name: str
    title: str
    unit: str


@dataclass(frozen=True)
class Property:
    """A property that a model predicts: its names, unit and kind, and how its errors are shown.

    Attributes
    ----------
    name
        Name in configs, batches and predictions.
    ase
        ASE's key for it, under which files store it by default.
    kind
        What a label has one number for: a structure, an atom and so on.
    unit
        Unit of labels and predictions.
    quantities
        Quantities in which errors are reported; the first is shown first.
    config
        Name of its settings class.
    factor
        Factor from `unit` to the unit of the quantities.
    key_field
        Setting of a data set that names its label; empty if the property's own settings do.
    components
        Names of the components per structure or atom; the property's name if there is only one.
    has_references
        Whether it is shifted by a constant per element, so that its absolute value has no meaning.
    is_extensive
        Whether it grows with the number of atoms: its errors are shown per atom, and are scaled so in the
        loss if its settings say so.
    is_gradient
        Whether it is a gradient of the energy, unless a backbone has its own head for it.
    needs_periodicity
        Whether it is defined only in a cell that is periodic in all three directions.
    reduction
        How the values of atoms are combined for a structure, ``mean`` or ``sum``; for properties predicted by
        our own heads on a backbone's features.
    spread_of
        The property of which it is the spread over an ensemble; empty for trained properties.
    """

    name: PropertyName
    ase: str
    kind: Kind
    unit: str
    quantities: tuple[Quantity, ...]
    config: str
    factor: float = 1000.0
    key_field: str = ""
    components: tuple[str, ...] = field(default=())
    has_references: bool = False
    is_extensive: bool = False
    is_gradient: bool = False
    needs_periodicity: bool = False
    reduction: Literal["mean", "sum"] = "mean"
    spread_of: PropertyName = ""

    @property
    def title(self) -> str:
        """Its name for people."""
        return self.quantities[0].title

    @property
    def verb(self) -> str:
        """What follows its name in a sentence: the forces are, the stress is."""
        return "are" if self.title.endswith("forces") else "is"

    @property
    def named_by(self) -> str:
        """The setting that names its label, as people call it and as a config does."""
        of_a_data_set = self.key_field.endswith("_key")
        label = f"{self.title.capitalize()} label" if of_a_data_set else "Key of the label"
        return f"{label} ({self.key_field})"

    @property
    def shown_unit(self) -> str:
        """The unit in which people read it."""
        return self.quantities[0].unit

    def with_unit(self, text: str) -> str:
        """Return a text about it followed by the unit that people read, e.g. ``error (meV/Å)``."""
        return f"{text} ({self.shown_unit})" if self.shown_unit else text

    @property
    def main_metric(self) -> str:
        """Name of the error shown first, e.g. ``energy_per_atom_mae``."""
        return f"{self.quantities[0].name}_mae"

    @property
    def of_atoms(self) -> bool:
        """Whether there is one value per atom."""
        return self.kind in ("atom", "atom_vector")

    @property
    def shown_per_atom(self) -> bool:
        """Whether values are divided by the number of atoms when errors are shown."""
        return self.is_extensive

    @property
    def component_names(self) -> tuple[str, ...]:
        """Names of the components of one structure or atom."""
        return self.components or (self.title,)

    def shape(self, n_atoms: int) -> tuple[int, ...]:
        """Return the shape of a structure's label in a batch of one, e.g. ``(n_atoms, 3)``."""
        return (n_atoms if self.of_atoms else 1, *_COLUMNS[self.kind])

    def metrics(self) -> list[str]:
        """Return the names of its errors, e.g. ``forces_mae``; those of the property itself come first."""
        names = sorted((q.name for q in self.quantities), key=lambda name: name != self.name)
        return [f"{name}_{kind}" for name in names for kind in ("mae", "rmse")]


ENERGY = Property(
    "energy",
    ase="energy",
    kind="structure",
    unit="eV",
    quantities=(
        Quantity("energy_per_atom", "energy", "meV/atom"),
        Quantity("energy", "total energy", "meV"),
    ),
    config="EnergyPropertyConfig",
    key_field="energy_key",
    has_references=True,
    is_extensive=True,
)
FORCES = Property(
    "forces",
    ase="forces",
    kind="atom_vector",
    unit="eV/Å",
    quantities=(Quantity("forces", "forces", "meV/Å"),),
    config="ForcesPropertyConfig",
    key_field="forces_key",
    components=("Fx", "Fy", "Fz"),
    is_gradient=True,
)
STRESSES = Property(
    "stresses",
    ase="stress",
    kind="voigt",
    unit="eV/Å³",
    quantities=(Quantity("stresses", "stress", "meV/Å³"),),
    config="StressesPropertyConfig",
    key_field="stress_key",
    components=tuple(f"stress {pair}" for pair in ("xx", "yy", "zz", "yz", "xz", "xy")),
    is_gradient=True,
    needs_periodicity=True,
)

ATOM_ENERGIES = Property(
    "energies",
    ase="energies",
    kind="atom",
    unit="eV",
    quantities=(Quantity("energies", "energy of an atom", "meV"),),
    config="",
)
"""Contribution of each atom to the energy, for backbones that give it; predicted but not trained."""

PROPERTIES: dict[PropertyName, Property] = {p.name: p for p in (ENERGY, FORCES, STRESSES)}
"""What every backbone predicts: the energy and its gradients."""

RANKED = (FORCES, ENERGY, STRESSES)
"""The same in order of importance for judging a model; structures are ranked by the first."""


UNREFIT = "unrefit_energy_per_atom"
"""Name of the energy error with the previous references, if they were refitted before the validation."""


def own_property(
    name: PropertyName,
    kind: Kind,
    *,
    key: str | None,
    unit: str,
    config: str,
    reduction: Literal["mean", "sum"] = "mean",
) -> Property:
    """Return the declaration of a user-defined property: it is shown under its name, in its unit."""
    title = name.replace("_", " ")
    return Property(
        name,
        ase=key or name,
        kind=kind,
        unit=unit,
        quantities=(Quantity(name, title, unit),),
        config=config,
        factor=1.0,
        key_field="key",
        components=tuple(f"{title} {axis}" for axis in "xyz") if kind == "vector" else (),
        reduction=reduction,
    )


@cache
def outside_kinds() -> dict[str, EntryPoint]:
    """Return the kinds of properties from other packages, by their ``type``."""
    return {point.name: point for point in entry_points(group=GROUP)}


@cache
def outside_config_class(kind: str) -> Any:
    """Return the settings class of a kind of property from another package.

    Raises
    ------
    ConfigError
        It cannot be loaded.
    """
    point = outside_kinds()[kind]
    try:
        return point.load()
    except Exception as exc:
        msg = f"the property '{kind}' ({point.value}) cannot be loaded: {exc}"
        raise ConfigError(msg) from exc


def as_property(given: Property | PropertyName) -> Property:
    """Return a property of the table by its name; a property is returned unchanged."""
    return given if isinstance(given, Property) else PROPERTIES[given]


def by_importance(properties: Iterable[Property]) -> list[Property]:
    """Return properties in order of importance for judging a model."""
    properties, order = list(properties), [p.name for p in RANKED]
    known = sorted((p for p in properties if p.name in order), key=lambda p: order.index(p.name))
    return known + [p for p in properties if p.name not in order]


def metric_names(properties: Iterable[Property | PropertyName], stage: str = "val") -> list[str]:
    """Return the names of the metrics that a validation logs, e.g. ``val/forces_mae``."""
    names = [f"{stage}/total_loss"]
    for prop in map(as_property, properties):
        names += [f"{stage}/{name}" for name in (f"{prop.name}_loss", *prop.metrics())]
    return names
