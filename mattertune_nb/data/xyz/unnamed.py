"""Values without a name in an extended-XYZ frame, which therefore cannot be found as labels."""

from __future__ import annotations

from mattertune_nb.config.properties import ENERGY, FORCES
from mattertune_nb.data.labels.values import as_float

_GEOMETRY = 4  # columns: a species and a position


def unnamed_values(block: bytes, label: str) -> str | None:
    """Return a sentence about values of a frame that may be a label but have no name, or None."""
    lines = block.decode("utf-8", errors="replace").split("\n")
    header = lines[1].strip() if len(lines) > 1 else ""
    if label == ENERGY.name and not header:
        return "The second line of the frame is empty, where labels stand, e.g. energy=-6.8."
    first = header.split()[0] if header else ""
    if label == ENERGY.name and as_float(first) is not None:
        return (
            f"The second line of the frame begins with {first}, a number without a name: write "
            f"energy={first} if it is the energy."
        )
    n_columns = len(lines[2].split()) if len(lines) > 2 else 0
    is_unnamed = "properties=" not in header.lower() and n_columns > _GEOMETRY
    if label == FORCES.name and is_unnamed:
        return (
            f"Its atoms have {n_columns} columns and its header no 'Properties', so that the columns after "
            "the position have no name: write Properties=species:S:1:pos:R:3:forces:R:3 if they are forces."
        )
    return None
