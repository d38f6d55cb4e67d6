"""Programs in processes of their own, with a home and a ZenML of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run_fresh(program: str, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "ZENML_ANALYTICS_OPT_IN": "false"}
    environment["ZENML_CONFIG_PATH"] = str(home / "zenml")
    if "PYTHONPATH" in os.environ:
        environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done
