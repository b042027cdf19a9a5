"""No file that somebody may be sent runs code, by whatever door it comes in, unless its user trusts it."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import pickle
import sqlite3
import warnings
from pathlib import Path

import ase.db
import ase.io
import numpy as np
import pytest
import torch
from ase.build import bulk
from typer.testing import CliRunner

import mattertune_nb as mt
from mattertune_nb.backbones.registry import backbone_config_class
from mattertune_nb.cli import app


class Payload:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def mark(tmp_path):
    """Return what is there after a payload was run."""
    return tmp_path / "run by a file"


@pytest.fixture
def run(morse_config) -> Path:
    """Return the directory of a run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mt.MatterTuner(morse_config(max_epochs=1)).tune().run.path


@pytest.fixture
def payload(mark):
    """Return a payload that works."""
    pickle.loads(pickle.dumps(Payload(mark)))
    assert mark.exists()
    mark.rmdir()
    return Payload(mark)


def saved_by_torch(content, **settings) -> bytes:
    """Return what torch writes."""
    file = io.BytesIO()
    torch.save(content, file, **settings)
    return file.getvalue()


def checkpoints(payload) -> dict[str, bytes]:
    """Return weights of each kind."""
    raw = pickle.dumps(payload)
    ours = {"state_dict": {}, "hyper_parameters": {"name": "chgnet", "x": payload}}
    return {
        "a.ckpt": saved_by_torch(ours),
        "b.ckpt": saved_by_torch(ours, _use_new_zipfile_serialization=False),
        "a.pt": raw,
        "a.pth": saved_by_torch(payload),
        "a.pth.tar": saved_by_torch({"model": payload}),
        "a.model": saved_by_torch(payload, _use_new_zipfile_serialization=False),
        "a.safetensors": raw,
        "a.nequip.zip": saved_by_torch(payload),
    }


def structures(payload, folder: Path) -> dict[str, bytes]:
    """Return files of structures of each kind, valid ones with a payload where there is a place for one."""
    raw = pickle.dumps(payload)
    call = {"@module": "os", "@class": "mkdir", "@version": None, "path": str(payload.mark)}
    other = {"__reduce__": ["os.mkdir", [str(payload.mark)]], "py/reduce": ["os.mkdir"]}
    text = f"__import__('os').mkdir({str(payload.mark)!r})"
    array = io.BytesIO()
    np.save(array, np.array([payload], dtype=object), allow_pickle=True)
    arrays = io.BytesIO()
    np.savez(arrays, energy=np.array([payload], dtype=object))
    with ase.db.connect(folder / "rows.db") as database:
        database.write(bulk("Cu"), data={"a": 1})
    with sqlite3.connect(folder / "rows.db") as rows:
        rows.execute("UPDATE systems SET data = ?, positions = ?", (raw, raw))
    found = {
        "a.traj": raw,
        "a.trj": raw,
        "a.npy": array.getvalue(),
        "a.npz": arrays.getvalue(),
        "a.json": json.dumps([{"structure": call, "energy_per_atom": 1.0}]).encode(),
        "b.json": json.dumps(
            [{"numbers": [29], "positions": [[0, 0, 0]], "x": call} | other]
        ).encode(),
        "c.json": json.dumps(
            {"1": {"__ase_objtype__": "os.mkdir", "path": str(payload.mark)}}
        ).encode(),
        "a.xyz": f'1\nProperties=species:S:1:pos:R:3 energy="{text}" x=_JSON"{text}"\nCu 0 0 0\n'.encode(),
        "a.xyz.gz": gzip.compress(raw),
        "a.cif": f"data_a\n_cell_length_a {text}\n".encode(),
        "a.py": text.encode(),
        "a.pkl": raw,
        "rows.db": (folder / "rows.db").read_bytes(),
        "a.parquet": raw,
    }
    return found | _tables(payload) | _lmdbs(payload, folder)


def _tables(payload) -> dict[str, bytes]:
    """Return tables whose columns name a type that older readers unpickle."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    told = {
        "ARROW:extension:name": "arrow.py_extension_type",
        "ARROW:extension:metadata": pickle.dumps(payload),
    }
    fields = [pa.field("numbers", pa.list_(pa.int64()), metadata=told)]
    fields += [pa.field("positions", pa.list_(pa.list_(pa.float64())))]
    table = pa.table([[[29]], [[[0.0, 0.0, 0.0]]]], schema=pa.schema(fields, metadata=told))
    parquet, arrow = io.BytesIO(), io.BytesIO()
    pq.write_table(table, parquet)
    with pa.ipc.new_stream(arrow, table.schema) as writer:
        writer.write_table(table)
    return {"b.parquet": parquet.getvalue(), "a.arrow": arrow.getvalue()}


def _lmdbs(payload, folder: Path) -> dict[str, bytes]:
    lmdb = pytest.importorskip("lmdb")
    for name in ("a.lmdb", "a.aselmdb"):
        raw = pickle.dumps({"pos": payload, "x": payload})
        database = lmdb.open(str(folder / f"{name}-made"), subdir=False, map_size=1 << 22)
        with database, database.begin(write=True) as rows:
            for key in (b"0", b"1", b"nextid", b"length"):
                rows.put(key, raw)
    return {name: (folder / f"{name}-made").read_bytes() for name in ("a.lmdb", "a.aselmdb")}


def harmless(door, mark: Path) -> None:
    """Go through a door, which may refuse; nothing is run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(mt.MatterTuneError):
            door()
    assert not mark.exists(), "code of the file was run"


