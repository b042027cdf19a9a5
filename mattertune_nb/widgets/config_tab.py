"""The config as text, to copy, load and save: what was clicked can be committed."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias
import yaml

from mattertune_nb.config.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mattertune_nb.config.base import StrictConfig

_COPY = (
    "<button class='jp-Button' style='padding:3px 10px;cursor:pointer' title='Copy to the clipboard' "
    "onclick=\"const t=this.parentElement.parentElement.parentElement.querySelector('textarea');"
    "t.select();navigator.clipboard?navigator.clipboard.writeText(t.value):document.execCommand('copy');"
    "this.textContent='Copied'\">Copy</button>"
)


class ConfigTab:
    """Two text areas, YAML and Python, with copy, load and save.

    Parameters
    ----------
    cls
        The config class that text is read as.
    loaded
        Called with a config that was pasted or read.
    """

    def __init__(self, cls: type[StrictConfig], loaded: Callable[[Any], None]) -> None:
        self._cls, self._loaded = cls, loaded
        wide = W.Layout(width="98%", height="320px")
        self.yaml = W.Textarea(layout=wide, tooltip="The config as YAML; edit it and press Load")
        self.python = W.Textarea(layout=wide, disabled=True, tooltip="The config as Python")
        self.path = W.Text("config.yaml", description="file", continuous_update=False)
        self.load_text = W.Button(description="Load text", tooltip="Take the YAML above over")
        self.load_file = W.Button(description="Load file", tooltip="Read the file")
        self.save_file = W.Button(description="Save file", tooltip="Write the file")
        self.message = W.HTML()
        self.load_text.on_click(lambda _: self._try(self._read_text))
        self.load_file.on_click(lambda _: self._try(lambda: self._cls.from_yaml(self.path.value)))
        self.save_file.on_click(lambda _: self._save())
        texts = W.Tab(
            [W.VBox([self.yaml, W.HTML(_COPY)]), W.VBox([self.python, W.HTML(_COPY)])],
            titles=("YAML", "Python"),
        )
        buttons = W.HBox([self.load_text, self.path, self.load_file, self.save_file])
        hint = W.HTML("A saved file runs anywhere: <code>mattertune-nb fit config.yaml</code>")
        self.widget = W.VBox([texts, buttons, hint, self.message])

    def show(self, config: StrictConfig) -> None:
        """Show a config."""
        self.yaml.value = config.to_yaml()
        self.python.value = config.to_python()

    def _read_text(self) -> StrictConfig:
        try:
            data = yaml.safe_load(self.yaml.value)
        except yaml.YAMLError as exc:
            msg = f"not valid YAML: {exc}"
            raise ConfigError(msg) from exc
        return self._cls.from_dict(data)

    def _try(self, read: Callable[[], StrictConfig]) -> None:
        try:
            config = read()
        except ConfigError as exc:
            self._say(str(exc))
            return
        self._say("")
        self._loaded(config)

    def _save(self) -> None:
        try:
            Path(self.path.value).write_text(self.yaml.value, encoding="utf-8")
        except OSError as exc:
            self._say(f"{self.path.value}: cannot be written ({exc.strerror}).")
        else:
            self._say(f"Saved {self.path.value}.")

    def _say(self, text: str) -> None:
        self.message.value = f'<div role="status">{html.escape(text)}</div>' if text else ""
