"""Kinds of structures away from a target."""

KIND = "kind"
"""Key of ``atoms.info`` that gives the kind of a structure."""

ELEMENTS, COMPOUNDS, MOLECULES = "elemental solids", "compounds", "molecules"
SURFACES, OWN = "surfaces", "of the target's elements alone"
