"""What the README shows works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

from frontend import Home, Kernel

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
LOAD, CELL, RECORD, LOG, TESTS = re.findall(r"^```python\n(.*?)^```", README, re.M | re.S)

GIVEN = """
class Model:
    def score(self, X, y):
        return 1.0
def train(X, y):
    print("trained")
    return Model()
X = y = X_test = y_test = [1, 2]
"""


def test_the_cell_runs_and_its_record_and_log_are_found(new_kernel: Kernel) -> None:
    new_kernel.run(LOAD)
    new_kernel.run(GIVEN)
    assert new_kernel.run(CELL).results == ["1.0"]
    (metadata,) = new_kernel.run(RECORD).results
    assert "sb-" in metadata
    assert "trained\n" in new_kernel.run(LOG).stdout


def test_modal_code_can_be_tested_against_the_local_modal_api(home: Home) -> None:
    (home.path / "my_modal_script.py").write_text(
        "import modal\n"
        "app = modal.App.lookup('mine', create_if_missing=True)\n"
        "sandbox = modal.Sandbox.create('echo', 'from a sandbox', app=app)\n"
        "print(sandbox.stdout.read())\n"
    )
    done = home.python("-c", TESTS)
    assert done.returncode == 0, done.stderr
    assert "from a sandbox" in done.stdout
