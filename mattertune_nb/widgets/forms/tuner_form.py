"""The form of a whole run, with a Start button."""

from __future__ import annotations

import logging
import sys
import threading
from functools import partial
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812  the usual alias
import traitlets
from typing_extensions import override

from mattertune_nb.backbones.registry import available, backbone_config_class
from mattertune_nb.config.errors import ConfigError, MatterTuneError, TrainingError
from mattertune_nb.config.run import RunConfig
from mattertune_nb.config.trainer import TrainerConfig
from mattertune_nb.data.datasets import XYZDatasetConfig
from mattertune_nb.data.splits import AutoSplitDataModuleConfig
from mattertune_nb.training.background import start_run
from mattertune_nb.training.config import MatterTunerConfig
from mattertune_nb.widgets.forms.advice import Advisor, marked, summary
from mattertune_nb.widgets.forms.config_tab import ConfigTab
from mattertune_nb.widgets.forms.editors import make_editor
from mattertune_nb.widgets.forms.fields import Editor, Simple
from mattertune_nb.widgets.forms.form import ConfigEditor, ConfigForm
from mattertune_nb.widgets.forms.label_keys import LabelKeyFiller
from mattertune_nb.widgets.forms.lazy import Lazy
from mattertune_nb.widgets.forms.nested_fields import Choice
from mattertune_nb.widgets.forms.presets import MISSING, PRESETS, apply_preset, describe, find
from mattertune_nb.widgets.forms.schedule_preview import draw_schedule
from mattertune_nb.widgets.page.controls import HTML, Button, Dropdown, HBox, VBox
from mattertune_nb.widgets.page.lifetime import is_shown
from mattertune_nb.widgets.page.style import error_html, note_html

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mattertune_nb.widgets.forms.fields import Path

log = logging.getLogger(__name__)


