"""Checks a backbone in a separate environment that contains only what its extra installs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from importlib.metadata import distribution, version
from pathlib import Path
from typing import TYPE_CHECKING

from mattertune_nb.backbones.registry import backbone_config_class

if TYPE_CHECKING:
    from collections.abc import Sequence


def check_in_new_environment(name: str, settings: Sequence[str]) -> int:
    """Install a backbone's extra into a new environment and run the conformance suite there.

    Progress is printed as it happens. The environment is removed at the end.

    Parameters
    ----------
    name
        Name of the backbone.
    settings
        Settings of its config, as ``FIELD=VALUE``, e.g. ``checkpoint=small.pt``.

    Returns
    -------
    int
        0 if it conforms.

    Raises
    ------
    ConfigError
        There is no such backbone.
    """
    extra = backbone_config_class(name).extra
    with tempfile.TemporaryDirectory(prefix="mattertune_nb-") as folder:
        venv.create(folder, with_pip=True)
        (python,) = [p for p in Path(folder).glob("*/python*") if p.stem == "python"]
        torch = version("torch").partition("+")[0]
        package = this_package() + ("" if extra is None else f"[{extra}]")
        # anything else on this process's paths must not leak into the new environment
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        sys.stdout.write(f"Installing {package} and torch {torch} into a new environment …\n")
        sys.stdout.flush()
        for command in (
            ["-m", "pip", "install", "--quiet", f"torch=={torch}", package],
            ["-m", "pip", "check"],
            ["-m", "mattertune_nb.testing.check", name, *settings],
        ):
            # complaints of `pip check` are printed; the suite shows whether they matter
            code = subprocess.run([python, *command], check=False, env=environment).returncode
            if code and command[2] != "check":
                return code
    return 0


def this_package() -> str:
    """Return where pip installs this package from: the folder it runs from, or the package index."""
    origin = distribution("mattertune-nb").read_text("direct_url.json")
    url = json.loads(origin)["url"] if origin else ""
    if url.startswith("file://"):
        return str(url.removeprefix("file://"))
    return f"mattertune-nb=={version('mattertune-nb')}"
