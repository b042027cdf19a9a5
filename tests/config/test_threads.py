"""Threads that wait leave the processor to others, unless a person has chosen otherwise."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mattertune_nb.config.threads import wait_without_spinning

CHOSEN = ({"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "ACTIVE"})


@pytest.mark.parametrize("chosen", CHOSEN)
def test_a_users_choice_stays(chosen):
    environment = dict(chosen)
    wait_without_spinning(environment)
    assert environment == chosen


def test_the_command_line_waits_so_before_torch_is_loaded():
    code = (
        "import os, sys; sys.argv[1:] = ['--help']\n"
        "from mattertune_nb.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit:\n    print(os.environ['GOMP_SPINCOUNT'], 'torch' in sys.modules)"
    )
    unset = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    said = subprocess.run(
        [sys.executable, "-c", code], env=unset, capture_output=True, text=True, check=True
    )
    assert said.stdout.splitlines()[-1] == "3000 False"