class RunEditor(Editor):
    """Editors of model, data, trainer and run, on a tab each."""

    def __init__(self, changed: Callable[[], None], preview: W.Widget) -> None:
        super().__init__(changed)
        self._preview = preview
        self.hardware: dict[str, Any] = {}
        fields = MatterTunerConfig.model_fields
        backbones: dict[str, tuple[str, Callable[[], Editor] | None]] = {
            name: (
                name if info.installed else f"{name} – {info.install_hint}",
                partial(self._model, info.config_class),
            )
            for name, info in available().items()
        }
        self.model = Choice(
            "backbone", fields["model"], backbones, lambda raw: str(raw["name"]), changed, wide=True
        )
        data = fields["data"]
        self.machine_note, self.file_note = HTML(), HTML()
        self.trainer = Lazy(self._make_trainer, changed)
        self.parts: dict[str, Editor] = {
            "model": self.model,
            "data": Lazy(
                lambda: make_editor("split", data, data.annotation, ConfigEditor, changed), changed
            ),
            "trainer": self.trainer,
            "run": Lazy(lambda: ConfigEditor(RunConfig, changed), changed),
        }
        pages = [VBox([part.widget]) for part in self.parts.values()]
        pages[1].children = [self.file_note, *pages[1].children]
        self.widget = W.Tab(pages, titles=("Model", "Data", "Trainer", "Run"))
        self.widget.observe(self._on_tab, "selected_index")

    def _on_tab(self, change: Any) -> None:
        opened = list(self.parts.values())[change["new"] or 0 : (change["new"] or 0) + 1]
        for part in opened:
            if isinstance(part, Lazy):
                _ = part.inner

    def _make_trainer(self) -> ConfigEditor:
        editor = ConfigEditor(TrainerConfig, self._changed)
        editor.add_note("hardware", self.machine_note)
        self.mark(editor)
        return editor

    def mark(self, trainer: ConfigEditor) -> None:
        """Mark what cannot run here, once that is known."""
        for name in ("accelerator", "precision") if self.hardware else ():
            field = trainer.editors[name]
            if isinstance(field, Simple) and field.options is not None:
                options = marked(field.options, self.hardware)
                if options != field.options:
                    field.relabel(options)

    def _model(self, cls: Any) -> ConfigEditor:
        editor = ConfigEditor(cls, self._changed)
        editor.add_note("learning rate", self._preview)
        return editor

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
    that goes to a cluster; Start is what refuses. Names of labels that are not set are filled in
    where the data file has no standard ones.

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
        self._is_to_look, self._look_lock = False, threading.RLock()
        # ASE takes a second to import: the form is shown first
        self._keys, self._keys_changed = LabelKeyFiller(waiting="ase.io" not in sys.modules), False
        self._preview, self._refusal = HTML(), HTML()
        editor = RunEditor(lambda: self._on_change(), self._preview)
        super().__init__(config, editor)
        self._file, self._machine = editor.file_note, editor.machine_note
        self._config_tab: ConfigTab | None = None
        self._text_page = VBox()
        editor.widget.children = [*editor.widget.children, self._text_page]
        editor.widget.titles = [*editor.widget.titles[:-1], "YAML and Python"]
        editor.widget.observe(self._on_tab, "selected_index")
        self.preset = Dropdown(
            options=list(PRESETS),
            description="preset",
            tooltip="A starting point; only a difference from the defaults",
            layout=W.Layout(width="240px"),
            style={"description_width": "auto"},
        )
        self._preset_text = HTML()
        self._applied = self.preset.value
        # of each field that the preset has set: the value before, and the preset's
        self._replaced: dict[str, tuple[Any, Any]] = {}
        self.preset.observe(self._on_preset, "value")
        self.start_button = Button(
            description="Start",
            icon="play",
            button_style="primary",
            tooltip="Train in the background",
        )
        self.start_button.on_click(self._on_press)
        self._started: MatterTunerConfig | None = None
        self.message = HTML()
        self._below = VBox()
        style, tabs = self.children  # type: ignore[has-type]
        start = HBox(
            [self.start_button, VBox([self.message, self._refusal])],
            layout=W.Layout(margin="6px 0 0 0", align_items="center"),
        )
        presets = HBox([self.preset, self._preset_text])
        self.children = [style, presets, tabs, start, self._below]
        self.observe(self._on_new_config, "config")
        self._advisor = Advisor(self._on_answer)
        self._known: dict[str, Any] = {}
        self._on_new_config()
        self._looking = threading.Timer(0.5, self._look_into_files)
        self._looking.daemon = True
        if self._keys.waiting:
            self._keys.waiting, self._is_to_look = False, True
            self._looking.start()

    @traitlets.validate("config")  # type: ignore[untyped-decorator]
    def _check_config(self, proposal: Any) -> MatterTunerConfig:
        self._is_to_look = False
        config = super()._check_config(proposal)
        assert isinstance(config, MatterTunerConfig)
        self._keys_changed = self._keys.fill(config)
        return config

    def _look_into_files(self) -> None:
        """Fill in the names of labels: a while after the form is shown, or when config is read."""
        with self._look_lock:
            if self._is_to_look:
                self._keys.look(self._trait_values["config"])
            if self._is_to_look:  # and no other config, with its names, was set meanwhile
                self._is_to_look = False
                self._take_own(self.config.model_copy(deep=True))
                self._file.value = "".join(map(note_html, self._keys.notes))

    @override
    def _complete_config(self) -> None:
        self._look_into_files()

    @property
    def config_tab(self) -> ConfigTab:
        """The config as text, made when it is first looked at."""
        if self._config_tab is None:
            self._config_tab = ConfigTab(MatterTunerConfig, self._take)
            self._config_tab.show(self.config)
            self._text_page.children = [self._config_tab.widget]
        return self._config_tab

    def _on_tab(self, change: Any) -> None:
        if self.editor.widget.children[change["new"] or 0] is self._text_page:
            _ = self.config_tab

    def _take(self, config: MatterTunerConfig) -> None:
        self.config = config

    def _on_preset(self, change: Any) -> None:
        """Take back what the last preset changed, and apply the new one; the rest stays."""
        if change["new"] == self._applied:
            return
        now, preset = self.config.to_dict(), PRESETS[change["new"]]
        before = apply_preset(
            now, {p: old for p, (old, own) in self._replaced.items() if find(now, p) == own}
        )
        try:
            config = MatterTunerConfig.from_dict(apply_preset(before, preset))
        except ConfigError as exc:
            self.preset.value = self._applied
            self._preset_text.value = error_html(str(exc))
            return
        self._applied, after = change["new"], config.to_dict()
        self._replaced = {
            p: (find(before, p), find(after, p)) for p in preset if find(before, p) is not MISSING
        }
        self.config = config
        self._describe_preset()

    def _describe_preset(self) -> None:
        changes = {p: v for p, v in PRESETS[self._applied].items() if p in self._replaced}
        self._preset_text.value = describe(changes, self._defaults())

    def _defaults(self) -> dict[str, Any]:
        data = type(self.config.data)
        fields = data.model_fields.items()
        return {
            "model": type(self.config.model)().to_dict(),
            "data": {n: f.get_default() for n, f in fields if not f.is_required()},
            "trainer": TrainerConfig().to_dict(),
        }

    def _on_new_config(self, _: Any = None) -> None:
        if self._keys_changed:
            self.editor.set(self.config.to_dict())
            self._clear_problems()
        self._file.value = "".join(map(note_html, self._keys.notes))
        if self._config_tab is not None:
            self._config_tab.show(self.config)
        self._describe_preset()
        self._known = {}
        self._advisor.ask(self.config)

    def _on_answer(self, known: dict[str, Any]) -> None:
        """Show what a process that knows torch says of the config, see :mod:`.advice`."""
        self._known = known
        self._machine.value = note_html(summary(known["hardware"]))
        if "rates" in known:
            self._preview.value = draw_schedule(known["rates"])
        else:
            self._preview.value = error_html(known["problem"])
        refusal = known["refusal"]
        self._refusal.value = note_html(
            f"Cannot start on this machine: {refusal}" if refusal else ""
        )
        editor = self.editor
        assert isinstance(editor, RunEditor)
        editor.hardware = known["hardware"]
        if editor.trainer.built:
            editor.mark(editor.trainer.inner)

    def _on_press(self, _: Any) -> None:
        if not self.start_button.disabled:  # a second press may have been on its way
            self.start_button.disabled = True
            threading.Thread(target=self.start, daemon=True).start()

    def start(self) -> None:
        """Start the run; what does not allow it is said beside the button.

        The button does the same in a thread. A config whose run has not ended is not started again.
        """
        self.start_button.disabled = True
        try:
            if self.problem:
                raise ConfigError(self.problem)
            config = self.config
            if self.run is not None and config == self._started and self.run.is_active():
                return
            self._say("Checking the data and this machine …")
            # the advisor knows torch, whose import would hold up the kernel for seconds
            self._advisor.wait()
            if self._known.get("refusal"):
                raise TrainingError(self._known["refusal"])
            self.run, self._started = start_run(config, is_machine_checked=True), config
            self._say(f"Training in {self.run.path}")
            before, self._below.children = self._below.children, [self.run.dashboard()]
            for old in before:
                if not is_shown(old):
                    old.close()
        except MatterTuneError as exc:
            self._say(str(exc), error=True)
        except Exception as exc:  # nobody else would hear of it in the button's thread
            log.exception("The run could not be started.")
            self._say(f"The run could not be started ({type(exc).__name__}: {exc}).", error=True)
        finally:
            self.start_button.disabled = False

    def _say(self, text: str, *, error: bool = False) -> None:
        if error:
            self.message.value = error_html(text, css="mt-alert")
        else:
            self.message.value = f'<div role="status">{note_html(text)}</div>'

    def close(self) -> None:
        """Close the form and the process that advises it."""
        self._looking.cancel()
        self._advisor.close()
        super().close()
