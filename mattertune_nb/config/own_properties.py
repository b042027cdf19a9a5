"""User-defined properties: any number or vector per structure, any number per atom."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    Discriminator,
    PlainSerializer,
    PlainValidator,
    Tag,
    WithJsonSchema,
    field_validator,
)

from mattertune_nb.config.base import setting
from mattertune_nb.config.errors import ConfigError, did_you_mean
from mattertune_nb.config.messages import shown
from mattertune_nb.config.properties import (
    PROPERTIES,
    Kind,
    Property,
    outside_config_class,
    outside_kinds,
    own_property,
)
from mattertune_nb.config.task import (
    BasePropertyConfig,
    EnergyPropertyConfig,
    ForcesPropertyConfig,
    L2MAELossConfig,
    LossConfig,
    StressesPropertyConfig,
)


class OwnPropertyConfig(BasePropertyConfig):
    """A property trained with a head of its own: any number, under any name and key, in any unit.

    Its errors are counted in units of the spread of the training labels, so that the weight means the same in
    any unit; metrics are in the unit of the labels.
    """

    name: str = setting(
        ...,
        "Name of predictions and errors, e.g. 'band_gap'. It cannot be changed later in a run.",
        label="Name",
        fixed=True,
        basic=True,
        pattern=r"^[A-Za-z][A-Za-z0-9_]*$",
        examples=["band_gap"],
    )
    key: str | None = setting(
        None,
        "Key of the label in the frames' info or arrays; not set: the name.",
        label="Key of the label",
        fixed=True,
        basic=True,
        min_length=1,
    )
    unit: str = setting(
        "",
        "Unit of the labels, shown with errors and on axes; nothing is converted.",
        label="Unit",
        basic=True,
    )

    kind: ClassVar[Kind]

    @field_validator("name")
    @classmethod
    def _check_name(cls, value: str) -> str:
        if value in _TAKEN:
            msg = f"'{value}' already has another meaning; choose another name"
            raise ValueError(msg)
        return value

    def about(self) -> Property:
        """Return what is declared about the property."""
        return own_property(
            self.name,
            self.kind,
            key=self.key,
            unit=self.unit,
            config=type(self).__name__,
            reduction=getattr(self, "reduction", "mean"),
        )


class GraphPropertyConfig(OwnPropertyConfig):
    """Any number per structure, such as a band gap, predicted from the features of its atoms."""

    kind: ClassVar[Kind] = "structure"

    type: Literal["graph_property"] = setting(
        "graph_property",
        "Kind of property.",
        label="Kind of property",
        options={"graph_property": "any number per structure"},
    )
    reduction: Literal["mean", "sum"] = setting(
        "mean",
        "How the numbers of the atoms are combined for the structure: the mean for quantities that do not "
        "grow with its size (a band gap, an energy per atom), the sum for those that do.",
        label="Reduction",
        fixed=True,
        basic=True,
        options={"mean": "mean over atoms", "sum": "sum over atoms"},
    )


class AtomPropertyConfig(OwnPropertyConfig):
    """Any number per atom, such as a charge or a magnetic moment.

    If the backbone has a head of its own for the name, such as CHGNet for ``magmoms``, that head is tuned.
    """

    kind: ClassVar[Kind] = "atom"

    type: Literal["atom_property"] = setting(
        "atom_property",
        "Kind of property.",
        label="Kind of property",
        options={"atom_property": "any number per atom"},
    )


class VectorPropertyConfig(OwnPropertyConfig):
    """Any vector per structure, such as the dipole moment of a molecule, which rotates with the structure.

    It is predicted from the features of pairs of atoms, along the lines between them.
    """

    kind: ClassVar[Kind] = "vector"

    type: Literal["vector_property"] = setting(
        "vector_property",
        "Kind of property.",
        label="Kind of property",
        options={"vector_property": "any vector per structure"},
    )
    loss: LossConfig = setting(
        L2MAELossConfig,
        "How an error is counted; 'mae' treats each component separately, which depends on the axes.",
        label="Loss",
        basic=True,
    )
    reduction: Literal["mean", "sum"] = setting(
        "sum",
        "How the vectors of the atoms are combined for the structure: the sum for quantities that grow with "
        "its size (a dipole moment), the mean for those that do not (a polarization).",
        label="Reduction",
        fixed=True,
        basic=True,
        options={"sum": "sum over atoms", "mean": "mean over atoms"},
    )


OWN_KINDS = (GraphPropertyConfig, AtomPropertyConfig, VectorPropertyConfig)
"""Settings of user-defined properties."""

_TAKEN = {
    *PROPERTIES,
    "stress",
    "free_energy",
    "energies",
    "energy_per_atom",
    "total",
    "num_atoms",
    "index",
}


def _kind_of(value: Any) -> str:
    """Return what identifies the settings of a property: their type, or else their name."""
    if isinstance(value, BasePropertyConfig):
        kind: Any = getattr(value, "type", None) or value.about().name
    else:
        kind = (value.get("type") or value.get("name")) if isinstance(value, dict) else None
    return kind if isinstance(kind, str) and kind in _OURS else "outside"


def _from_outside(value: Any) -> BasePropertyConfig:
    if isinstance(value, BasePropertyConfig):
        return value
    if not isinstance(value, dict):
        msg = f"expected settings of a property, as in 'name: energy'; got {shown(value)}"
        raise ValueError(msg)
    kind = str(value.get("type") or value.get("name"))
    kinds = outside_kinds()
    if kind not in kinds:
        known = [*_OURS, *kinds]
        msg = f"unknown property '{kind}'.{did_you_mean(kind, known)} Allowed: {', '.join(known)}"
        raise ConfigError(msg)
    config_class = outside_config_class(kind)
    if not (isinstance(config_class, type) and issubclass(config_class, BasePropertyConfig)):
        msg = f"the property '{kind}' ({kinds[kind].value}) is not a BasePropertyConfig"
        raise ConfigError(msg)
    return config_class.from_dict(value)


_OURS = (*PROPERTIES, *(kind.model_fields["type"].default for kind in OWN_KINDS))

_OutsidePropertyConfig = Annotated[
    BasePropertyConfig,
    PlainValidator(_from_outside),
    PlainSerializer(lambda config: config.to_dict(), return_type=dict[str, Any]),
    WithJsonSchema({"type": "object", "title": "BasePropertyConfig"}),
]

PropertyConfig = Annotated[
    Annotated[EnergyPropertyConfig, Tag("energy")]
    | Annotated[ForcesPropertyConfig, Tag("forces")]
    | Annotated[StressesPropertyConfig, Tag("stresses")]
    | Annotated[GraphPropertyConfig, Tag("graph_property")]
    | Annotated[AtomPropertyConfig, Tag("atom_property")]
    | Annotated[VectorPropertyConfig, Tag("vector_property")]
    | Annotated[_OutsidePropertyConfig, Tag("outside")],
    Discriminator(_kind_of),
]
"""Settings of any property: built in, user-defined, or of a kind from another package."""
