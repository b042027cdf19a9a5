"""The tabs of a run's form: which settings are on which tab, and which of them are shown at first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias
from typing_extensions import override

from mattertune_nb.backbones.registry import backbone_config_class
from mattertune_nb.config.model import ModelConfig
from mattertune_nb.config.run import RunConfig
from mattertune_nb.config.trainer import TrainerConfig
from mattertune_nb.data.division.splits import AutoSplitDataModuleConfig
from mattertune_nb.widgets.forms.annotations import tag_field
from mattertune_nb.widgets.forms.data_tab import DataTab
from mattertune_nb.widgets.forms.editor import Editor
from mattertune_nb.widgets.forms.form import path_of_spoken
from mattertune_nb.widgets.forms.lazy import Lazy
from mattertune_nb.widgets.forms.model_tab import ModelTab
from mattertune_nb.widgets.forms.parts import PartsTab, joined
from mattertune_nb.widgets.forms.placement import BATCHES, OPTIMIZER, tab_of
from mattertune_nb.widgets.forms.search import is_found
from mattertune_nb.widgets.page.controls import shared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pydantic import BaseModel

    from mattertune_nb.backbones.base import BackboneConfig
    from mattertune_nb.data.contents import Contents
    from mattertune_nb.training.config import MatterTunerConfig
    from mattertune_nb.widgets.forms.editor import Path
    from mattertune_nb.widgets.forms.form import ConfigEditor
    from mattertune_nb.widgets.forms.label_keys import LabelKeyFiller
    from mattertune_nb.widgets.forms.parts import Placement

TRAINING: Placement = {
    "trainer": (TrainerConfig, tuple(TrainerConfig.model_fields)),
    "data": (AutoSplitDataModuleConfig, BATCHES),
    "model": (ModelConfig, OPTIMIZER),
}
RUN: Placement = {"run": (RunConfig, tuple(RunConfig.model_fields))}


class RunEditor(Editor):
    """All settings of a run on their tabs; its value is that of the whole config.

    Parameters
    ----------
    changed
        Called after a change.
    offers, name_label
        See :class:`~mattertune_nb.widgets.forms.data_tab.DataTab`.
    built
        Called with each editor of a training section when it is created.
    training_note, run_note
        Widgets below the basic settings of these tabs.

    Attributes
    ----------
    tabs
        The editor of each tab by title.
    """

    def __init__(
        self,
        changed: Callable[[], None],
        offers: Mapping[str, tuple[str, Callable[[], None]]],
        name_label: Callable[[str, str, str | None], None],
        built: Callable[[ConfigEditor], None],
        training_note: W.Widget,
        run_note: W.Widget,
    ) -> None:
        super().__init__(changed)
        self.data = DataTab(changed, offers, name_label)
        self._backbone: BackboneConfig | None = None
        self.model = Lazy(self._make_model, changed)
        self.training = Lazy(lambda: PartsTab(TRAINING, changed, built, training_note), changed)
        self.run = Lazy(lambda: PartsTab(RUN, changed, built, run_note), changed)
        # closed with the form even if their tabs are never opened
        self.training.widget.once_shown, self.run.widget.once_shown = (training_note,), (run_note,)
        self.tabs: dict[str, Any] = {
            "Data": self.data,
            "Model": self.model,
            "Training": self.training,
            "Run": self.run,
        }
        self._ill: set[str] = set()
        self._hits: dict[str, int] = {}
        pages = [tab.widget for tab in self.tabs.values()]
        self.widget = W.Tab(pages, titles=tuple(self.tabs), layout=shared(W.Layout))
        self.widget.observe(self._on_tab, "selected_index")

    def _on_tab(self, change: Any) -> None:
        for tab in list(self.tabs.values())[change["new"] or 0 :][:1]:
            if isinstance(tab, Lazy):
                _ = tab.inner

    def add_page(self, title: str, page: W.Widget) -> None:
        """Add a tab without settings."""
        self.widget.children = [*self.widget.children, page]
        self.widget.titles = [*self.widget.titles[:-1], title]

    def training_editors(self) -> list[ConfigEditor]:
        """Return the editors of the training sections created so far."""
        if not self.training.built:
            return []
        tab = self.training.inner
        shown = [tab.first, *([tab.rest.inner] if tab.rest.built else [])]
        return [editor for parts in shown for editor in parts.editors.values()]

    def show_model(self, config: BackboneConfig) -> None:
        """Show what is known about a backbone."""
        self._backbone = config
        if self.model.built:
            self.model.inner.show_facts(config)

    def show_data(self, config: MatterTunerConfig, known: LabelKeyFiller) -> None:
        """Show what is immediately known about the data files of a config."""
        self.data.show_data(config, known)
        self._name_tabs()

    def show_contents(self, name: str, contents: Contents | str, offers: Sequence[str]) -> None:
        """Show the contents of a data file, or why it cannot be read; see :class:`.SourceView`."""
        self.data.views[name].show(contents)
        self.data.views[name].offer(offers)
        self._name_tabs()

    def _make_model(self) -> ModelTab:
        tab = ModelTab(self._changed)
        if self._backbone is not None:
            tab.show_facts(self._backbone)
        return tab

    def open(self, title: str) -> None:
        """Show a tab."""
        self.widget.selected_index = list(self.tabs).index(title)

    def editor(self, part: str, name: str) -> Editor:
        """Return the editor of a setting on any tab, creating it if necessary."""
        title = tab_of(part, name)
        if title == "Data":
            found: Editor = self.data.editor(name)
        elif title == "Model":
            found = self.model.inner.editor(name)
        else:
            found = self.tabs[title].inner.editor(part, name)
        return found

    @override
    def inner_editors(self) -> Iterable[Editor]:
        return self.tabs.values()

    @override
    def get(self) -> dict[str, Any]:
        own = {"data": self.data.get(), "model": self.model.get()}
        return joined(own, self.training.get(), self.run.get())

    @override
    def _show(self, value: Any) -> None:
        self.data.set(value["data"])
        self.model.set(value["model"])
        for tab, placement in (self.training, TRAINING), (self.run, RUN):
            tab.set(
                {
                    part: {name: value[part][name] for name in names}
                    for part, (_, names) in placement.items()
                }
            )

    def _classes(self) -> dict[str, type[BaseModel]]:
        return {
            "data": self.data.cls,
            "model": backbone_config_class(self.model.get()["name"]),
            "trainer": TrainerConfig,
            "run": RunConfig,
        }

    @override
    def find(self, text: str) -> None:
        """Show what a search finds on each tab, and open the first tab with a match."""
        self._hits = dict.fromkeys(self.tabs, 0)
        for part, cls in self._classes().items() if text.strip() else ():
            for name, field in cls.model_fields.items():
                if name != tag_field(cls):
                    self._hits[tab_of(part, name)] += is_found(name, field, text)
        for title, tab in self.tabs.items():
            tab.find(text if self._hits[title] else "")
        hit = [title for title, n in self._hits.items() if n]
        shown = self.widget.selected_index
        if hit and (
            shown is None or shown >= len(self.tabs) or not list(self._hits.values())[shown]
        ):
            self.open(hit[0])
        self._name_tabs()

    @property
    def hits(self) -> dict[str, int]:
        """Number of settings that the last search found on each tab."""
        return self._hits

    @override
    def show_problems(self, problems: Sequence[tuple[Path, str]]) -> None:
        by_tab: dict[str, list[tuple[Path, str]]] = {title: [] for title in self.tabs}
        classes = self._classes() if problems else {}
        for path, text in problems:
            part = str(path[0]) if path else "run"
            names = list(classes[part].model_fields)
            inner, words = path_of_spoken(path[1:], text, names)
            title = tab_of(part, str(inner[0]) if inner else "")
            by_tab[title].append(((part, *inner), words))
        for title, tab in self.tabs.items():
            own = by_tab[title]
            if title in ("Data", "Model"):
                own = [(path[1:], text) for path, text in own]
            tab.show_problems(own)
        # a message on a closed tab must not go unnoticed
        self._ill = {title for title, own in by_tab.items() if own}
        self._name_tabs()

    def _name_tabs(self) -> None:
        ill = self._ill | ({"Data"} if self.data.is_refused else set())
        for i, title in enumerate(self.tabs):
            found = f" ({self._hits[title]})" if self._hits.get(title) else ""
            self.widget.set_title(i, title + found + (" ⚠" if title in ill else ""))
