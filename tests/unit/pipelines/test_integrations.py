"""ZenML's integrations: a pipeline of the user's gets all that are installed, a cell's run imports none in vain."""

from __future__ import annotations

from pathlib import Path

from fresh import run_fresh


def test_integrations_are_asked_again_only_when_what_is_installed_has_changed(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from zenml.integrations.integration import Integration
from zenml.integrations.registry import integration_registry
from zenml_modal_nb.pipelines import integrations

asked = []
look = Integration.check_installation.__func__
Integration.check_installation = classmethod(lambda cls: asked.append(cls) or look(cls))
integrations.remember()
integration_registry.activate_integrations()
first = len(asked)
integration_registry.activate_integrations()
second = len(asked)
sys.path.append("more")
Path("more/some-1.0.dist-info").mkdir(parents=True)
integration_registry.activate_integrations()
print(first > 0, second == first, len(asked) > second)
"""
    assert run_fresh(program, tmp_path).stdout.split() == ["True", "True", "True"]


def test_a_cells_run_activates_what_is_imported_and_again_when_more_is(tmp_path: Path) -> None:
    program = """
import sys
from zenml.integrations.registry import integration_registry
from zenml.materializers.materializer_registry import materializer_registry
from zenml_modal_nb.pipelines import integrations, warmup

warmup.wait()
with integrations.sparing():
    integration_registry.activate_integrations()
    integrations.activate_imported()
print("sklearn" in sys.modules)
from sklearn.linear_model import LinearRegression
integrations.activate_imported()
print(materializer_registry[LinearRegression].__name__)
"""
    assert run_fresh(program, tmp_path).stdout.split() == ["False", "SklearnMaterializer"]


def test_a_pipeline_of_the_users_own_activates_all_that_is_installed(tmp_path: Path) -> None:
    program = """
import sys
from zenml.integrations.registry import integration_registry
from zenml_modal_nb.pipelines import integrations, warmup

warmup.wait()
with integrations.sparing():
    integration_registry.activate_integrations()
integration_registry.activate_integrations()
print("sklearn" in sys.modules)
"""
    assert run_fresh(program, tmp_path).stdout.split() == ["True"]
