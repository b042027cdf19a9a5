"""The form of a whole run, with a Start button."""

from __future__ import annotations

import sys
import threading
from functools import partial
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

import traitlets
from typing_extensions import override

from mattertune_nb.backbones.registry import backbone_config_class
from mattertune_nb.config.errors import ConfigError, TrainingError
from mattertune_nb.config.overrides import override_settings
from mattertune_nb.data.division.splits import AutoSplitDataModuleConfig
from mattertune_nb.data.sources.configs import XYZDatasetConfig
from mattertune_nb.training.config import MatterTunerConfig
from mattertune_nb.widgets.forms.advice import Advisor, marked, summary
from mattertune_nb.widgets.forms.config_tab import ConfigTab
from mattertune_nb.widgets.forms.contents_view import ContentsReader
from mattertune_nb.widgets.forms.data_check import DataCheck
from mattertune_nb.widgets.forms.data_tab import UNCHOSEN
from mattertune_nb.widgets.forms.ensemble_panel import EnsemblePanel
from mattertune_nb.widgets.forms.estimate_line import EstimateLine
from mattertune_nb.widgets.forms.fields import Simple
from mattertune_nb.widgets.forms.finder import Finder
from mattertune_nb.widgets.forms.form import ConfigForm
from mattertune_nb.widgets.forms.label_keys import LabelKeyFiller
from mattertune_nb.widgets.forms.offers import TEXTS, offers_of, take_offer
from mattertune_nb.widgets.forms.schedule_preview import draw_schedule
from mattertune_nb.widgets.forms.starter import Starter
from mattertune_nb.widgets.forms.tabs import RunEditor
from mattertune_nb.widgets.forms.tools import Tools
from mattertune_nb.widgets.page.controls import HTML, VBox
from mattertune_nb.widgets.page.style import error_html, note_html

if TYPE_CHECKING:
    from mattertune_nb.data.contents import Contents
    from mattertune_nb.doctor.finding import Finding
    from mattertune_nb.training.runs.run import Run
    from mattertune_nb.widgets.forms.form import ConfigEditor


