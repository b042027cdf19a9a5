"""Lightning's checkpoints in a directory that may be moved between two parts of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import ModelCheckpoint
from typing_extensions import override


class MovableCheckpoint(ModelCheckpoint):
    """A :class:`~lightning.pytorch.callbacks.ModelCheckpoint` that knows what is best after a move.

    Lightning forgets the scores if the directory has another path, and the next weights would replace better
    ones.
    """

    @property
    @override
    def state_key(self) -> str:
        """Name under which a checkpoint holds the state: Lightning's own."""
        return super().state_key.replace(type(self).__qualname__, ModelCheckpoint.__qualname__, 1)

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what is best so far, also in a run directory that was moved or copied since."""
        before, now = state_dict["dirpath"], str(self.dirpath)

        def here(path: str) -> str:
            if not path:
                return ""
            inside = Path(path).is_relative_to(before)
            return str(Path(now) / (Path(path).relative_to(before) if inside else Path(path).name))

        paths = ("best_model_path", "kth_best_model_path", "last_model_path")
        moved = {name: here(state_dict[name]) for name in paths}
        best = {here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict(
            state_dict | moved | {"best_k_models": best, "dirpath": self.dirpath}
        )
