"""CPU time of the checks that are not bounded by ``seconds``, on one thread.

``python tests/benchmarks/bench_validate.py RUN [FILE]``; dynamics, relaxations, elastic constants and
phonons go as far as their part of ``seconds`` lets them, and are not among these.
"""

from __future__ import annotations

import sys
import time
from itertools import pairwise

import torch

from mattertune_nb.training.outcome.validate import validate

FIXED = (
    "parity",
    "distance",
    "spread",
    "gradient",
    "rotation",
    "permutation",
    "size",
    "walls",
    "volume",
)


def main() -> None:
    """Print the time of each, and of all with the loading of the model."""
    torch.set_num_threads(1)
    run, *data = sys.argv[1:]
    begun, marks = time.process_time(), []
    validate(
        run,
        FIXED,
        data=data[0] if data else None,
        progress=lambda name, *_: marks.append((name, time.process_time() - begun)),
    )
    for (name, start), (_, end) in pairwise(marks):
        sys.stdout.write(f"{name:12} {end - start:6.1f} s\n")
    sys.stdout.write(f"{'all':12} {marks[-1][1]:6.1f} s\n")


if __name__ == "__main__":
    main()
