"""Shows anything that contains structures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mattertune_nb.config.errors import DataError, MatterTuneError
from mattertune_nb.widgets.page.download import Download
from mattertune_nb.widgets.page.picture import Message
from mattertune_nb.widgets.views.atom_values import (
    FORCE_ERROR,
    FORCE_SPREAD,
    given_values,
    named_values,
)
from mattertune_nb.widgets.views.shown import refuse_empty
from mattertune_nb.widgets.views.structure_controls import ARROWS
from mattertune_nb.widgets.views.structure_view import ForcePredictor, StructureView
from mattertune_nb.widgets.views.structures import open_structures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import ipywidgets as W  # noqa: N812  the usual alias
    from ase import Atoms

    from mattertune_nb.data.dataset import AtomsDataset

_NEED_MODEL = ("prediction", "difference", FORCE_ERROR, FORCE_SPREAD)
_HEIGHT = "350px"


def view(
    x: Atoms | Sequence[Atoms] | Mapping[str, Atoms] | AtomsDataset | str | Path | Any,
    *,
    forces: str | None = None,
    model: Any = None,
    color: Any = None,
    color_label: str = "",
) -> StructureView | W.HTML:
    """Show a structure, a list, a dict by name, a file or a dataset.

    The viewer is nglview, or as set by ``MATTERTUNE_NB_VIEWER``: ``nglview``, ``weas`` or ``picture``.

    Parameters
    ----------
    x
        What to show; ten thousand frames are as fast as one, because each is read when shown.
    forces
        Force arrows: ``"label"``, ``"prediction"`` or ``"difference"`` (prediction - label); they can be
        changed in the view.
    model
        Predicts if arrows or colours need it; atoms are then coloured by their force error by default.
    color
        Per-atom values that colour the atoms: (n,) numbers, a function of the frame number that returns them,
        or a name: ``"force_error"`` (which needs `model`) and ``"force"`` are norms in meV/Å,
        ``"force_spread"`` that of the spread if `model` is an ensemble, any other is looked up in the frame's
        own arrays, e.g. ``"magmoms"``; ``"element"`` for the element colours.
    color_label
        Title of the values, with their unit.

    Returns
    -------
    ipywidgets.DOMWidget
        The view, or a message if a file cannot be read or something is missing.
    """
    predict = None if model is None else ForcePredictor(model)
    try:
        frames = open_structures(x)
        refuse_empty(frames.frame(0), frames.source(0))
        for name, value in (("forces", forces), ("color", color)):
            if not isinstance(value, str) or value not in _NEED_MODEL:
                continue
            if predict is None:
                msg = f"{name}='{value}' needs a model: view(x, {name}='{value}', model=...)."
                raise DataError(msg)
            if value == FORCE_SPREAD and not predict.has_spread:
                msg = (
                    "color='force_spread' needs an ensemble: view(x, ..., model=mt.Ensemble([...])), or the "
                    "model of a run with model.last_block_copies."
                )
                raise DataError(msg)
        if forces is not None and forces not in ARROWS.values():
            msg = f"forces: '{forces}' is unknown. Allowed: label, prediction, difference."
            raise DataError(msg)
        if isinstance(color, str) and color not in ("element", FORCE_ERROR, FORCE_SPREAD):
            named_values(frames, color, None, 0)
    except MatterTuneError as exc:
        return Message(str(exc))
    values = color if color is None or isinstance(color, str) else given_values(color)
    shown = StructureView(
        frames,
        forces=forces,
        predict=predict,
        color=values,
        color_label=color_label,
        height=_HEIGHT,
    )
    shown.children = [*shown.children, Download(shown, "structure")]
    return shown
