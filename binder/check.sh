#!/usr/bin/env bash
# Does by hand what Binder does: installs its requirements in a new environment, and the package from
# the repository's root, and executes the quickstart there. Prints the peak memory of kernel and
# training process together, which must stay below 1.5 GB (mybinder.org ends a session at 2). What is
# pinned needs Python 3.11.5 or a newer 3.11.
#   binder/check.sh [python]
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${1:-python3}" -m venv "$folder/venv"
. "$folder/venv/bin/activate"
pip install -q -r binder/requirements.txt
bash binder/postBuild
cd "$folder"
python - <<'PYTHON'
import subprocess
import sys
import time

import psutil

start = time.monotonic()
run = subprocess.Popen([sys.executable, "-m", "mattertune_nb.cli", "lab", "--headless"])
this, peak = psutil.Process(run.pid), 0.0
while run.poll() is None:
    total = 0.0
    for process in this.children(recursive=True):
        try:
            total += process.memory_full_info().pss / 1e9
        except psutil.Error:
            continue
    peak = max(peak, total)
    time.sleep(0.5)
print(f"quickstart: {time.monotonic() - start:.0f} s, at most {peak:.2f} GB in kernel and training")
sys.exit(run.returncode or peak > 1.5)
PYTHON
ls -l 01_quickstart.ipynb 01_quickstart.html
