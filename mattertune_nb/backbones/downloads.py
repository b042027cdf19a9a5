"""Weights that are fetched at first use: said before, checked after, and told where to get them from."""

from __future__ import annotations

import json
import logging
import socket
import urllib.request
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mattertune_nb.backbones.trust import digest
from mattertune_nb.config.errors import ConfigError
from mattertune_nb.data.cache_folder import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from mattertune_nb.backbones.base import BackboneFacts

log = logging.getLogger(__name__)


def fetched(name: str, facts: BackboneFacts, fetch: Callable[[str], Path]) -> Mapping[str, Path]:
    """Return where the files of weights are, by their names, after fetching those that are not here.

    Parameters
    ----------
    name
        Of the weights.
    facts
        Of the weights, with their download.
    fetch
        The vendor's way to get a file by its name: from its cache, or from the network.

    Raises
    ------
    ConfigError
        Where a file can be had neither way, or is another than that of its vendor or of the first download.
    """
    download = facts.download
    assert download is not None
    size = "" if download.megabytes is None else f", {download.megabytes:g} MB"
    log.warning(
        "Weights %s: from %s%s where they are not here yet. Licence: %s (%s).",
        name,
        download.page,
        size,
        facts.licence,
        facts.allows,
    )
    try:
        with _asked_once(download.page):
            paths = {file: fetch(file) for file in download.files}
    except Exception as exc:
        names = " and ".join(download.files)
        msg = (
            f"pretrained_model: {name} is not here and cannot be fetched ({type(exc).__name__}). On a "
            f"machine with a network, get {names} from {download.page}, put "
            f"{'it' if len(download.files) == 1 else 'them into one folder'} anywhere here, and give "
            f"{'its path' if len(download.files) == 1 else 'the folder'} as model.checkpoint."
        )
        raise ConfigError(msg) from exc
    for file, published in download.files.items():
        _check(f"{download.page}#{file}", paths[file], published)
    return paths


def has_route(page: str) -> bool:
    """Return whether an address may be reached: this machine finds its host, or leaves that to a proxy."""
    if urllib.request.getproxies():
        return True
    try:
        socket.getaddrinfo(urlsplit(page).hostname, None)
    except OSError:
        return False
    return True


@contextmanager
def _asked_once(page: str) -> Iterator[None]:
    """Keep Hugging Face's client to its cache where there is no network, which it would try six times."""
    try:
        from huggingface_hub import constants
    except ImportError:
        yield
        return
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not has_route(page)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _check(key: str, path: Path, published: str | None) -> None:
    """Compare a file with what it has to be, or keep what it is where nobody says."""
    found = digest(path)
    record = cache_folder("weights") / "sha256.json"
    known: dict[str, str] = {}
    with suppress(OSError, ValueError):
        known = json.loads(record.read_text())
    expected = published or known.setdefault(key, found)
    if found != expected:
        said = "its vendor publishes" if published else f"it had at its first download ({record})"
        msg = (
            f"{path}: its sha256 {found[:12]}… is not the {expected[:12]}… that {said}. Remove the file to "
            "fetch it again"
            + ("." if published else ", or the line of the record where the vendor has a new one.")
        )
        raise ConfigError(msg)
    with suppress(OSError):  # of a home that cannot be written to
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps(known, indent=1))
