"""Labels against predictions: a parity plot beside the structure of the clicked point."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias
from ase.data import chemical_symbols

from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.config.escaped import escaped
from mattertune_nb.config.properties import FORCES
from mattertune_nb.config.unbroken import grouped, unbroken
from mattertune_nb.widgets.page.download import Download
from mattertune_nb.widgets.page.front_end import enable_colab_widgets
from mattertune_nb.widgets.page.picture import Message, Pictured, only_widgets
from mattertune_nb.widgets.page.style import note_html, number
from mattertune_nb.widgets.page.work import PATIENCE, Work
from mattertune_nb.widgets.views.opened import open_pair, training_set
from mattertune_nb.widgets.views.pairs import Pairs
from mattertune_nb.widgets.views.parity_colors import (
    DENSITY,
    DISTANCE,
    ELEMENT,
    MAX_POINTS,
    choices,
    element_legend,
)
from mattertune_nb.widgets.views.parity_data import by_element, parity_numbers
from mattertune_nb.widgets.views.parity_figure import N_WORST, WIDTH, ParityFigure
from mattertune_nb.widgets.views.parity_picture import draw_parity
from mattertune_nb.widgets.views.spread import SpreadView
from mattertune_nb.widgets.views.structure_view import ForcePredictor, StructureView
from mattertune_nb.widgets.views.surroundings import TrainingDistances

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from mattertune_nb.config.properties import PropertyName
    from mattertune_nb.data.dataset import AtomsDataset
    from mattertune_nb.model.module import FinetuneModuleBase
    from mattertune_nb.widgets.page.export import Table
    from mattertune_nb.widgets.views.parity_data import ParityData

_HINT = "Click a point to see its structure, with its atom marked."


class ParityView(Pictured, W.VBox):  # type: ignore[misc]
    """A parity plot of one property at a time beside the structure of the clicked point.

    Predictions arrive while the view is already shown; :meth:`wait` waits for the last.

    Parameters
    ----------
    model
        The predicting model.
    dataset
        Structures with labels.
    data
        Labels and predictions, if already available.
    training
        Opens the model's training set, if known.
    """

    def __init__(
        self,
        model: FinetuneModuleBase,
        dataset: AtomsDataset,
        data: dict[PropertyName, ParityData] | None = None,
        *,
        training: Callable[[], AtomsDataset] | None = None,
    ) -> None:
        enable_colab_widgets()
        self.dataset = dataset
        self._data = data or {}
        self._training = training
        self._distances: Mapping[int, NDArray[np.float64]] | None = None
        self._lock, self._filling = threading.RLock(), False
        self._chosen: int | None = None
        self._pairs = None if data is not None else Pairs([model], dataset)
        steps = iter(()) if self._pairs is None else self._pairs.steps()
        self.work = Work(steps, self._on_news)
        self._measuring: Work | None = None
        self.property = W.ToggleButtons(
            options=[], tooltips=[], style={"button_width": "74px"}, layout=W.Layout(width="auto")
        )
        self.color = _dropdown("colour by", "What colours the points", "215px")
        self.element = _dropdown(
            "errors of",
            "For forces, atoms of one element; for other properties, frames that contain it",
            "205px",
        )
        self._errors, self._legend, self._words = W.HTML(), W.HTML(), W.HTML(_HINT)
        self.plot = ParityFigure(dataset, self.select_point)
        predict = ForcePredictor(model)
        self.structure = StructureView(dataset, forces="difference", predict=predict)
        self.structure.layout.width = "440px"
        self._measure_place, self._spread = W.VBox(), SpreadView()
        for control in (self.property, self.element, self.color):
            control.observe(self._on_choice, "value")
        self.structure.slider.observe(self._on_slider, "value")
        super().__init__(self._arranged())
        if data is not None:
            self._show()

    def _arranged(self) -> list[W.Widget]:
        """Return the rows of the view, the plot and the structure side by side where there is room."""
        left = W.VBox(
            only_widgets(self._errors, self.plot.widget, self._legend, self._spread),
            layout=W.Layout(width=f"{WIDTH + 6}px"),
        )
        right = W.VBox([self._words, self.structure], layout=W.Layout(width="444px"))
        controls = [self.property, self.element, self.color, Download(self, "parity")]
        row = {"flex_flow": "row wrap"}
        above = W.HBox(controls, layout={**row, "align_items": "center", "width": "100%"})
        beside = W.HBox([left, right], layout={**row, "align_items": "flex-start"})
        return [self.work, self._measure_place, above, beside]

    @property
    def figure(self) -> Any:
        """The plotly figure."""
        return self.plot.widget

    @property
    def data(self) -> dict[PropertyName, ParityData]:
        """Labels and predictions by property, once all are available or the rest was cancelled."""
        self.work.wait()
        return self._data

    def wait(self, timeout: float | None = None) -> None:
        """Wait until everything is predicted; see :meth:`Work.wait`."""
        self.work.wait(timeout)

    def _on_news(self) -> None:
        """Take over new predictions; called in the predicting thread."""
        assert self._pairs is not None
        with self._lock:
            self._data = self._pairs.of()
            self._show()
        if self.work.steps_done:
            self.renew_picture()

    @property
    def _shown(self) -> ParityData | None:
        """The components shown in the plot."""
        values = self._data.get(self.property.value)
        if values is None or not self.element.value:
            return values
        return by_element(values, self.dataset).get(self.element.value, values)

    def _show(self) -> None:
        """Update the choices, and show what is chosen."""
        self._filling = True
        names = [(values.about.title.capitalize(), name) for name, values in self._data.items()]
        if [name for _, name in names] != [name for _, name in self.property.options]:
            first = FORCES.name if FORCES.name in self._data else next(iter(self._data), None)
            kept = self.property.value if self.property.value in self._data else first
            self.property.options, self.property.value = names, kept
        values = self._data.get(self.property.value)
        if values is not None:
            _offer(self.element, _elements(values, by_element(values, self.dataset)))
            self.element.layout.display = None if len(self.element.options) > 1 else "none"
            offered = choices(self._shown or values, training=self._training is not None)
            _offer(self.color, [(choice, choice) for choice in offered])
        self._filling = False
        self._paint()

    def _paint(self) -> None:
        shown = self._shown
        if shown is None:
            return
        by, distances = self.color.value, self._distances
        if by == DISTANCE and distances is None:
            self._measure()
        self.plot.show(shown, by, distances)
        self.plot.mark(self._chosen)
        self._errors.value = self._errors_html()
        self._legend.value = self._legend_html(shown, by)
        self._spread.show(shown)

    def _on_choice(self, _: Any) -> None:
        if self._filling:
            return
        with self._lock:
            self._chosen = None
            self._words.value = _HINT
            self._show()

    def _measure(self) -> None:
        """Measure in the background how far the atoms are from those in training."""
        if self._measuring is not None or self._training is None:
            return
        measured = TrainingDistances(self.dataset, self._training)

        def news() -> None:
            if len(measured.of_frame) == len(self.dataset):
                with self._lock:
                    self._distances = measured.of_frame
                    self._show()

        self._measuring = Work(measured.steps(), news)
        self._measure_place.children = [self._measuring]
        self._measuring.start()

    def _errors_html(self) -> str:
        rows = []
        for name, values in self._data.items():
            chosen = name == self.property.value
            shown = (self._shown or values) if chosen else values
            part = shown.of_element(self.element.value) if chosen else ""
            title = values.about.with_unit(f"{values.about.title}{part}")
            cells = (number(shown.mae), number(shown.rmse), shown.r2_words(), grouped(len(shown)))
            weight = "600" if chosen else "400"
            rows.append(
                f'<tr style="font-weight:{weight}"><td style="text-align:left">{title}</td>'
                + "".join(f"<td>{cell}</td>" for cell in cells)
                + "</tr>"
            )
        head = "".join(f"<th>{text}</th>" for text in ("MAE", "RMSE", "R²", "values"))
        return (
            '<table style="line-height:1.3;border-spacing:10px 0"><thead><tr><th></th>'
            f"{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        )

    def _legend_html(self, shown: ParityData, by: str) -> str:
        parts = [element_legend(shown)] if by == ELEMENT else []
        if len(shown) > MAX_POINTS:
            parts.append(
                f"red: the {N_WORST} largest errors of {number(len(shown))}"
                if by == DENSITY
                else f"a sample of {number(MAX_POINTS)} of {number(len(shown))}, with the largest errors"
            )
        if by == DISTANCE:
            parts.append("smoothed counts of neighbours within 5 Å against the nearest in training")
        if self._pairs is not None and self._pairs.note and shown.about.has_references:
            parts.append(note_html(self._pairs.note))
        return " &nbsp; ".join(map(unbroken, parts))

    def select_point(self, row: int) -> None:
        """Mark one of the components shown, and show its frame with its atom marked."""
        with self._lock:
            shown = self._shown
            if shown is None or not 0 <= row < len(shown):
                return
            self._chosen = row
            self.plot.mark(row)
            frame, atom = int(shown.frame[row]), int(shown.atom[row])
            # the structure below says of which frame
            words = escaped(unbroken(shown.sentence(row)))
            self._words.value = f'<b aria-live="polite">{words}</b>'
        self.structure.show(frame, atom=atom if atom >= 0 else None)

    def _on_slider(self, change: Any) -> None:
        """Remove the mark once another frame is shown."""
        shown = self._shown
        if shown is None or self._chosen is None or shown.frame[self._chosen] == change["new"]:
            return
        self._chosen = None
        self.plot.mark(None)
        self._words.value = _HINT

    def close(self) -> None:
        """Cancel running predictions, and close the view."""
        self.work.cancel()
        if self._measuring is not None:
            self._measuring.cancel()
        super().close()

    def draw(self) -> Figure | None:
        """Return the plots of all properties as a matplotlib figure."""
        if not self._data:
            return None
        distances = self._distances
        return draw_parity(self._data, self.color.value, distances)

    def numbers(self) -> Table | None:
        """Return every label with its prediction."""
        return parity_numbers(self._data, self.dataset)


def _dropdown(description: str, tooltip: str, width: str) -> W.Dropdown:
    return W.Dropdown(
        options=[],
        description=description,
        tooltip=tooltip,
        style={"description_width": "auto"},
        layout=W.Layout(width=width),
    )


def _offer(control: W.Dropdown, options: list[tuple[str, Any]]) -> None:
    """Offer other options, keeping the selected one if it is among them."""
    if tuple(options) == tuple(control.options):
        return
    chosen = control.value
    control.options = options
    control.value = chosen if chosen in [value for _, value in options] else options[0][1]


def _elements(values: ParityData, parts: dict[int, ParityData]) -> list[tuple[str, int]]:
    """Return the elements to choose from with their errors."""
    unit = values.about.shown_unit
    found = [
        (f"{chemical_symbols[z]}: MAE {number(part.mae)} {unit}", z) for z, part in parts.items()
    ]
    return [("all elements", 0), *found]


def parity(model_or_run: Any, dataset: Any = None) -> ParityView | W.HTML:
    """Plot labels against predictions of energy, forces and stress.

    Parameters
    ----------
    model_or_run
        A model, a run, or the path of a run or checkpoint.
    dataset
        Structures with labels: a dataset, a list, or a file; by default the run's validation set.

    Returns
    -------
    ipywidgets.DOMWidget
        The plots, or a message if labels or files are missing. Work of more than a second continues in the
        background; without a front end it is done at once.
    """
    try:
        model, frames = open_pair(model_or_run, dataset)
    except MatterTuneError as exc:
        return Message(str(exc))
    view = ParityView(model, frames, training=training_set(model_or_run))
    view.work.start(PATIENCE)
    if view.work.error is None:
        return view
    view.close()
    return message_of(view.work.error)


def message_of(error: Exception) -> Message:
    """Return an error that users can fix as a message; raise any other."""
    if not isinstance(error, MatterTuneError):
        raise error
    return Message(str(error))