def command(*words: object):
    """Return the calling of a command; what it raises is raised here."""

    def call() -> None:
        done = CliRunner().invoke(app, [str(word) for word in words])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception

    return call


def config_of(src: Path, root: Path, **model) -> mt.MatterTunerConfig:
    """Return the settings of a run."""
    return mt.MatterTunerConfig(
        model=mt.CHGNetBackboneConfig(**model),
        data=mt.AutoSplitDataModuleConfig(dataset=mt.XYZDatasetConfig(src=src), train_split=0.5),
        trainer=mt.TrainerConfig(max_epochs=1, accelerator="cpu"),
        run=mt.RunConfig(name="run", root=root),
    )


@pytest.mark.faults
def test_structures_by_every_door(payload, mark, run, tmp_path):
    for name, content in structures(payload, tmp_path).items():
        path = tmp_path / name
        path.write_bytes(content)
        doors = (
            lambda path=path: [mt.open_dataset(path).frame(0)],
            lambda path=path: mt.check(path),
            lambda path=path: mt.view(path),
            lambda path=path: mt.explore(path),
            lambda path=path: mt.MatterTuner(config_of(path, tmp_path / "runs")).tune(),
            lambda path=path: mt.TunerForm(config_of(path, tmp_path / "runs")).close(),
            command("check", path),
            command("init", path),
            command("evaluate", run, path),
            command("predict", run, path, tmp_path / "out.xyz"),
            command("predict", path, path, tmp_path / "out.xyz"),
            command("fit", path),
            command("select", path, 1, "--model", run),
        )
        for door in doors:
            harmless(door, mark)


def test_a_folder_of_deepmd(payload, mark, tmp_path):
    pytest.importorskip("dpdata")
    folder = tmp_path / "set"
    (folder / "set.000").mkdir(parents=True)
    (folder / "type.raw").write_text("0\n")
    (folder / "type_map.raw").write_text("Cu\n")
    for name in ("coord", "box", "energy", "force"):
        array = np.empty((1, 9), dtype=object)
        array[:] = payload
        np.save(folder / "set.000" / f"{name}.npy", array, allow_pickle=True)
    harmless(lambda: mt.open_dataset(folder), mark)


def test_checkpoints_by_every_door(payload, mark, copper_xyz, tmp_path):
    for name, content in checkpoints(payload).items():
        path = tmp_path / name
        path.write_bytes(content)
        doors = (
            lambda path=path: mt.FinetuneModuleBase.load_from_checkpoint(path),
            lambda path=path: mt.MatterTuner(
                config_of(copper_xyz, tmp_path / "runs", checkpoint=path)
            ).tune(),
            lambda path=path: mt.compare(path),
            command("evaluate", path, copper_xyz),
            command("predict", path, copper_xyz, tmp_path / "out.xyz"),
            command("convert", path, tmp_path / "out.pt"),
        )
        for door in doors:
            harmless(door, mark)


BACKBONES = (
    "chgnet",
    "sevennet",
    "nequip",
    "allegro",
    "mace",
    "mattersim",
    "matgl",
    "orb",
    "uma",
    "pet",
)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_checkpoints_as_those_of_a_vendor(backbone, payload, mark, tmp_path):
    for name, content in checkpoints(payload).items():
        path = tmp_path / name
        path.write_bytes(content)

        def built(path: Path = path) -> None:
            backbone_config_class(backbone)(checkpoint=path).create_backbone()

        harmless(built, mark)


@pytest.mark.faults
def test_whatever_stands_in_the_folder_of_a_run(payload, mark, run):
    raw, zipped = pickle.dumps(payload), saved_by_torch({"state_dict": {}, "x": payload})
    call = f'!!python/object/apply:os.mkdir ["{mark}"]\n'.encode()
    damage = dict.fromkeys(("status.json", "metrics.jsonl", "splits.json", "findings.json"), raw)
    damage |= {"config.yaml": call, "model_card.yaml": call, "summary.json": raw}
    damage |= {f"checkpoints/{name}.ckpt": zipped for name in ("best", "last", "previous", "next")}
    damage["distances.json"] = damage["foreign.json"] = damage["walls.json"] = raw
    damage["scorecard.json"] = damage["validation.json"] = damage["versions.json"] = raw
    for name, content in damage.items():
        path = run / name
        before = path.read_bytes() if path.exists() else None
        path.write_bytes(content)
        for door in (
            lambda: mt.Run.attach(run).model(),
            lambda: mt.Run.attach(run).dashboard(),
            lambda: mt.runs(run.parent),
            lambda: repr(mt.runs(run.parent)),
            lambda: mt.Run.attach(run).report(),
            command("resume", run),
            command("export", run),
        ):
            harmless(door, mark)
        path.unlink() if before is None else path.write_bytes(before)