class TunerForm(ConfigForm):
    """All settings of a run as a form; Start trains in a separate process.

    ``form.config`` is always the last valid :class:`MatterTunerConfig`, ``form.run`` the run started last.
    Settings that this machine cannot run are marked but can still be chosen, for a config meant for a
    cluster; only Start refuses them. Label names that are not set are filled in if the data file does not use
    the standard ones.

    Parameters
    ----------
    config
        The config shown first.
    """

    run = traitlets.Any(None, allow_none=True)

    def __init__(self, config: MatterTunerConfig | None = None) -> None:
        config = config or MatterTunerConfig(
            model=backbone_config_class("chgnet")(),
            data=AutoSplitDataModuleConfig(dataset=XYZDatasetConfig(src=UNCHOSEN)),
        )
        self._is_to_look, self._look_lock = False, threading.RLock()
        # ASE takes a second to import: display the form first
        self._keys_changed = False
        self._keys = LabelKeyFiller(
            waiting="ase.io" not in sys.modules, weighed=lambda: self._on_weighed()
        )
        self._hardware: dict[str, Any] = {}
        self._preview, self._machine = HTML(), HTML()
        self._estimate = EstimateLine()
        self.finder = Finder(lambda: self.config, self._use_found)
        self.ensemble = EnsemblePanel(self._checked_config)
        self._starter = Starter(
            self._checked_config,
            lambda: self._known,
            self._refusal,
            self._estimate,
            lambda: self.run,
            self._on_started,
        )
        self._bar = self._starter.bar
        self.start_button, self.message = self._bar.button, self._bar.message
        editor = RunEditor(
            lambda: self._on_change(),
            {name: (text, partial(self._take_offer, name)) for name, text in TEXTS.items()},
            self._name_label,
            self._mark_hardware,
            VBox([self._preview, self.finder.widget, self._machine]),
            self.ensemble.widget,
        )
        super().__init__(config, editor)
        self._tabs = editor
        self.data_check = DataCheck(lambda: self.config, self._use_remedy)
        editor.data.below.children = [self.data_check.widget]
        self._config_tab: ConfigTab | None = None
        self._text_page = VBox()
        editor.add_page("Code", self._text_page)
        editor.widget.observe(self._on_tab, "selected_index")
        self._tools = Tools(lambda: self.config, self.take, editor)
        self.preset = self._tools.goal
        *unseen, tabs = self.children  # type: ignore[has-type]
        settings, dashboard = self._starter.settings, self._starter.dashboard
        settings.children = [self._tools.widget, tabs]
        self.children = [*unseen, self._bar.widget, settings, dashboard]
        self.add_class("mt-run-form")
        self.observe(self._on_new_config, "config")
        self._advisor = Advisor(self._on_answer)
        self._reader = ContentsReader(self._on_contents)
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
        """Fill in the label names: shortly after the form is displayed, or when config is read."""
        with self._look_lock:
            if self._is_to_look:
                self._keys.look(self._trait_values["config"])
            if self._is_to_look:  # and no other config with its own names was set meanwhile
                self._is_to_look = False
                self._take_own(self.config.model_copy(deep=True))
                self._show_data()

    def _on_weighed(self) -> None:
        """Use and show the untuned model's comparison with values that may be labels."""
        with self._look_lock:
            self._take_own(self._trait_values["config"].model_copy(deep=True))
            self._show_data()

    @override
    def _complete_config(self) -> None:
        self._look_into_files()

    @override
    def _clear_problems(self) -> None:
        super()._clear_problems()
        self._bar.forget_refusal()

    @property
    def config_tab(self) -> ConfigTab:
        """The config as text, created when first shown."""
        if self._config_tab is None:
            self._config_tab = ConfigTab(MatterTunerConfig, self.take)
            self._config_tab.show(self.config)
            self._text_page.children = [self._config_tab.widget]
        return self._config_tab

    def _on_tab(self, change: Any) -> None:
        if self.editor.widget.children[change["new"] or 0] is self._text_page:
            _ = self.config_tab

    def take(self, config: MatterTunerConfig) -> None:
        """Show another config.

        Parameters
        ----------
        config
            The config to show.
        """
        self.config = config

    def _take_offer(self, name: str) -> None:
        """Use the data files as offered."""
        config = self.config.model_copy(deep=True)
        take_offer(name, config.model, [self._contents(file) for file in self._keys.sizes])
        self.config = config

    def _name_label(self, source: str, field: str, key: str | None) -> None:
        """Use the label of a data file that the user chose."""
        config = self.config.model_copy(deep=True)
        setattr(getattr(config.data, source), field, key)
        self.config = config

    def _use_remedy(self, finding: Finding) -> None:
        """Apply the remedy of a finding to its data set."""
        changes = [
            f"data.{name}.{setting}={value}"
            for name, (_, dataset) in self._identities().items()
            if FilePath(str(getattr(dataset, "src", ""))).name == finding.source
            for setting, value in finding.settings.items()
        ]
        self.config = override_settings(self.config, changes)

    def _use_found(self, setting: str, value: float) -> None:
        """Set the value that a finder suggests."""
        self.config = override_settings(self.config, [f"{setting}={value:g}"])

    def _on_new_config(self, _: Any = None) -> None:
        if self._keys_changed:
            self.editor.set(self.config.to_dict())
            self.editor.show_changes()
            self._clear_problems()
        if self._config_tab is not None:
            self._config_tab.show(self.config)
        self._show_data()
        self._tabs.show_model(self.config.model)
        self._tools.show_goal()
        self._known = {}
        self._advisor.ask(self.config)
        if not self._tabs.data.refusal and (self.run is None or not self.run.is_active()):
            self._estimate.ask(self.config)

    def _identities(self) -> dict[str, tuple[Any, Any]]:
        """Return, for each readable data file, what identifies it, and its config."""
        data = self._trait_values["config"].data
        found = {name: getattr(data, name) for name in self._keys.sizes}
        return {name: (self._keys.identity(dataset), dataset) for name, dataset in found.items()}

    def _contents(self, name: str) -> Contents | None:
        identity, _ = self._identities().get(name, (None, None))
        found = self._reader.known(name, identity)
        return None if isinstance(found, str) else found

    def _show_data(self) -> None:
        """Show what is known about the data files, and have the rest read."""
        config = self._trait_values["config"]
        self._tabs.show_data(config, self._keys)
        identities = self._identities()
        for name, (identity, _) in identities.items():
            found = self._reader.known(name, identity)
            if found is not None:
                self._on_contents(name, found)
        self._reader.ask(identities, delay=0.7)
        self._show_refusal()
        if self._tabs.data.refusal:
            self._estimate.pause()

    def _refusal(self) -> str:
        """Return why the run cannot start, as far as is known before it is tried."""
        return self._tabs.data.refusal or self._known.get("refusal") or ""

    def _show_refusal(self) -> None:
        self._bar.show_refusal(self._refusal())

    def _on_contents(self, name: str, contents: Contents | str) -> None:
        model = self._trait_values["config"].model
        offers = [] if isinstance(contents, str) else offers_of(contents, model)
        self._tabs.show_contents(name, contents, offers)

    def _mark_hardware(self, editor: ConfigEditor) -> None:
        """Mark what cannot run here, once that is known."""
        for name in ("accelerator", "precision") if self._hardware else ():
            field = editor.first.get(name)
            if isinstance(field, Simple) and field.options is not None:
                options = marked(field.options, self._hardware)
                if options != field.options:
                    field.relabel(options)

    def _on_answer(self, known: dict[str, Any]) -> None:
        """Show what the process with torch says about the config, see :mod:`.advice`."""
        self._known, self._hardware = known, known["hardware"]
        self._machine.value = note_html(summary(known["hardware"]))
        if "rates" in known:
            self._preview.value = draw_schedule(known["rates"], by_time=known["by_time"])
        else:
            self._preview.value = error_html(known["problem"])
        self._show_refusal()
        for editor in self._tabs.training_editors():
            self._mark_hardware(editor)

    def start(self) -> Run:
        """Start the run and return it; if a run of the form is active, return that.

        The button does the same in a thread. If a press of it is still checking the data, this waits for it,
        so a cell with ``form.run or form.start()`` starts a run only if the button was not pressed.

        Raises
        ------
        MatterTuneError
            Settings, data or this machine do not allow it; also shown beside the button.
        """
        return self._starter.start()

    def _on_started(self, run: Run) -> None:
        self.run = run

    def _checked_config(self) -> MatterTunerConfig:
        if self.problem:
            raise ConfigError(self.problem)
        self._keys.wait()
        config: MatterTunerConfig = self.config
        # the advisor knows torch, whose import would block the kernel for seconds
        self._advisor.wait()
        if refusal := self._known.get("refusal"):
            raise TrainingError(refusal)
        return config

    def close(self) -> None:
        """Close the form and its advisor process."""
        self._looking.cancel()
        self._keys.close()
        self._advisor.close()
        self._estimate.close()
        self.finder.close()
        self.ensemble.close()
        self._reader.close()
        self._starter.close()
        super().close()
