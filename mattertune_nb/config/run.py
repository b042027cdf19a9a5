"""Name, place and seed of a run."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import field_validator

from mattertune_nb.config.base import StrictConfig, setting


class RunConfig(StrictConfig):
    """The folder to which a run writes all its records, and the seed that makes it repeatable."""

    name: str | None = setting(
        None,
        "Folder of the run below `root`; not set: backbone, date and time. Set it to find the run "
        "again among many.",
        label="Name",
        basic=True,
    )
    root: Path = setting(
        Path("runs"),
        "Folder that holds all runs. Change it if the notebook's disk is small, or a project has its own.",
        label="Folder of all runs",
        basic=True,
    )
    module_class: str | None = setting(
        None,
        "A subclass of FinetuneModuleBase with your own steps, as 'package.module:Class'. Set "
        "it for a loss or a metric that the settings do not offer.",
        label="Your own module class",
        pattern=r"^[\w.]+:\w+$",
        examples=["package.module:Class"],
    )
    save_every: float = setting(
        5.0,
        "Time between two saves of the last state within an epoch. Lower it on machines that may "
        "be taken away; a crash loses at most this.",
        label="Time between saves",
        basic=True,
        unit="min",
        gt=0,
    )
    seed: int = setting(
        0,
        "Seed of every random number of the run. Change it to see how far results scatter.",
        label="Random seed",
        fixed=True,
        basic=True,
        ge=0,
        le=2**32 - 1,
    )

    @field_validator("name")
    @classmethod
    def _check_name(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[\w][\w .+=@-]*", value):
            msg = "use letters, digits, spaces and _.+=@-, and begin with a letter, digit or _"
            raise ValueError(msg)
        return value
