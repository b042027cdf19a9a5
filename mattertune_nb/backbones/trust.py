"""Vendors' files that can run code, which are read only with the user's permission."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mattertune_nb.backbones.base import BackboneConfig
from mattertune_nb.config.base import setting
from mattertune_nb.config.errors import ConfigError
from mattertune_nb.data.cache_folder import cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

C = TypeVar("C", bound=BackboneConfig)

PICKLE = "is a pickle, which can run any code"
"""Why most of these files must not be loaded from strangers."""

_TRUSTS_REMEMBERED: ContextVar[bool] = ContextVar("trusts_remembered", default=False)


class TrustingBackboneConfig(BackboneConfig):
    """A backbone some of whose vendor's files run code when loaded."""

    trust_checkpoint: bool = setting(
        False,
        "Load a vendor's file whose format can run any code on this machine. Set it only for files from "
        "people you trust.",
        label="Trust the file",
        fixed=False,
    )

    def require_trust(self, file: Path | str, why: str) -> None:
        """Refuse a file that runs code, unless the user trusts it.

        Parameters
        ----------
        file
            Its path, or the name under which the vendor publishes it.
        why
            What runs code, e.g. :data:`PICKLE`.

        Raises
        ------
        ConfigError
            ``trust_checkpoint`` is not set; see also :func:`trusting_remembered`.
        """
        if self.trust_checkpoint:
            remember(file)
        elif not (_TRUSTS_REMEMBERED.get() and _is_remembered(digest(file))):
            msg = (
                f"trust_checkpoint: {file} {why} when it is loaded. If you trust those who made it, set "
                "trust_checkpoint: true; files saved by mattertune_nb contain only tensors and plain "
                "settings."
            )
            raise ConfigError(msg)


def without_trust(config: C) -> C:
    """Return a config that trusts no file: a checkpoint cannot say whom its reader trusts."""
    if not isinstance(config, TrustingBackboneConfig) or not config.trust_checkpoint:
        return config
    return config.model_copy(update={"trust_checkpoint": False})


@contextmanager
def trusting_remembered() -> Iterator[None]:
    """Load what a config trusted on this machine before, though nothing says so now.

    For the weights that a run started with, and for what a form tries before it is asked.
    """
    token = _TRUSTS_REMEMBERED.set(True)
    try:
        yield
    finally:
        _TRUSTS_REMEMBERED.reset(token)


def digest(file: Path | str) -> str:
    """Return the SHA-256 of a file's contents, or of a name if there is no such file, in hexadecimal."""
    path = Path(file)
    if not path.is_file():
        return hashlib.sha256(f"name: {file}".encode()).hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def remember(file: Path | str) -> str:
    """Record on this machine that its user trusts a file or name, and return its SHA-256."""
    sha256 = digest(file)
    folder = cache_folder("trusted")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / sha256).touch()
    return sha256


def _is_remembered(sha256: str) -> bool:
    return (cache_folder("trusted") / sha256).exists()


def require_remembered(file: Path, sha256: str) -> None:
    """Refuse a file required by one of our checkpoints, unless it was trusted here before.

    A checkpoint says nothing about whom its reader trusts, whatever settings it contains.

    Raises
    ------
    ConfigError
        The file is missing, different, or was never loaded here with ``trust_checkpoint: true``.
    """
    if not file.is_file():
        msg = (
            f"checkpoint: {file}, from which this model is built, does not exist. Restore it there."
        )
    elif digest(file) != sha256:
        msg = f"checkpoint: {file} is not the file from which this model was tuned: its SHA-256 differs."
    elif not _is_remembered(sha256):
        msg = (
            f"trust_checkpoint: {file} runs code when it is loaded, and has not been trusted on this "
            "machine. If you trust those who made it, build its backbone once with trust_checkpoint: true."
        )
    else:
        return
    raise ConfigError(msg)
