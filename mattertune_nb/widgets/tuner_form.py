"""The form of a whole run, with a Start button."""

from __future__ import annotations

import html
import threading
from functools import partial
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias
import traitlets
from typing_extensions import override

from mattertune_nb.backbones.registry import available, backbone_config_class
from mattertune_nb.config.errors import MatterTuneError
from mattertune_nb.config.run import RunConfig
from mattertune_nb.config.trainer import TrainerConfig
from mattertune_nb.data.datasets import XYZDatasetConfig
from mattertune_nb.data.labels import LABELS, likely_keys
from mattertune_nb.data.splits import AutoSplitDataModuleConfig
from mattertune_nb.data.xyz import open_frames
from mattertune_nb.training.background import start_run
from mattertune_nb.training.config import MatterTunerConfig
from mattertune_nb.widgets.config_tab import ConfigTab
from mattertune_nb.widgets.editors import make_editor
from mattertune_nb.widgets.fields import Editor, Simple
from mattertune_nb.widgets.form import ConfigEditor, ConfigForm
from mattertune_nb.widgets.hardware import marked, probe_hardware, summary
from mattertune_nb.widgets.nested_fields import Choice
from mattertune_nb.widgets.presets import PRESETS, apply_preset, describe
from mattertune_nb.widgets.schedule_preview import draw_schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mattertune_nb.widgets.fields import Path

_KEYS = {"energy": "energy_key", "forces": "forces_key", "stresses": "stress_key"}


class RunEditor(Editor):
    """Editors of model, data, trainer and run, on a tab each."""

    def __init__(self, changed: Callable[[], None]) -> None:
        super().__init__(changed)
        fields = MatterTunerConfig.model_fields
        backbones: dict[str, tuple[str, Callable[[], Editor]]] = {
            name: (
                name if info.installed else f"{name} – {info.install_hint}",
                partial(ConfigEditor, info.config_class, changed),
            )
            for name, info in available().items()
        }
        self.model = Choice(
            "backbone", fields["model"], backbones, lambda raw: str(raw["name"]), changed
        )
        data = fields["data"]
        self.parts: dict[str, Editor] = {
            "model": self.model,
            "data": make_editor("split", data, data.annotation, ConfigEditor, changed),
            "trainer": ConfigEditor(TrainerConfig, changed),
            "run": ConfigEditor(RunConfig, changed),
        }
        self.beside = {name: W.VBox() for name in self.parts}
        self.widget = W.Tab(
            [W.VBox([self.beside[name], part.widget]) for name, part in self.parts.items()],
            titles=("Model", "Data", "Trainer", "Run"),
        )

    @override
    def get(self) -> dict[str, Any]:
        return {name: part.get() for name, part in self.parts.items()}

    @override
    def _show(self, value: Any) -> None:
        for name, part in self.parts.items():
            part.set(value[name])

    @override
    def show_problems(self, problems: Sequence[tuple[Path, str]]) -> None:
        for i, (name, part) in enumerate(self.parts.items()):
            own = [(path[1:], text) for path, text in problems if path[:1] == (name,)]
            part.show_problems(own)
            # a message on a tab that is not open must not go unseen
            title = name.capitalize() + (" ⚠" if own else "")
            self.widget.set_title(i, title)


