"""The config as text to copy, load and save, so that what was clicked can be kept in version control."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias

from mattertune_nb.config.errors import ConfigError
from mattertune_nb.config.escaped import escaped
from mattertune_nb.training.written_file import WrittenFile
from mattertune_nb.widgets.page.controls import HTML, Button, HBox, Text, Textarea, VBox
from mattertune_nb.widgets.page.linked import LinkedText
from mattertune_nb.widgets.page.style import error_html

if TYPE_CHECKING:
    from collections.abc import Callable

    from mattertune_nb.config.base import StrictConfig

# the clipboard API exists only on https and localhost; elsewhere the older command copies
_COPY = (
    '<button type="button" class="jupyter-button" title="Copy to the clipboard" '
    "onclick=\"const b=this,t=b.closest('.mt-text').querySelector('textarea');"
    "const done=()=>{b.textContent='Copied';setTimeout(()=>{b.textContent='Copy'},1500)};"
    "const old=()=>{const off=t.disabled;t.disabled=false;t.select();document.execCommand('copy');"
    "t.disabled=off;done()};"
    'navigator.clipboard?navigator.clipboard.writeText(t.value).then(done,old):old()">Copy</button>'
)


class ConfigTab:
    """Two text areas, YAML and Python, with copy, load and save.

    Parameters
    ----------
    cls
        Called with a config that was pasted or read from a file.
    loaded
        Called with a config that was pasted or read.
    """

    def __init__(self, cls: type[StrictConfig], loaded: Callable[[Any], None]) -> None:
        self._cls, self._loaded = cls, loaded
        self.yaml = _text_area("YAML; edit it and press Load text")
        self.python = _text_area("Python that builds this config")
        self.python.disabled = True
        self.path = Text(
            "config.yaml",
            description="file",
            style={"description_width": "auto"},
            continuous_update=False,
        )
        self.load_text = Button(description="Load text", tooltip="Use the YAML above")
        self.load_file = Button(description="Load file", tooltip="Read the file")
        self.save_file = Button(description="Save file", tooltip="Write the file")
        self.message = LinkedText()
        self.load_text.on_click(lambda _: self._try(self._read_text))
        self.load_file.on_click(lambda _: self._try(lambda: self._cls.from_yaml(self.path.value)))
        self.save_file.on_click(lambda _: self._save())
        hint = HTML(
            '<span class="mt-note">A saved file runs anywhere: '
            "<code>mattertune-nb fit config.yaml</code></span>"
        )
        self.widget = VBox(
            [
                _with_copy(self.yaml, self.load_text),
                HBox([self.path, self.load_file, self.save_file]),
                self.message,
                hint,
                _with_copy(self.python),
            ]
        )

    def show(self, config: StrictConfig) -> None:
        """Show a config."""
        self.yaml.value = config.to_yaml()
        self.python.value = config.to_python()

    def _read_text(self) -> StrictConfig:
        return self._cls.from_yaml_text(self.yaml.value)

    def _try(self, read: Callable[[], StrictConfig]) -> None:
        try:
            config = read()
        except ConfigError as exc:
            self._say(str(exc), error=True)
            return
        self._say("Loaded.")
        self._loaded(config)

    def _save(self) -> None:
        path = Path(self.path.value)
        try:
            self._read_text()
            path = path.expanduser()
            path.write_text(self.yaml.value, encoding="utf-8")
        except ConfigError as exc:
            self._say(f"Not saved: {exc}", error=True)
        except (OSError, RuntimeError) as exc:  # the latter if there is no home folder
            why = getattr(exc, "strerror", None) or exc
            self._say(f"{path}: cannot be written ({why}).", error=True)
        else:
            self.message.say_written("Saved", WrittenFile(path.absolute()))

    def _say(self, text: str, *, error: bool = False) -> None:
        if error:
            self.message.say(error_html(text, css="mt-alert"))
        else:
            self.message.say(f'<div role="status">{escaped(text)}</div>')


def _text_area(label: str) -> Textarea:
    return Textarea(
        description=label,
        style={"description_width": "auto"},
        layout=W.Layout(width="99%", height="280px", flex_flow="column"),
    )


def _with_copy(area: Textarea, *buttons: W.Widget) -> VBox:
    return VBox([area, HBox([HTML(_COPY), *buttons])], css="mt-text")
