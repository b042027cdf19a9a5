"""The conformance suite from a shell: ``python -m mattertune_nb.testing.check NAME [FIELD=VALUE …]``."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

from mattertune_nb.backbones.registry import backbone_config_class
from mattertune_nb.config.overrides import override_settings
from mattertune_nb.testing import check_backbone

if TYPE_CHECKING:
    from collections.abc import Sequence


def check(name: str, settings: Sequence[str]) -> int:
    """Check a backbone, print the result, and return 0 if it conforms.

    Parameters
    ----------
    name
        Name of the backbone.
    settings
        Settings of its config, as ``FIELD=VALUE``.
    """
    config = override_settings(backbone_config_class(name)(), [*settings])
    python = sys.version.partition(" ")[0]
    where = f"Python {python}, torch {version('torch')}"
    try:
        measured = check_backbone(config)
    except AssertionError as exc:
        sys.stdout.write(f"{name} ({where}): {exc}\n")
        return 1
    sys.stdout.write(f"{name} conforms ({where}).\n")
    for trait, found in measured.items():
        sys.stdout.write(f"  not {trait}: {found}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(check(sys.argv[1], sys.argv[2:]))
