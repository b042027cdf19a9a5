"""The page without code: who may see it, and what is said where Voila is missing."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from mattertune_nb.cli import main

pytest.importorskip("voila", reason="voila is not installed (pip install 'mattertune-nb[app]')")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Serve the page on an empty folder; return its address as it is printed."""
    folder = tmp_path_factory.mktemp("app")
    process = subprocess.Popen(
        [sys.executable, "-m", "mattertune_nb.cli", "app", ".", "--port=8901", "--no-browser"],
        cwd=folder,
        env=os.environ | {"JUPYTER_CONFIG_DIR": str(folder / ".config")},
        stderr=subprocess.PIPE,
        text=True,
    )
    (printed,) = islice((line for line in process.stderr if line.startswith("http")), 1)
    yield printed.strip()
    process.terminate()
    process.wait(20)


def get(url: str) -> tuple[str, str]:
    """Return the address at which a request ends, and what is there."""
    with urllib.request.urlopen(url, timeout=120) as answer:
        return answer.url, answer.read().decode()


def test_the_address_is_this_machine_with_a_token(address):
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[0-9a-f]{32,}", address)


def test_without_the_token_there_is_a_login_page_and_no_kernel(address):
    bare = address.split("?")[0]
    for url in (bare, f"{bare}?token=wrong"):
        ended_at, text = get(url)
        assert "/login" in ended_at
        assert "kernelId" not in text
    # what a page without a login could ask for: kernels by their channel, and to end them
    kernel = "00000000-0000-4000-8000-000000000000"
    for path in (f"api/kernels/{kernel}/channels", "voila/files/app.ipynb"):
        with pytest.raises(urllib.error.HTTPError) as info:
            get(bare + path)
        assert info.value.code in (403, 404)


def test_the_page_asks_no_other_machine_and_follows_the_reader_s_theme(address):
    _, text = get(address)
    assert "<title>mattertune_nb</title>" in text
    assert re.search(r'"kernelId": "[0-9a-f-]{36}"', text)
    loaded = re.findall(
        r'<(?:script|link rel="stylesheet")[^>]*(?:src|href)="(https?:[^"]+)"', text
    )
    assert loaded == []
    dark = re.search(r'<link media="\(prefers-color-scheme: dark\)"[^>]*theme-dark\.css', text)
    assert dark
    assert "import mattertune_nb" not in text


def test_without_voila_the_command_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["mattertune-nb", "app"])
    with pytest.raises(SystemExit, match="1"):
        main()
    error = capsys.readouterr().err.strip()
    assert "\n" not in error
    assert "pip install 'mattertune-nb[app]'" in error


def test_what_leads_the_browser_to_the_page_is_not_left_behind(monkeypatch, tmp_path):
    from tornado.ioloop import IOLoop

    from mattertune_nb.app import server

    async def opened() -> list[str]:
        server.App.launch_browser(server.App())
        await asyncio.sleep(0.1)
        return read

    read: list[str] = []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(server, "_OPENED", 0.01)
    monkeypatch.setattr(server.App, "display_url", "http://127.0.0.1:1/?token=secret")
    monkeypatch.setattr(
        server.webbrowser, "open", lambda url: read.append(Path(urlsplit(url).path).read_text())
    )
    IOLoop(make_current=False).run_sync(opened)
    assert "token=secret" in read[0]
    assert not list(tmp_path.iterdir())
