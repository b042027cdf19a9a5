"""Weights that are fetched: without a network the answer comes at once, and what is here is found."""

from __future__ import annotations

import socket
import time

import pytest

import mattertune_nb as mt
from mattertune_nb.backbones.downloads import has_route

PAGE = "https://models.example/weights.ckpt"


@pytest.fixture
def no_network(monkeypatch):
    """No host is found, and no proxy is there to ask."""

    def unknown(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_a_proxy_finds_hosts_that_this_machine_does_not(no_network, monkeypatch):
    assert not has_route(PAGE)
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    assert has_route(PAGE)


@pytest.mark.parametrize(
    "config", [mt.MatGLBackboneConfig, mt.ORBBackboneConfig, mt.ORBDirectBackboneConfig]
)
def test_no_client_tries_again_where_there_is_no_network(config, no_network, monkeypatch, tmp_path):
    package = "matgl" if config is mt.MatGLBackboneConfig else "orb_models"
    pytest.importorskip(package)
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    with pytest.raises(mt.ConfigError, match="is not on this machine and cannot be downloaded"):
        config().create_backbone()
    assert sum(slept) < 1


def test_what_was_fetched_before_is_found_without_a_network(no_network, tmp_path):
    pytest.importorskip("orb_models")
    import cached_path

    config = mt.ORBBackboneConfig()
    page = config.known_weights[config.pretrained_model].download.page
    before = cached_path.get_cache_dir()
    cached_path.set_cache_dir(tmp_path)
    try:
        kept = tmp_path / cached_path.resource_to_filename(page, "etag")
        kept.write_bytes(b"not a model")
        with pytest.raises(
            mt.ConfigError,
            match=rf"{kept.name[:70]}.*safely \(UnpicklingError: Weights only load failed\)",
        ):
            config.create_backbone()
    finally:
        cached_path.set_cache_dir(before)
