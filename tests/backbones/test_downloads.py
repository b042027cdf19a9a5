"""Weights that are fetched: without a network the answer comes at once, and what is here is found."""

from __future__ import annotations

import hashlib
import socket
import time

import pytest

import mattertune_nb as mt
from mattertune_nb.backbones.base import BackboneFacts, Download
from mattertune_nb.backbones.downloads import fetched, has_route

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


CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def facts(published: str | None = None) -> BackboneFacts:
    download = Download(PAGE, {"weights.ckpt": published}, megabytes=12)
    return BackboneFacts("all", 94, 6.0, None, "data", "ASL", None, "academic use", download)


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Write the file that a vendor's code has fetched."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "weights.ckpt"
    path.write_bytes(CONTENT)
    return path


def test_the_licence_is_told_before_the_download(file, caplog):
    def fetch(name):
        assert f"downloaded from {PAGE}, 12 MB" in caplog.text
        assert "Licence: ASL (academic use)" in caplog.text
        return file

    assert fetched("large", facts(), fetch) == {"weights.ckpt": file}


def test_a_file_is_compared_with_the_hash_that_its_vendor_publishes(file):
    assert fetched("large", facts(SHA256), lambda _: file)
    file.write_bytes(b"cut")
    with pytest.raises(mt.ConfigError, match=r"is not the \w{12}… that is published"):
        fetched("large", facts(SHA256), lambda _: file)


def test_a_file_is_compared_with_the_hash_that_its_hub_publishes(file, tmp_path):
    # the cache of Hugging Face's client: a snapshot of links to blobs that are named by their hash
    blob = tmp_path / "blobs" / SHA256
    blob.parent.mkdir()
    blob.write_bytes(CONTENT)
    link = tmp_path / "model.ckpt"
    link.symlink_to(blob)
    assert fetched("large", facts(), lambda _: link)
    blob.write_bytes(b"cut")
    with pytest.raises(mt.ConfigError, match="that is published"):
        fetched("large", facts(), lambda _: link)


def test_a_file_without_a_published_hash_is_compared_with_its_first_download(file):
    assert fetched("large", facts(), lambda _: file)
    file.write_bytes(b"another")
    with pytest.raises(mt.ConfigError, match="that it had at its first download"):
        fetched("large", facts(), lambda _: file)


def test_the_table_names_the_file_and_what_it_is_compared_with():
    assert facts(SHA256).rows()["File"] == f"weights.ckpt (sha256 {SHA256})"
    assert facts().rows()["File"] == "weights.ckpt (sha256 of its hub, or of the first download)"
    assert mt.CHGNetBackboneConfig().facts().rows()["File"] == "in the package"
