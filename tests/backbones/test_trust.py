"""Files that can run code: trusted by a config alone, and by no checkpoint."""

from __future__ import annotations

from typing import Literal

import pytest
from toy_backbone import MorseBackbone
from typer.testing import CliRunner

from mattertune_nb.backbones.start import Start
from mattertune_nb.backbones.trust import (
    TrustingBackboneConfig,
    digest,
    remember,
    require_remembered,
)
from mattertune_nb.cli import app
from mattertune_nb.config.base import setting
from mattertune_nb.config.errors import ConfigError, MatterTuneError


class PickledMorseConfig(TrustingBackboneConfig):
    """A Morse potential whose vendor's file is a pickle."""

    name: Literal["pickled-morse"] = setting("pickled-morse", "Backbone.")

    def create_backbone(self, architecture=None):
        if architecture is None:
            self.require_trust(self.checkpoint, "is a pickle, which can run any code")
        return MorseBackbone(None)

    def vendor_calculator(self):
        return None


def test_a_file_is_trusted_by_the_config_that_says_so(tmp_path):
    config = PickledMorseConfig(checkpoint=tmp_path / "a.model")
    with pytest.raises(ConfigError, match=r"a\.model is a pickle.*set trust_checkpoint: true"):
        config.create_backbone()
    config.trust_checkpoint = True
    assert config.create_backbone().elements == ("Cu", "O")


def test_the_settings_in_a_checkpoint_trust_nothing(tmp_path):
    # as one that was made to name a file beside it, and keeps nothing that builds the model without
    settings = {
        "name": "pickled-morse",
        "checkpoint": str(tmp_path / "evil.model"),
        "trust_checkpoint": True,
    }
    config = PickledMorseConfig.from_dict(settings)
    with pytest.raises(ConfigError, match="set trust_checkpoint: true"):
        Start(settings).backbone(config)
    assert Start(settings, architecture={"units": 1}).backbone(config)


def test_a_file_that_was_trusted_here_is_known_again_while_it_is_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = tmp_path / "a.model"
    file.write_bytes(b"a model")
    sha256 = digest(file)
    with pytest.raises(ConfigError, match="has not been trusted on this machine"):
        require_remembered(file, sha256)
    assert remember(file) == sha256
    require_remembered(file, sha256)
    file.write_bytes(b"another")
    with pytest.raises(ConfigError, match="SHA-256 differs"):
        require_remembered(file, sha256)
    file.unlink()
    with pytest.raises(ConfigError, match="does not exist"):
        require_remembered(file, sha256)


def test_a_vendors_file_is_converted_by_a_command_that_says_what_it_lacks(tmp_path):
    # where MACE is not installed it says so, where it is, that there is no such file
    done = CliRunner().invoke(app, ["convert", str(tmp_path / "a.model")])
    assert isinstance(done.exception, MatterTuneError)
