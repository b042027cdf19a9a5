"""The tab of the data: which file, what it contains, and how its frames are split."""

from __future__ import annotations

from functools import partial
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from mattertune_nb.data.division.manual_split import ManualSplitDataModuleConfig
from mattertune_nb.data.division.splits import AutoSplitDataModuleConfig
from mattertune_nb.training.config import MatterTunerConfig
from mattertune_nb.widgets.forms.about import About
from mattertune_nb.widgets.forms.contents_view import SourceView
from mattertune_nb.widgets.forms.editor import Editor
from mattertune_nb.widgets.forms.form import ConfigEditor
from mattertune_nb.widgets.forms.nested_fields import Choice
from mattertune_nb.widgets.forms.placement import BATCHES
from mattertune_nb.widgets.forms.split_view import SplitView
from mattertune_nb.widgets.page.controls import VBox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pydantic import BaseModel

    from mattertune_nb.widgets.forms.editor import Path
    from mattertune_nb.widgets.forms.label_keys import LabelKeyFiller

_KINDS = {"auto_split": "from the same file", "manual_split": "from a separate file"}
_SOURCES = ("dataset", "train", "validation", "test")

UNCHOSEN = FilePath("data.xyz")
"""The file of a new form; if there is none of this name, no file has been chosen yet."""


class DataTab(Editor):
    """The source of the structures and their split; its value is that of the config's ``data``.

    Parameters
    ----------
    changed
        Called after a change.
    offers
        Optional uses of a file, see :class:`~mattertune_nb.widgets.forms.contents_view.SourceView`.
    name_label
        Called with the field of a file, a setting and a name, or ``None``, when the user chooses a label.

    Attributes
    ----------
    below
        Place below the split for whatever checks the data.
    """

    CLASSES: ClassVar[dict[str, type[BaseModel]]] = {
        str(cls.model_fields["type"].default): cls
        for cls in (AutoSplitDataModuleConfig, ManualSplitDataModuleConfig)
    }

    def __init__(
        self,
        changed: Callable[[], None],
        offers: Mapping[str, tuple[str, Callable[[], None]]],
        name_label: Callable[[str, str, str | None], None],
    ) -> None:
        super().__init__(changed)
        self.views = {name: SourceView(offers, partial(name_label, name)) for name in _SOURCES}
        self.split = SplitView()
        self.below = VBox()
        self.choice = Choice(
            About.of(MatterTunerConfig, "data").called("Validation frames"),
            {kind: (_KINDS[kind], partial(self._make, cls)) for kind, cls in self.CLASSES.items()},
            lambda raw: str(raw["type"]),
            changed,
            wide=True,
        )
        self.widget = self.choice.widget
        # editors of a source that no split has shown yet are closed with the tab as well
        self.widget.once_shown += tuple(view.widget for view in self.views.values())

    @property
    def cls(self) -> type[BaseModel]:
        """The class of the chosen split."""
        return self.CLASSES[self.choice.kind.value]

    def _make(self, cls: Any) -> ConfigEditor:
        names = [name for name in cls.model_fields if name not in BATCHES]
        editor = ConfigEditor(
            cls, self._changed, prefix="data.", only=names, rest_label="All settings"
        )
        for name in editor.first.keys() & self.views.keys():
            editor.add_below(name, self.views[name].widget)
        editor.add_before_rest(VBox([self.split.widget, self.below]))
        return editor

    def editor(self, name: str) -> Editor:
        """Return the editor of a setting."""
        assert isinstance(self.choice.inner, ConfigEditor)
        return self.choice.inner.editors[name]

    @property
    def is_refused(self) -> bool:
        """Whether a file, as it is, keeps the run from starting."""
        return any(view.is_refused for view in self.views.values())

    @property
    def refusal(self) -> str:
        """What to choose before a run can start, in words; empty if nothing."""
        return next((view.refusal for view in self.views.values() if view.refusal), "")

    def show_data(self, config: MatterTunerConfig, known: LabelKeyFiller) -> None:
        """Show what is immediately known about the files of a config, and how their frames are split."""
        learned = {prop.name for prop in config.model.labels}
        unread = set() if known.waiting else known.notes.keys() - known.sizes.keys()
        for name, view in self.views.items():
            if name in unread and _is_unchosen(getattr(config.data, name)):
                view.say("Choose your structures: Browse, Upload, or type the path of a file.")
            else:
                view.say(known.notes.get(name, ""), error=name in unread)
            view.ask(known.asked.get(name, ()), learned)
        if unread:
            self.split.clear()
        else:
            self.split.show(config.data, known.sizes)

    @override
    def inner_editors(self) -> Iterable[Editor]:
        return [self.choice]

    @override
    def get(self) -> Any:
        return self.choice.get()

    @override
    def _show(self, value: Any) -> None:
        self.choice.set(value)

    @override
    def find(self, text: str) -> None:
        self.choice.find(text)

    @override
    def show_problems(self, problems: Sequence[tuple[Path, str]]) -> None:
        self.choice.show_problems(problems)


def _is_unchosen(source: Any) -> bool:
    return getattr(source, "src", None) == UNCHOSEN and not UNCHOSEN.exists()
