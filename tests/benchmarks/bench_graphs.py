"""CHGNet's graphs, ours over the vendor's builder: ``python tests/benchmarks/bench_graphs.py [FILE …]``.

Aim: 0.2 at most. Without files, on oxides of 8 to 32 atoms and on one of 256.
"""

from __future__ import annotations

import sys
import warnings

from pymatgen.io.ase import AseAtomsAdaptor
from structures import oxides
from timing import compare

import mattertune_nb as mt

warnings.simplefilter("ignore")


def main(files: list[str]) -> None:
    """Measure each file, or made-up structures."""
    backbone = mt.CHGNetBackboneConfig().create_backbone()
    convert = backbone.model.graph_converter
    sets = {
        "oxides of 8 to 32 atoms": oxides(12),
        "an oxide of 256 atoms": [oxides(1)[0] * (4, 4, 2)],
    }
    if files:
        sets = {}
        for file in files:
            dataset = mt.XYZDatasetConfig(src=file).create_dataset()
            sets[dataset.name] = [dataset[i] for i in range(min(len(dataset), 30))]
    for title, frames in sets.items():
        structures = [AseAtomsAdaptor.get_structure(atoms) for atoms in frames]
        compare(
            f"graphs of {title}",
            lambda frames=frames: [backbone.graph(atoms) for atoms in frames],
            lambda structures=structures: [convert(structure) for structure in structures],
        )


if __name__ == "__main__":
    main(sys.argv[1:])
