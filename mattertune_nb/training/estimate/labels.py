"""Compares values that may be labels with the untuned model, in a separate process.

Run as a program with ``python -m``, this module reads a config as JSON and answers with a line of JSON.
"""

from __future__ import annotations

import logging
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mattertune_nb.training.estimate.process import AskedProcess, answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mattertune_nb.data.labels.choice import Choice
    from mattertune_nb.training.config import MatterTunerConfig

_SECONDS = 5.0
"""Time limit for finding the names in a file."""


@dataclass(frozen=True)
class Weighed:
    """Results for the open choices of each data file.

    Attributes
    ----------
    files
        By the file's field in the config and the label: the chosen ``key`` or ``None``, ``notes``, and the
        ``evidence`` for each candidate.
    """

    files: dict[str, dict[str, dict[str, Any]]]

    def added_to(self, name: str, choices: Mapping[str, Choice]) -> dict[str, Choice]:
        """Return the choices of a file, updated with the results."""
        found = deepcopy(dict(choices))
        for label, said in self.files.get(name, {}).items():
            choice = found[label]
            for candidate in choice.open:
                candidate.evidence = said["evidence"].get(candidate.key, "")
            choice.notes = list(said["notes"])
            taken = [candidate for candidate in choice.open if candidate.key == said["key"]]
            if taken:
                choice.key, choice.candidate, choice.open = said["key"], taken[0], []
        return found


def weigh_labels(
    config: MatterTunerConfig, begun: Callable[[AskedProcess], None] = lambda _: None
) -> Weighed:
    """Let another process decide which values of the data files are labels, if there are several candidates.

    Parameters
    ----------
    config
        The data files, and the backbone to compare with.
    begun
        Called with the process, which may be cancelled.

    Raises
    ------
    MatterTuneError
        The process was ended.
    """
    with AskedProcess("look at the labels", __name__) as process:
        begun(process)
        return Weighed(**process.answer_to(config))


def weighed(config: MatterTunerConfig) -> Weighed:
    """Do it in this process."""
    from mattertune_nb.data.contents import search_labels
    from mattertune_nb.doctor.evidence import decide

    files = {}
    for name in type(config.data).model_fields:
        source = getattr(config.data, name)
        if not hasattr(source, "src"):
            continue
        dataset = source.create_dataset()
        choices = search_labels(dataset, at_most=_SECONDS).choices()
        asked = {label: list(choice.open) for label, choice in choices.items() if choice.open}
        decide(dataset, choices, config.model.name)
        files[name] = {
            label: {
                "key": choices[label].key,
                "notes": choices[label].notes,
                "evidence": {candidate.key: candidate.evidence for candidate in candidates},
            }
            for label, candidates in asked.items()
        }
    return Weighed(files)


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    answer("look at the labels", weighed)
