"""Settings of what an energy depends on beside its atoms, alike in every backbone that has them."""

from __future__ import annotations

from typing import Any

from mattertune_nb.config.base import setting


def charge() -> Any:
    """Declare the total charge of a structure."""
    return setting(
        0.0,
        "Total charge of a structure without 'charge' in its info, for weights that know charges, such as "
        "those of OMol25.",
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
        What holds where it is ``None``, as a sentence.
    """
    return setting(
        default,
        "Spin multiplicity of a structure without 'spin' in its info, for weights that know spins, such as "
        f"those of OMol25. {not_set}".rstrip(),
        label="Spin multiplicity",
        ge=0,
    )


def level_of_theory(key: str | None, not_set: str, options: dict[str, str] | None = None) -> Any:
    """Declare by which of its energies a model that has several learns and answers.

    Parameters
    ----------
    key
        Key of ``Atoms.info`` by which a structure asks for another; ``None`` where it cannot.
    not_set
        Which it is without this setting, as a sentence.
    options
        Words for its values, where they are known.
    """
    of = "" if key is None else f", for structures without '{key}' in their info"
    return setting(
        None,
        "The energy by which a model that has several learns and answers, each of a level of theory and with "
        f"a zero of its own{of}. Choose that of your labels. {not_set}",
        label="Level of theory",
        basic=True,
        options=options,
    )
