"""Voila on the package's own notebook: this machine alone, with a token, in the reader's theme."""

from __future__ import annotations

import atexit
import os
import tempfile
import webbrowser
from functools import partial
from pathlib import Path

from tornado.ioloop import IOLoop
from traitlets import Bool
from voila.app import Voila

FOLDER = "MATTERTUNE_NB_FOLDER"
"""Tells the notebook where runs are and what paths in the form begin at."""

_NOT_NEEDED = ["@jupyter-notebook/lab-extension", "@voila-dashboards/jupyterlab-preview"]
"""Extensions of other pages, which fail or load for nothing in this one."""

_OPENED = 60
"""Seconds after which a browser has read the page that leads it to ours."""

_HERE = Path(__file__).parent


class App(Voila):  # type: ignore[misc]
    """Voila with a token unless told otherwise, whose address can be opened as it is printed."""

    auto_token = Bool(True, allow_none=True).tag(config=True)

    def setup_template_dirs(self) -> None:
        """Let our template come first; it extends Voila's own."""
        super().setup_template_dirs()
        self.template_paths.insert(0, str(_HERE / "template"))

    def launch_browser(self) -> None:
        """Open the page with its token, which Voila leaves out."""
        # not as an argument of the browser, which others on the machine can read
        with tempfile.NamedTemporaryFile("w", suffix=".html", delete=False) as file:
            file.write(f'<meta http-equiv="refresh" content="0;url={self.display_url}">')
        page = Path(file.name)
        remove = partial(page.unlink, missing_ok=True)
        atexit.register(remove)
        IOLoop.current().call_later(_OPENED, remove)
        webbrowser.open(page.as_uri())


def serve(folder: Path, arguments: list[str]) -> None:
    """Serve the page until Ctrl-C.

    Parameters
    ----------
    folder
        Where ``runs/`` is or will be, and where paths in the form begin.
    arguments
        Voila's own.
    """
    os.environ[FOLDER] = str(folder.absolute())
    options = ["--Voila.ip=127.0.0.1", f"--VoilaConfiguration.extension_denylist={_NOT_NEEDED}"]
    App.launch_instance([*options, *arguments, str(_HERE / "app.ipynb")])
