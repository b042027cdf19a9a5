"""The gain from fine-tuning: the errors of the untuned model beside those of the tuned one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias
import numpy as np

from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.config.properties import ENERGY
from mattertune_nb.training.outcome.models import untuned_of
from mattertune_nb.training.outcome.stages import REREFERENCED, TUNED, UNTUNED, gain
from mattertune_nb.widgets.page.download import Download
from mattertune_nb.widgets.page.front_end import enable_colab_widgets, has_front_end
from mattertune_nb.widgets.page.picture import Drawing, Message, Pictured
from mattertune_nb.widgets.page.style import note_html, number
from mattertune_nb.widgets.page.theme import GREEN, INK, RED
from mattertune_nb.widgets.page.work import PATIENCE, Work
from mattertune_nb.widgets.views.opened import open_pair
from mattertune_nb.widgets.views.pairs import Pairs
from mattertune_nb.widgets.views.parity import message_of
from mattertune_nb.widgets.views.parity_data import parity_numbers
from mattertune_nb.widgets.views.parity_picture import draw_stages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from mattertune_nb.config.properties import PropertyName
    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.model.module import FinetuneModuleBase
    from mattertune_nb.widgets.page.export import Table
    from mattertune_nb.widgets.views.parity_data import ParityData

Stages = dict[str, "dict[PropertyName, ParityData]"]
_COLORS = {1: GREEN, 0: INK, -1: RED}


class BeforeAfter(Pictured, W.VBox):  # type: ignore[misc]
    """A table of errors with one column per stage, above parity plots; created by :func:`before_after`.

    Parameters
    ----------
    untuned, tuned
        The models.
    dataset
        Structures with labels.
    """

    def __init__(
        self, untuned: FinetuneModuleBase, tuned: FinetuneModuleBase, dataset: AtomsDataset
    ) -> None:
        enable_colab_widgets()
        self.dataset = dataset
        self._shifts = _frame_shifts(untuned, tuned)
        self._pairs = Pairs([untuned, tuned], dataset)
        self._stages: Stages = {}
        self._figure: Figure | None = None
        self._table = W.HTML()
        self._image = Drawing()
        self.work = Work(self._pairs.steps(), self._on_news)
        above = W.HBox(
            [self._table, Download(self, "before_after")],
            layout=W.Layout(flex_flow="row wrap", align_items="flex-start"),
        )
        super().__init__([self.work, above, self._image])

    @property
    def stages(self) -> Stages:
        """Labels and predictions of each stage, once all are available or the rest was cancelled."""
        self.work.wait()
        return self._stages

    def wait(self, timeout: float | None = None) -> None:
        """Wait until everything is predicted; see :meth:`Work.wait`."""
        self.work.wait(timeout)

    def _on_news(self) -> None:
        """Take over new predictions; called in the predicting thread."""
        before, after = self._pairs.of(0), self._pairs.of(1)
        if not after:
            return
        self._stages = {
            UNTUNED: before,
            REREFERENCED: rereferenced(before, self.dataset, self._shifts),
            TUNED: after,
        }
        self._figure = None
        self._table.value = error_table_html(self._stages) + note_html(self._pairs.note)
        if has_front_end():
            self._image.draw(self._drawn())
        if self.work.steps_done:
            self.renew_picture()

    def draw(self) -> Figure | None:
        """Return parity plots of the last two stages as a matplotlib figure."""
        if not self._stages:
            return None
        if self._figure is None:
            self._figure = self._drawn()
        return self._figure

    def _drawn(self) -> Figure:
        return draw_stages({stage: self._stages[stage] for stage in (REREFERENCED, TUNED)})

    def numbers(self) -> Table | None:
        """Return every label with the prediction of each stage."""
        table: dict[str, Any] = {}
        for stage, data in self._stages.items():
            columns = parity_numbers(data, self.dataset) or {}
            for title, column in columns.items():
                of_stage = " prediction " in title or " error " in title
                table[f"{stage}: {title}" if of_stage else title] = column
        return table or None

    def plain_header(self) -> str:
        """Return the table, for front ends without widgets."""
        return str(self._table.value)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(**kwargs)
        errors = (
            f"{values.about.title} "
            + " -> ".join(f"{data[name].mae:.4g}" for data in self._stages.values())
            + f" {values.about.shown_unit}"
            for name, values in self._stages.get(TUNED, {}).items()
        )
        text = f"mean absolute error, {' -> '.join(self._stages)}: {', '.join(errors)}"
        return bundle | {"text/plain": text}

    def close(self) -> None:
        """Cancel running predictions, and close the view."""
        self.work.cancel()
        super().close()


def _frame_shifts(untuned: FinetuneModuleBase, tuned: FinetuneModuleBase) -> NDArray[np.float64]:
    """Return the contribution of the initial reference energies for each element, eV, (119,)."""
    change = tuned.normalization.first_references - untuned.normalization.references
    return np.asarray(change.cpu().numpy(), dtype=np.float64)


def rereferenced(
    data: Mapping[PropertyName, ParityData],
    dataset: AtomsDataset,
    shifts: NDArray[np.float64],
) -> dict[PropertyName, ParityData]:
    """Return pairs whose predicted energies are shifted to other reference energies.

    Parameters
    ----------
    data
        Pairs by property.
    dataset
        The data set with the frames.
    shifts
        Shift of the energy per atom of each element, eV, by atomic number.
    """
    energy = data.get(ENERGY.name)
    if energy is None:
        return dict(data)
    added = [ENERGY.factor * shifts[dataset.frame(i).numbers].mean() for i in energy.frame.tolist()]
    return dict(data) | {ENERGY.name: replace(energy, prediction=energy.prediction + added)}


def error_table_html(stages: Mapping[str, Mapping[PropertyName, ParityData]]) -> str:
    """Return mean absolute errors as an HTML table: one row per property, one column per stage, and the gain.

    The gain is that of the last stage over the previous one.
    """
    *_, reference, last = stages.values()
    style = 'style="text-align:{};padding:2px 10px"'
    left, right = style.format("left"), style.format("right")
    head = "".join(f"<th {right}>{stage}</th>" for stage in stages)
    rows = []
    for name, values in last.items():
        words, sign = gain(reference[name].mae, values.mae)
        cells = "".join(f"<td {right}>{number(data[name].mae)}</td>" for data in stages.values())
        rows.append(
            f"<tr><td {left}>{values.about.with_unit(values.about.title)}</td>{cells}"
            f'<td {left}><b style="color:{_COLORS[sign]}">{words}</b></td></tr>'
        )
    return (
        '<div style="overflow-x:auto"><table style="line-height:1.4"><thead>'
        f"<tr><th {left}>mean absolute error</th>{head}"
        f"<th {left}>gain</th></tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def before_after(model_or_run: Any, dataset: Any = None) -> BeforeAfter | W.HTML:
    """Compare the tuned model with the untuned one, the latter also with the run's reference energies.

    Parameters
    ----------
    model_or_run
        A tuned model, a run, or the path of a run or checkpoint.
    dataset
        Structures with labels that training has not seen; by default the run's validation set.

    Returns
    -------
    ipywidgets.DOMWidget
        A table and plots, or a message. Work of more than a second continues in the background; without a
        front end it is done at once.
    """
    try:
        tuned, frames = open_pair(model_or_run, dataset)
        untuned = untuned_of(tuned)
    except MatterTuneError as exc:
        return Message(str(exc))
    view = BeforeAfter(untuned, tuned, frames)
    view.work.start(PATIENCE)
    if view.work.error is None:
        return view
    view.close()
    return message_of(view.work.error)
