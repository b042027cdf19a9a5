"""One way to open structures from any source: a file, a folder, a pattern, or a list of these."""

from __future__ import annotations

from functools import partial
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING

from mattertune_nb.config.errors import DataError, check_path
from mattertune_nb.data.readers.cp2k import is_beside_positions
from mattertune_nb.data.readers.registry import is_data_set, is_output, matches, open_one, patterns
from mattertune_nb.data.sources.many import ManyFrames
from mattertune_nb.data.sources.structure_list import is_structure_list, listed_files
from mattertune_nb.data.xyz.file import STRUCTURE_FILES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mattertune_nb.data.sources.frames import Frames

_OF_VASP = ("vasprun*.xml*", "*OUTCAR*", "*XDATCAR*", "*CONTCAR*", "*POSCAR*")
"""Files that a calculation leaves in its folder, the most informative first."""


_ABOUT_DATA = ("dataset_info.json", "dataset_dict.json", "state.json")
"""Files that Hugging Face's datasets writes alongside its tables."""


def open_frames(
    src: str | Path | Sequence[str | Path], fmt: str | None = None, *, skip_bad: bool = False
) -> Frames:
    """Open any source of structures.

    Parameters
    ----------
    src
        A file, a folder of files, a pattern such as ``"runs/*/OUTCAR"``, or several of these.
    fmt
        Name of a reader or of one of ASE's formats; by default detected from name and content.
    skip_bad
        Whether to leave out unreadable files if there are several.

    Raises
    ------
    DataError
        There is no such file, or one cannot be read.
    """
    given = [src] if isinstance(src, (str, Path)) else list(src)
    paths = _source_files(given)
    if len(given) == 1 and len(paths) == 1 and not _means_many(Path(given[0])):
        return open_one(next(iter(paths)), fmt)
    return ManyFrames(paths, partial(open_one, fmt=fmt), skip_bad=skip_bad)


def source_files(given: Sequence[str | Path]) -> list[Path]:
    """Return the files given by paths, folders, patterns and lists; within a folder, sorted by name.

    Raises
    ------
    DataError
        A folder or pattern contains none.
    """
    return list(_source_files(given))


def _source_files(given: Sequence[str | Path]) -> dict[Path, str]:
    """Return each file, and the frames to take of it, as a Python slice."""
    found: dict[Path, str] = {}
    for item in given:
        path = Path(item)
        if not _means_many(path):
            found.setdefault(path, ":")
            continue
        path = path.expanduser()
        if is_structure_list(path):
            for listed, frames in listed_files(path):
                for one in source_files([listed]):
                    _take(found, one, frames, path)
            continue
        if path.is_dir():
            inside = _in_folder(path)
        else:
            root = Path(path.anchor)
            inside = sorted(p for p in root.glob(str(path.relative_to(root))) if p.name[0] != ".")
        if not inside:
            what = (
                f"holds no file of structures by name or content; a pattern, e.g. {item}/*.dat, takes any"
                if path.is_dir()
                else "fits no file"
            )
            msg = f"{item}: {what}. {check_path()}"
            raise DataError(msg)
        for path in inside:
            found.setdefault(path, ":")
    return found


def _take(found: dict[Path, str], path: Path, frames: str, listed_in: Path) -> None:
    """Add a file of a list.

    Raises
    ------
    DataError
        It is listed twice, with different frames.
    """
    if found.setdefault(path, frames) != frames:
        msg = f"{listed_in}: names {path} twice, with frames '{found[path]}' and '{frames}'. Give one."
        raise DataError(msg)


def _means_many(path: Path) -> bool:
    try:
        full = path.expanduser()
    except RuntimeError:  # no such home folder, which is reported on opening
        return False
    if full.exists():
        return is_structure_list(full) or (full.is_dir() and not is_data_set(full))
    return has_magic(str(path))


def _in_folder(folder: Path) -> list[Path]:
    """Return the structure files in a folder and its subfolders; for a VASP calculation, only the best."""
    names = (*STRUCTURE_FILES, *patterns())
    found: list[Path] = []
    calculated: dict[Path, list[Path]] = {}
    visible = [
        path
        for path in sorted(folder.rglob("*"))
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    for path in visible:
        if path.is_dir():
            found += [path] if is_data_set(path) else []
        elif matches(path, _OF_VASP):
            calculated.setdefault(path.parent, []).append(path)
        elif matches(path, _ABOUT_DATA) or is_beside_positions(path):
            continue
        elif matches(path, names):
            found.append(path)
    for paths in calculated.values():
        best = min(next(k for k, p in enumerate(_OF_VASP) if matches(q, (p,))) for q in paths)
        found += [path for path in paths if matches(path, (_OF_VASP[best],))]
    # outputs have any name; beside a trajectory or a table they are logs
    return sorted(found) or [path for path in visible if path.is_file() and is_output(path)]
