"""Settings for what an energy depends on besides its atoms, shared by all backbones that have them."""

from __future__ import annotations

from typing import Any

from mattertune_nb.config.base import setting


def charge() -> Any:
    """Declare the total charge of a structure."""
    return setting(
        0.0,
        "Total charge of structures without 'charge' in their info, for weights that depend on the charge, "
        "such as those of OMol25.",
        label="Charge",
        unit="e",
    )


def spin(default: float | None = 1.0, not_set: str = "") -> Any:
    """Declare the spin multiplicity of a structure.

    Parameters
    ----------
    default
        The default value.
    not_set
        Meaning of ``None``, as a sentence.
    """
    return setting(
        default,
        "Spin multiplicity of structures without 'spin' in their info, for weights that depend on the spin, "
        f"such as those of OMol25. {not_set}".rstrip(),
        label="Spin multiplicity",
        ge=0,
    )


def level_of_theory(key: str | None, not_set: str, options: dict[str, str] | None = None) -> Any:
    """Declare which of several energies a model is trained on and predicts.

    Parameters
    ----------
    key
        Key of ``Atoms.info`` by which a structure selects another one; ``None`` if it cannot.
    not_set
        Which one is used without this setting, as a sentence.
    options
        Readable names of its values, if known.
    """
    of = "" if key is None else f", for structures without '{key}' in their info"
    return setting(
        None,
        "Energy to train on and predict, for models with several levels of theory, each with its own zero"
        f"{of}. Choose that of your labels. {not_set}",
        label="Level of theory",
        basic=True,
        options=options,
    )
