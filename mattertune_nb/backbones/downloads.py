"""Weights downloaded at first use: announced before, checked after, with instructions if that fails."""

from __future__ import annotations

import json
import logging
import re
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
    """Return the paths of weight files, by name, downloading those that are missing.

    Parameters
    ----------
    name
        Name of the weights.
    facts
        Facts about the weights, including their download.
    fetch
        The vendor's way to get a file by name: from its cache, or from the network.

    Raises
    ------
    ConfigError
        A file is unavailable, or differs from its vendor's or from the first download.
    """
    download = facts.download
    assert download is not None
    size = "" if download.megabytes is None else f", {download.megabytes:g} MB"
    log.warning(
        "Weights %s: downloaded from %s%s unless already present. Licence: %s (%s).",
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
            f"pretrained_model: {name} is not on this machine and cannot be downloaded "
            f"({type(exc).__name__}). On a machine with network access, get {names} from {download.page}, "
            f"put {'it' if len(download.files) == 1 else 'them into one folder'} anywhere here, and give "
            f"{'its path' if len(download.files) == 1 else 'the folder'} as model.checkpoint."
        )
        raise ConfigError(msg) from exc
    for file, published in download.files.items():
        _check(f"{download.page}#{file}", paths[file], published)
    return paths


def has_route(page: str) -> bool:
    """Return whether an address may be reachable: this machine resolves its host, or uses a proxy."""
    if urllib.request.getproxies():
        return True
    try:
        socket.getaddrinfo(urlsplit(page).hostname, None)
    except OSError:
        return False
    return True


def reachable(page: str) -> str:
    """Return an address for a client that would try it for long although there is no network.

    Raises
    ------
    ConnectionError
        It cannot be reached, see :func:`has_route`.
    """
    if not has_route(page):
        msg = f"no route to {page}"
        raise ConnectionError(msg)
    return page


@contextmanager
def _asked_once(page: str) -> Iterator[None]:
    """Restrict Hugging Face's client to its cache if there is no network, which it would try six times."""
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
    """Compare a file with the published hash, or with that of its first download, recorded here."""
    found = digest(path)
    record = cache_folder("weights") / "sha256.json"
    known: dict[str, str] = {}
    with suppress(OSError, ValueError):
        known = json.loads(record.read_text())
    published = published or _hub_sha256(path)
    expected = published or known.setdefault(key, found)
    if found != expected:
        said = "is published" if published else f"it had at its first download ({record})"
        msg = (
            f"{path}: its sha256 {found[:12]}… is not the {expected[:12]}… that {said}. Remove the file to "
            "fetch it again"
            + ("." if published else ", or the line of the record where the vendor has a new one.")
        )
        raise ConfigError(msg)
    with suppress(OSError):  # the home folder may not be writable
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps(known, indent=1))


def _hub_sha256(path: Path) -> str | None:
    """Return the hash that a hub publishes: Hugging Face's client names a large file in its cache by it."""
    name = path.resolve().name
    return name if re.fullmatch(r"[0-9a-f]{64}", name) else None
