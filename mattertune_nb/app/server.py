"""Voila serving the package's own notebook: on this machine only, with a token, in the reader's theme."""

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
"""Tells the notebook the folder of the runs, to which paths in the form are relative."""

_NOT_NEEDED = ["@jupyter-notebook/lab-extension", "@voila-dashboards/jupyterlab-preview"]
"""Extensions for other pages, which fail or load in vain on this one."""

_OPENED = 60
"""Seconds after which a browser has certainly read the page that redirects it to ours."""

_HERE = Path(__file__).parent


class App(Voila):  # type: ignore[misc]
    """Voila with a token by default, whose printed address can be opened directly."""

    auto_token = Bool(True, allow_none=True).tag(config=True)

    def setup_template_dirs(self) -> None:
        """Put our template first; it extends Voila's own."""
        super().setup_template_dirs()
        self.template_paths.insert(0, str(_HERE / "template"))

    def launch_browser(self) -> None:
        """Open the page with its token, which Voila omits."""
        # not as an argument of the browser, which other users of the machine can read
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
        Folder that contains or will contain ``runs/``; paths in the form are relative to it.
    arguments
        Command-line arguments of Voila.
    """
    os.environ[FOLDER] = str(folder.absolute())
    options = ["--Voila.ip=127.0.0.1", f"--VoilaConfiguration.extension_denylist={_NOT_NEEDED}"]
    App.launch_instance([*options, *arguments, str(_HERE / "app.ipynb")])