class TunerForm(ConfigForm):
    """All settings of a run as a form; Start trains in a process of its own.

    ``form.config`` is always the last valid :class:`MatterTunerConfig`, ``form.run`` the run that
    was started last. What this machine cannot run is marked and can still be chosen, for a config
    that goes to a cluster; Start is what refuses.

    Parameters
    ----------
    config
        What the form shows first.
    """

    run = traitlets.Any(None, allow_none=True)

    def __init__(self, config: MatterTunerConfig | None = None) -> None:
        config = config or MatterTunerConfig(
            model=backbone_config_class("chgnet")(),
            data=AutoSplitDataModuleConfig(dataset=XYZDatasetConfig(src=FilePath("data.xyz"))),
        )
        editor = RunEditor(lambda: self._on_change())
        super().__init__(config, editor)
        self._src: FilePath | None = None
        self._preview = W.Image(format="png", layout=W.Layout(display="none"))
        self._file = W.HTML()
        self._machine = W.HTML()
        editor.beside["model"].children = [self._preview]
        editor.beside["data"].children = [self._file]
        editor.beside["trainer"].children = [self._machine]
        self.config_tab = ConfigTab(MatterTunerConfig, self._take)
        editor.widget.children = [*editor.widget.children, self.config_tab.widget]
        editor.widget.set_title(4, "YAML and Python")
        self.preset = W.Dropdown(
            options=list(PRESETS),
            description="preset",
            tooltip="A starting point; only a difference from the defaults",
        )
        self._preset_text = W.HTML(describe({}))
        self.preset.observe(self._on_preset, "value")
        self.start_button = W.Button(
            description="Start",
            icon="play",
            button_style="primary",
            tooltip="Train in the background",
        )
        self.start_button.on_click(lambda _: self.start())
        self.message = W.HTML()
        self._below = W.VBox()
        self.children = [
            W.HBox([self.preset, self._preset_text]),
            editor.widget,
            W.HBox([self.start_button, self.message]),
            self._below,
        ]
        self.observe(self._on_new_config, "config")
        self._on_new_config()
        self._probe = probe_hardware(self._mark)

    def _take(self, config: MatterTunerConfig) -> None:
        self.config = config

    def _on_preset(self, change: Any) -> None:
        preset = PRESETS[change["new"]]
        self._preset_text.value = html.escape(describe(preset))
        defaults = MatterTunerConfig(
            model=backbone_config_class(self.config.model.name)(), data=self.config.data
        ).to_dict()
        defaults["run"] = self.config.run.to_dict()
        self.config = MatterTunerConfig.from_dict(apply_preset(defaults, preset))

    def _on_new_config(self, _: Any = None) -> None:
        self.config_tab.show(self.config)
        threading.Thread(target=self._draw_schedule).start()
        dataset = getattr(self.config.data, "dataset", getattr(self.config.data, "train", None))
        src = getattr(dataset, "src", None)
        if src is not None and src != self._src:
            self._src = src
            self._look_into(src)

    def _draw_schedule(self) -> None:
        try:
            self._preview.value = draw_schedule(self.config)
            self._preview.layout.display = None
        except MatterTuneError as exc:
            self._preview.layout.display = "none"
            self._say(str(exc))

    def _look_into(self, src: FilePath) -> None:
        """Say what the file holds, and fill in the names of labels that are not the standard ones."""
        try:
            frames = open_frames(src)
            found = likely_keys(frames[0])
        except MatterTuneError as exc:
            self._file.value = f"<i>{html.escape(str(exc))}</i>"
            return
        names = ", ".join(f"{label}: {' or '.join(found[label]) or 'none'}" for label in LABELS)
        self._file.value = html.escape(f"{src} holds {len(frames)} frames; labels found – {names}.")
        settings = self.config.to_dict()
        dataset = settings["data"].get("dataset") or settings["data"].get("train")
        standard = {"energy": "energy", "forces": "forces", "stresses": "stress"}
        for label, key in _KEYS.items():
            if found[label] and standard[label] not in found[label] and dataset[key] is None:
                dataset[key] = found[label][0]
        self.config = MatterTunerConfig.from_dict(settings)

    def _mark(self, hardware: dict[str, Any]) -> None:
        self._machine.value = html.escape(summary(hardware))
        trainer = self.editor.parts["trainer"]  # type: ignore[attr-defined]
        for name in ("accelerator", "precision"):
            editor = trainer.editors[name]
            if isinstance(editor, Simple) and editor._options is not None:
                editor.relabel(marked(tuple(editor._options), hardware))

    def start(self) -> None:
        """Start the run; what does not allow it is said beside the button."""
        self.start_button.disabled = True
        self._say("Starting …")
        try:
            self.run = start_run(self.config)
        except MatterTuneError as exc:
            self._say(str(exc), error=True)
        else:
            self._say(f"Training in {self.run.path}")
            self._below.children = [self.run.dashboard()]
        finally:
            self.start_button.disabled = False

    def _say(self, text: str, *, error: bool = False) -> None:
        color = "var(--jp-error-color1,#c62828)" if error else "inherit"
        role = "alert" if error else "status"
        self.message.value = f'<div role="{role}" style="color:{color}">{html.escape(text)}</div>'
