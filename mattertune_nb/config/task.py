"""What is learnt: properties, their losses, and how labels are normalised."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from mattertune_nb.config.base import StrictConfig, setting
from mattertune_nb.config.properties import PROPERTIES, Property


class MAELossConfig(StrictConfig):
    """Mean absolute error; forgiving to a few frames that are far off. The energy's default."""

    name: Literal["mae"] = setting(
        "mae", "Kind of loss.", label="Kind of loss", options={"mae": "mean absolute error (MAE)"}
    )


class MSELossConfig(StrictConfig):
    """Mean squared error; large errors dominate."""

    name: Literal["mse"] = setting(
        "mse", "Kind of loss.", label="Kind of loss", options={"mse": "mean squared error (MSE)"}
    )


class HuberLossConfig(StrictConfig):
    """Squared below `delta`, absolute above, :func:`torch.nn.functional.huber_loss`."""

    name: Literal["huber"] = setting(
        "huber", "Kind of loss.", label="Kind of loss", options={"huber": "Huber"}
    )
    delta: float = setting(
        0.01,
        "Error at which the loss changes from squared to absolute, in the property's unit. Set it "
        "to about the error that you expect in the end.",
        label="Turning point (delta)",
        basic=True,
        gt=0,
    )


class L2MAELossConfig(StrictConfig):
    """Mean length of each atom's error vector, independent of the choice of axes. The default for forces."""

    name: Literal["l2_mae"] = setting(
        "l2_mae",
        "Kind of loss.",
        label="Kind of loss",
        options={"l2_mae": "mean length of error vectors (L2 MAE)"},
    )


LossConfig = Annotated[
    MAELossConfig | MSELossConfig | HuberLossConfig | L2MAELossConfig, Field(discriminator="name")
]


class BasePropertyConfig(StrictConfig):
    """Settings shared by all properties."""

    loss: LossConfig = setting(
        MAELossConfig,
        "How errors are counted. 'mae' follows most frames, 'mse' the worst ones, and 'huber' lies between; "
        "choose 'huber' or 'mae' if some labels are outliers.",
        label="Loss",
        basic=True,
    )
    loss_coefficient: float = setting(
        1.0,
        "Weight in the total loss; 0 keeps the metrics but does not train on it.",
        label="Weight",
        basic=True,
        ge=0,
    )
    final_loss_coefficient: float | None = setting(
        None,
        "Weight in the last part of the run, see the model's `final_stage`; not set: unchanged. A larger "
        "one for the energy (1.0) improves energies once forces are learnt. Validation losses keep the "
        "initial weights, so that they stay comparable.",
        label="Weight in the final stage",
        ge=0,
    )
    missing: Literal["error", "mask"] = setting(
        "error",
        "What to do with a frame that lacks this label: refuse the data, or train on the labels it has.",
        label="Frames without this label",
        options={"error": "are refused", "mask": "are used for what they have"},
    )

    def about(self) -> Property:
        """Return what is declared about the property, see :mod:`mattertune_nb.config.properties`."""
        return PROPERTIES[getattr(self, "name")]  # noqa: B009  each kind has its own type of name

    @property
    def is_scaled_per_atom(self) -> bool:
        """Whether the loss divides errors by the number of atoms."""
        return self.about().is_extensive and getattr(self, "per_atom", True)


class EnergyPropertyConfig(BasePropertyConfig):
    """Total energy of a structure, in eV."""

    name: Literal["energy"] = setting(
        "energy", "Property.", label="Property", options={"energy": "energy"}
    )
    loss_coefficient: float = setting(
        0.1,
        "Weight in the total loss; 0 keeps the metrics but does not train on it. Raise it if energies "
        "matter more than forces, or there are few forces.",
        label="Weight",
        basic=True,
        ge=0,
    )
    per_atom: bool = setting(
        True,
        "Divide the error by the number of atoms in the loss, so that large cells do not dominate. Turn it "
        "off only if all frames have the same size and total energies are wanted.",
        label="Error per atom",
        fixed=True,
    )


