"""The tab of the model: which backbone, facts that help to choose it, and what is trained."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from mattertune_nb.backbones.registry import available
from mattertune_nb.config.escaped import escaped
from mattertune_nb.config.model import ModelConfig
from mattertune_nb.training.config import MatterTunerConfig
from mattertune_nb.widgets.forms.about import About
from mattertune_nb.widgets.forms.annotations import kind_text
from mattertune_nb.widgets.forms.editor import Editor
from mattertune_nb.widgets.forms.form import ConfigEditor
from mattertune_nb.widgets.forms.lazy import Disclosure
from mattertune_nb.widgets.forms.nested_fields import Choice
from mattertune_nb.widgets.forms.placement import OPTIMIZER, own_problems
from mattertune_nb.widgets.forms.properties import PropertyRows
from mattertune_nb.widgets.forms.search import is_found
from mattertune_nb.widgets.page.controls import HTML, VBox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from mattertune_nb.backbones.base import BackboneConfig, BackboneFacts, Trait
    from mattertune_nb.backbones.registry import BackboneInfo
    from mattertune_nb.widgets.forms.editor import Path

_REST = tuple(n for n in ModelConfig.model_fields if n not in {"properties", *OPTIMIZER})


class ModelTab(Editor):
    """Backbone, its facts and the properties; its value is that of ``model`` without the optimizer.

    Properties and all other shared settings stay when another backbone is chosen.

    Parameters
    ----------
    changed
        Called after a change.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        super().__init__(changed)
        self.infos = available()
        self.choice = Choice(
            About.of(MatterTunerConfig, "model").called("Backbone"),
            {
                name: (
                    kind_text(info.config_class)
                    + ("" if info.installed else f" – {info.install_hint}"),
                    partial(self._make, info.config_class),
                )
                for name, info in self.infos.items()
            },
            lambda raw: str(raw["name"]),
            changed,
            wide=True,
        )
        self.facts = HTML()
        self.properties = PropertyRows(changed)
        self.rest = Disclosure(
            "All settings",
            lambda: ConfigEditor(ModelConfig, changed, prefix="model.", only=_REST),
            changed,
        )
        self.widget = VBox(
            [
                self.choice.widget,
                self.facts,
                HTML(f'<div class="mt-heading">Properties to train {self.properties.help}</div>'),
                self.properties.widget,
                self.rest.widget,
            ],
            css="mt-form",
        )

    def _make(self, cls: Any) -> ConfigEditor:
        own = [name for name in cls.model_fields if name not in ModelConfig.model_fields]
        return ConfigEditor(cls, self._changed, prefix="model.", only=own)

    def editor(self, name: str) -> Editor:
        """Return the editor of a setting."""
        if name == "properties":
            return self.properties
        editors: dict[str, Editor] = (
            self.rest.inner.editors if name in _REST else self.choice.inner.editors  # type: ignore[union-attr]
        )
        return editors[name]

    def show_facts(self, config: BackboneConfig) -> None:
        """Show what is known about the weights chosen in a config."""
        self.facts.value = facts_html(config.facts(), self.infos.get(config.name), config.lacks)

    @override
    def inner_editors(self) -> Iterable[Editor]:
        return [self.choice, self.properties, self.rest]

    @override
    def get(self) -> dict[str, Any]:
        own: dict[str, Any] = self.choice.get()
        return own | {"properties": self.properties.get()} | (self.rest.get() or {})

    @override
    def _show(self, value: Any) -> None:
        self.choice.set(value)
        self.properties.set(value["properties"])
        self.rest.set({name: value[name] for name in _REST})

    @override
    def find(self, text: str) -> None:
        self.choice.find(text)
        self.properties.find(text)
        hits = any(is_found(name, ModelConfig.model_fields[name], text) for name in _REST)
        self.rest.find(text if hits else "")

    @override
    def show_problems(self, problems: Sequence[tuple[Path, str]]) -> None:
        shared, own = own_problems(problems, ("properties", *_REST))
        self.choice.show_problems(own)
        self.properties.show_problems([(p[1:], t) for p, t in shared if p[0] == "properties"])
        self.rest.show_problems([(p, t) for p, t in shared if p[0] != "properties"])


def facts_html(
    facts: BackboneFacts | None, info: BackboneInfo | None, lacks: Mapping[Trait, str]
) -> str:
    """Return what helps to choose a backbone: facts, properties it lacks, and whether it is installed."""
    here = "installed"
    if info is not None and not info.installed:
        here = f"not installed: <code>{escaped(info.install_hint)}</code>"
    rows = {} if facts is None else facts.rows()
    rows |= {f"Not {trait}": why for trait, why in lacks.items()}
    if not rows:
        return f'<div class="mt-facts">{here}</div>'
    cells = "".join(f"<i>{name}</i><span>{escaped(v)}</span>" for name, v in rows.items())
    return f'<div class="mt-card">{cells}<i>Here</i><span>{here}</span></div>'
