"""Atom lines of extended XYZ that ASE's parser rejects: repaired, or the true cause reported."""

from __future__ import annotations

import re

from mattertune_nb.data.xyz.header import parse_header

_FORTRAN = re.compile(r"(?<!\S)([+-]?(?:\d+\.?\d*|\.\d+))[dD]([+-]?\d+)(?!\S)")
_NUMBERED = re.compile(r"([A-Z][a-z]?)_?\d+")


def mended(text: str) -> str:
    """Return a frame with Fortran exponents converted to the usual form, and `Na1` to `Na`.

    Only correctly capitalized symbols lose their number: `CA1` may be a carbon, and is left unchanged.

    Raises
    ------
    ValueError
        A species is not a chemical symbol; the message names the atom (from 0) and the value.
    """
    from ase.data import atomic_numbers

    count, header, *lines = text.split("\n")
    # cells and energies in the header have their own rules
    kinds = str(parse_header(header.strip()).get("Properties", "species:S:1:pos:R:3")).split(":")
    names, widths = kinds[::3], [int(width) for width in kinds[2::3]]
    place = sum(widths[: names.index("species")]) if "species" in names else None
    rows = []
    for i, line in enumerate(lines):
        words = line.split()
        if place is not None and i < int(count) and place < len(words):  # cell vectors may follow
            word = words[place]
            found = _NUMBERED.fullmatch(word)
            if found and found[1] in atomic_numbers:
                words[place] = found[1]
            elif word.isdigit():
                cause = (
                    f"atom {i} has the species '{word}', a number, which may be a type or an atomic number; "
                    "write symbols, or 'Z:I:1' for 'species:S:1' where it is the atomic number"
                )
                raise ValueError(cause)
            elif word.capitalize() not in atomic_numbers:
                cause = f"atom {i} has the species '{word}', which is no element"
                raise ValueError(cause)
        rows.append(_FORTRAN.sub(r"\1e\2", " ".join(words)))
    return "\n".join([count, header, *rows])
