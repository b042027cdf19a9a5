"""Of what kinds structures away from a target are."""

KIND = "kind"
"""Key of ``atoms.info`` under which a structure says of what kind it is."""

ELEMENTS, COMPOUNDS, MOLECULES = "elemental solids", "compounds", "molecules"
SURFACES, OWN = "surfaces", "of the target's elements alone"
