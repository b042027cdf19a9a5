"""Tasks of Matbench and materials of the Materials Project, by the names that MatterTune gives them."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest

import mattertune_nb as mt
from mattertune_nb.config.errors import ConfigError, DataError, MissingExtraError
from mattertune_nb.data.readers import reader
from mattertune_nb.data.sources.matbench import fold


def structure(a: float) -> dict:
    """Return rock salt as pymatgen writes it."""
    sites = [
        {"species": [{"element": symbol, "occu": 1}], "abc": abc, "label": symbol}
        for symbol, abc in (("Na", [0.0, 0.0, 0.0]), ("Cl", [0.5, 0.5, 0.5]))
    ]
    matrix = [[0, a / 2, a / 2], [a / 2, 0, a / 2], [a / 2, a / 2, 0]]
    return {
        "@module": "pymatgen.core.structure",
        "@class": "Structure",
        "charge": 0,
        "lattice": {"matrix": matrix, "pbc": [True] * 3},
        "sites": sites,
    }


TABLE = {
    "index": list(range(20)),
    "columns": ["structure", "exfoliation_en"],
    "data": [[structure(5.6 + k / 100), 60.0 + k] for k in range(20)],
}
PACKED = gzip.compress(json.dumps(TABLE).encode())


@pytest.fixture
def serve(monkeypatch):
    """Return what starts a server that gives an answer to a request's path, and says what was asked."""
    servers = []

    def start(answer):
        asked = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append((urlparse(self.path), self.headers.get("x-api-key")))
                code, body = answer(urlparse(self.path).path)
                self.send_response(code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/", asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def dataset(**given):
    made = mt.AutoSplitDataModuleConfig.from_dict({"type": "auto_split", "dataset": given})
    return made.dataset


@pytest.fixture
def home(tmp_path):
    (tmp_path / "matbench_jdft2d.json.gz").write_bytes(PACKED)
    return tmp_path


def test_a_task_of_matbench_is_divided_as_matbench_does(home):
    # the first of the 128 that matbench's own list of splits tests in fold 0
    train, test = fold(636, 0)
    assert test[:4].tolist() == [11, 13, 26, 30]
    assert (len(train), len(test)) == (508, 128)
    parts = {
        split: dataset(type="matbench", task="matbench_jdft2d", split=split, data_home=str(home))
        for split in ("train", "validation", "test")
    }
    opened = {split: part.create_dataset() for split, part in parts.items()}
    assert {split: len(part) for split, part in opened.items()} == {
        "train": 14,
        "validation": 2,
        "test": 4,
    }
    assert sorted(np.concatenate([part.indices for part in opened.values()])) == list(range(20))
    for part in opened.values():
        for i, k in enumerate(part.indices):
            assert part.frame(i).info["matbench_jdft2d"] == 60.0 + k
            assert part.frame(i).cell.lengths()[0] == pytest.approx((5.6 + k / 100) / 2**0.5)
    older = dataset(type="matbench", task="matbench_jdft2d", split="valid", data_home=str(home))
    assert older == parts["validation"]


def test_a_run_learns_the_number_of_a_task(home, tmp_path):
    source = dataset(
        type="matbench", task="matbench_jdft2d", property_name="exfoliation", data_home=str(home)
    )
    data = mt.AutoSplitDataModuleConfig(dataset=source, split="random").create_datasets()
    number = mt.GraphPropertyConfig(name="exfoliation", key="exfoliation")
    assert data["train"].labels(0, {number.about(): "error"})["exfoliation"] >= 60
    assert (
        mt.AutoSplitDataModuleConfig.from_dict(
            mt.AutoSplitDataModuleConfig(dataset=source).to_dict()
        ).dataset
        == source
    )


def test_a_file_of_another_task_and_one_without_structures_are_refused(home):
    (home / "matbench_phonons.json.gz").write_bytes(PACKED)
    with pytest.raises(
        DataError, match=r"has no 'last phdos peak', so that it is not of matbench_ph"
    ):
        dataset(type="matbench", task="matbench_phonons", data_home=str(home)).create_dataset()
    with pytest.raises(ConfigError, match=r"task: Task must be.* got .matbench_steels"):
        dataset(type="matbench", task="matbench_steels")


def test_a_task_is_fetched_by_matminer_from_where_it_says(serve, tmp_path, monkeypatch):
    retrieval = pytest.importorskip("matminer.datasets.dataset_retrieval")
    url, asked = serve(lambda _: (200, PACKED))
    about = {"url": url, "hash": hashlib.sha256(PACKED).hexdigest(), "file_type": "json.gz"}
    monkeypatch.setattr(retrieval, "_dataset_dict", {"matbench_jdft2d": about})
    source = dataset(type="matbench", task="matbench_jdft2d", data_home=str(tmp_path / "new"))
    assert len(source.create_dataset()) == 14
    assert len(source.create_dataset()) == 14
    assert len(asked) == 1


HEARTBEAT = {"version": "0.87.0", "db_version": "2026.1.1", "access_controlled_batch_ids": []}
MATERIALS = [
    {
        "material_id": f"mp-{k}",
        "structure": structure(5.6 + k / 100),
        "energy_per_atom": -3.4,
        "uncorrected_energy_per_atom": -3.1,
        "band_gap": 5.0 if k else None,
    }
    for k in range(3)
]


def project(path: str) -> tuple[int, bytes]:
    if path == "/heartbeat":
        return 200, json.dumps(HEARTBEAT).encode()
    if path == "/materials/summary/":
        meta = {"total_doc": len(MATERIALS)}
        return 200, json.dumps({"data": MATERIALS, "meta": meta}).encode()
    return 404, b"{}"


@pytest.fixture
def cached(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_materials_are_fetched_once_with_the_key_of_the_environment(serve, cached, monkeypatch):
    pytest.importorskip("mp_api")
    url, asked = serve(project)
    monkeypatch.setenv("MP_API_ENDPOINT", url)
    monkeypatch.setenv("MP_API_KEY", "")
    source = dataset(
        type="mp",
        api="k" * 32,
        query={"chemsys": "Na-Cl"},
        fields=["energy_per_atom", "uncorrected_energy_per_atom", "band_gap"],
    )
    assert os.environ["MP_API_KEY"] == "k" * 32
    assert "k" * 32 not in source.to_yaml()
    opened = source.create_dataset()
    path, key = asked[-1]
    assert path.path == "/materials/summary/"
    assert parse_qs(path.query)["chemsys"] == ["Na-Cl"]
    assert key == "k" * 32
    n_asked = len(asked)
    again = source.create_dataset()
    assert len(asked) == n_asked
    assert len(again) == len(opened) == 3
    frame = again.frame(2)
    assert frame.get_chemical_formula() == "ClNa"
    assert frame.cell.lengths()[0] == pytest.approx(5.62 / 2**0.5)
    assert frame.info["material_id"] == "mp-2"
    assert frame.info["band_gap"] == 5.0
    assert again.labels(2) == {"energy": -6.8}
    uncorrected = source.model_copy(update={"energy_key": "uncorrected_energy_per_atom"})
    assert uncorrected.create_dataset().labels(2)["energy"] == pytest.approx(-6.2)


def test_what_stands_in_the_way_of_fetching_is_one_line(serve, cached, monkeypatch):
    pytest.importorskip("mp_api")
    monkeypatch.delenv("MP_API_KEY", raising=False)
    source = dataset(type="mp", query={"chemsys": "Na-Cl"})
    with pytest.raises(DataError, match=r"its key is missing\. Set the variable MP_API_KEY"):
        source.create_dataset()
    monkeypatch.setenv("MP_API_KEY", "k" * 32)
    url, _ = serve(
        lambda path: project(path) if path == "/heartbeat" else (403, b'{"detail": "no"}')
    )
    monkeypatch.setenv("MP_API_ENDPOINT", url)
    with pytest.raises(
        DataError, match=r'the Materials Project: \{"chemsys": "Na-Cl"\} cannot be f'
    ) as e:
        source.create_dataset()
    assert "\n" not in str(e.value)
    assert not source.src.exists()


@pytest.mark.parametrize(("kind", "extra"), [("mp", "mp"), ("matbench", "matbench")])
def test_a_missing_package_is_named_with_what_installs_it(kind, extra, cached, monkeypatch):
    monkeypatch.setattr(reader.importlib.util, "find_spec", lambda _: None)
    given = {"query": {"chemsys": "Na-Cl"}} if kind == "mp" else {"task": "matbench_jdft2d"}
    with pytest.raises(MissingExtraError, match=rf"pip install 'mattertune-nb\[{extra}\]'"):
        dataset(type=kind, **given).create_dataset()