class ForcesPropertyConfig(BasePropertyConfig):
    """Force on each atom, in eV/Å."""

    name: Literal["forces"] = setting(
        "forces", "Property.", label="Property", options={"forces": "forces"}
    )
    loss: LossConfig = setting(
        L2MAELossConfig,
        "How errors are counted; 'mae' treats each component separately.",
        label="Loss",
        basic=True,
    )
    conservative: bool = setting(
        True,
        "Take forces as the gradient of the energy; direct heads need a backbone that has one. "
        "Keep it on for molecular dynamics: otherwise the energy drifts.",
        label="Gradient of the energy",
        fixed=True,
    )


class StressesPropertyConfig(BasePropertyConfig):
    """Stress of a cell periodic in three directions, in eV/Å³, ASE's sign and Voigt order."""

    name: Literal["stresses"] = setting(
        "stresses", "Property.", label="Property", options={"stresses": "stress"}
    )
    conservative: bool = setting(
        True,
        "Take the stress as the gradient of the energy with respect to strain. Keep it on for "
        "relaxations of cells.",
        label="Gradient of the energy",
        fixed=True,
    )


ISOLATED_ATOMS: Literal["isolated_atoms"] = "isolated_atoms"
"""References for which the model gives isolated atoms exactly the energies they have in the data."""


class PerAtomReferencingNormalizerConfig(StrictConfig):
    """Add an energy per element to the prediction, because DFT codes differ in their zero of energy."""

    name: Literal["per_atom_referencing"] = setting(
        "per_atom_referencing",
        "Kind of normalizer.",
        label="Kind of normalizer",
        options={"per_atom_referencing": "reference energy of each element"},
    )
    per_element_references: dict[str, float] | Literal["isolated_atoms"] | Path | None = setting(
        None,
        "Energy of each element, or a YAML or JSON file with it; 'isolated_atoms': chosen so that the "
        "isolated atoms in the data (E0s) get exactly their energies; not set: fitted robustly to label - "
        "prediction on the training set, and kept only if this lowers the held-out error.",
        label="Reference energies",
        fixed=True,
        basic=True,
        unit="eV",
        kinds={
            "none": "fitted",
            "dict": "entered here",
            "literal": "from isolated atoms in the data",
            "str": "from a file",
        },
    )
    refit: bool = setting(
        True,
        "Refit fitted references to a sample of the training set at each validation, because the zero of "
        "energy drifts while the weights are trained; kept only if this lowers the error on held-out "
        "frames. Turn it off to compare with runs without it.",
        label="Refit during training",
    )


class MeanStdNormalizerConfig(StrictConfig):
    """Shift predictions by a mean, and count errors in units of a standard deviation."""

    name: Literal["mean_std"] = setting(
        "mean_std",
        "Kind of normalizer.",
        label="Kind of normalizer",
        options={"mean_std": "mean and standard deviation"},
    )
    mean: float | None = setting(
        None,
        "Shift added to each predicted energy, per atom; not set: the mean of label - prediction "
        "over the training set. Forces and stress are never shifted.",
        label="Mean",
        fixed=True,
        basic=True,
    )
    std: float | None = setting(
        None,
        "Errors are divided by it in the loss; not set: computed from the training labels. Set it to "
        "train several sets on one scale.",
        label="Standard deviation",
        fixed=True,
        basic=True,
        gt=0,
    )


class RMSNormalizerConfig(StrictConfig):
    """Count errors in units of the root mean square of the labels."""

    name: Literal["rms"] = setting(
        "rms",
        "Kind of normalizer.",
        label="Kind of normalizer",
        options={"rms": "root mean square"},
    )
    rms: float | None = setting(
        None,
        "Errors are divided by it in the loss; not set: computed from the training labels. Set it to "
        "train several sets on one scale.",
        label="Root mean square",
        fixed=True,
        basic=True,
        gt=0,
    )


NormalizerConfig = Annotated[
    PerAtomReferencingNormalizerConfig | MeanStdNormalizerConfig | RMSNormalizerConfig,
    Field(discriminator="name"),
]
