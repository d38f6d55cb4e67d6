"""What ZenML loads of this package inside the sandbox of a connected step, whose image has ZenML and Modal only."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROBE = """
import sys
import modal, zenml.client, zenml.integrations.modal.step_operators, zenml.orchestrators.step_runner
before = {name.partition(".")[0] for name in sys.modules}
import zenml_modal_nb.pipelines.operator, zenml_modal_nb.pipelines.pickled, zenml_modal_nb.pipelines.step_body
after = {name.partition(".")[0] for name in sys.modules}
print(sorted(after - before - set(sys.stdlib_module_names)))
"""


@pytest.mark.usefixtures("own_zenml")
def test_the_operator_and_the_body_of_a_step_import_nothing_else() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=False)
    assert done.stdout.strip().splitlines()[-1:] == ["['zenml_modal_nb']"], done.stderr
