"""What fine-tuning gained: the untuned model beside the tuned one."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.widgets.page.export import render
from mattertune_nb.widgets.page.picture import Message
from mattertune_nb.widgets.page.style import number
from mattertune_nb.widgets.views.parity import open_pair
from mattertune_nb.widgets.views.parity_data import TITLES, UNITS, ParityData, parity_data
from mattertune_nb.widgets.views.parity_picture import draw_parity

if TYPE_CHECKING:
    import ipywidgets

    from mattertune_nb.config.task import PropertyName


class BeforeAfter:
    """Parity plots in two rows, and a table of errors; :func:`before_after` makes it.

    Attributes
    ----------
    before, after
        Labels and predictions, the former with the run's reference energies.
    """

    def __init__(
        self, before: dict[PropertyName, ParityData], after: dict[PropertyName, ParityData]
    ) -> None:
        self.before, self.after = before, after

    def picture(self) -> bytes:
        """Return the plots as PNG."""
        return render(draw_parity({"untuned:": self.before, "tuned:": self.after}))

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        image = base64.b64encode(self.picture()).decode()
        left = "style='text-align:left'"
        rows = "".join(
            f"<tr><td {left}>{TITLES[name]}, {UNITS[name]}</td><td>{number(self.before[name].mae)}</td>"
            f"<td>{number(values.mae)}</td>"
            f"<td>{self.before[name].mae / max(values.mae, 1e-12):.1f} ×</td></tr>"
            for name, values in self.after.items()
        )
        table = (
            f"<table><thead><tr><th {left}>mean absolute error</th><th>untuned</th><th>tuned</th>"
            f"<th>smaller by</th></tr></thead><tbody>{rows}</tbody></table>"
        )
        text = ", ".join(
            f"{n} {self.before[n].mae:.4g} -> {v.mae:.4g}" for n, v in self.after.items()
        )
        return {
            "text/html": f'{table}<img alt="parity before and after" src="data:image/png;base64,{image}">',
            "image/png": image,
            "text/plain": f"MAE in meV units, untuned -> tuned: {text}",
        }


def before_after(model_or_run: Any, dataset: Any) -> BeforeAfter | ipywidgets.HTML:
    """Compare the untuned model, with the run's reference energies, and the tuned one.

    Parameters
    ----------
    model_or_run
        A tuned model, a run, or the path of a run or checkpoint.
    dataset
        Structures with labels that training has not seen.
    """
    try:
        tuned, frames = open_pair(model_or_run, dataset)
        untuned = type(tuned)(tuned.hparams)
        untuned.normalization.load_state_dict(tuned.normalization.state_dict())
        before, after = parity_data(untuned.eval(), frames), parity_data(tuned, frames)
    except MatterTuneError as exc:
        return Message(str(exc))
    if not after:
        return Message(f"{frames.name}: no frame has labels to compare with.")
    return BeforeAfter(before, after)
