"""Settings of steps that our flavor does not know, or that Modal does not: refused before anything is created."""

from __future__ import annotations

import time

import pytest
from frontend import Home
from launches import launched
from test_detached_steps import facts, run, state

MISSPELT = """
from zenml import pipeline, step
from zenml.client import Client
from zenml.config import ResourceSettings
from zenml.enums import StackComponentType as Kind
from zenml.integrations.modal.flavors import ModalStepOperatorSettings
from zenml_modal_nb.pipelines.flavor import ModalNotebookSettings
from zenml_modal_nb.pipelines.stack import own_stack

def before() -> int:
    print("an earlier step has run")
    return 1

def one(n: int) -> int:
    return n

@step
def first() -> int:
    return before()

@step(step_operator="gpus", settings={"step_operator": {"gpus": "A100"}})
def wrong(n: int) -> int:
    return n

@pipeline(enable_cache=False, dynamic=True)
def dynamic():
    wrong(first())

def told(on_step=None, on_pipeline=None):
    try:
        if on_step is None:
            return dynamic().status.value
        called = step(step_operator="gpus", settings=on_step)(one)

        @pipeline(enable_cache=False, settings=on_pipeline, execution_mode="fail_fast")
        def works():
            called(first())

        return works().status.value
    except Exception as error:
        return f"{type(error).__name__}: {error}"

def made(**options):
    try:
        return repr(ModalNotebookSettings(**options))
    except Exception as error:
        return f"{type(error).__name__}: {error}"

if __name__ == "__main__":
    own_stack()
    client = Client()
    # Settings of the component itself are ZenML's to check, its token's among them.
    client.create_stack_component(
        "gpus", "modal_notebook", Kind.STEP_OPERATOR, configuration={"region": "us-west", "timeout": 700})
    client.create_stack("misspelt", {
        Kind.ORCHESTRATOR: "default", Kind.ARTIFACT_STORE: "default", Kind.STEP_OPERATOR: "gpus"})
    client.activate_stack("misspelt")
    print("FACTS", repr({
        "step": told({"step_operator": {"gpus": "A100"}}),
        "by name": told({"step_operator:gpus": {"regoin": "us"}}),
        "pipeline": told({}, {"step_operator": {"time_out": 60}}),
        "dynamic": told(),
        "stock": told({"step_operator": ModalStepOperatorSettings(gpu="T4", gpus=3)}),
        "made": made(gpu="T4", gpus=3),
        "resources": made(gpu="T4", gpu_count=3),
        "far": made(budget=5),
        "merged": told({"step_operator": {"cloud": "aws"}}, {"step_operator": {"gpu": "T4"}}),
    }))
"""
# As a process that has never made the component reads it, and starts from what was recorded.
LATER = """
from zenml.client import Client

if __name__ == "__main__":
    client = Client()
    step = client.list_pipeline_runs(pipeline="works", hydrate=True)[-1].steps["one"]
    settings = client.active_stack.step_operator.get_settings(step)
    print("FACTS", repr([step.status.value, settings.model_dump(exclude_unset=True), settings.model_extra]))
"""


@pytest.mark.slow
def test_a_misspelt_setting_is_refused_by_name_and_settings_of_several_levels_hold_together(
    home: Home,
) -> None:
    before = time.time()
    code, printed = run(home, "misspelt", main=MISSPELT)
    assert code == 0, printed
    ended = facts(printed)
    assert printed.count("an earlier step has run") == 2, printed  # of `dynamic` and `merged`
    assert ended.pop("merged") == "completed"
    (sandbox,) = launched(state(home), before)
    assert (sandbox.gpu, sandbox.cloud, sandbox.regions, sandbox.timeout) == (
        "T4:1",
        "aws",
        ("us-west",),
        700,
    )
    for name, wrong, meant in (
        ("step", "gpus", "Did you mean 'gpu'?"),
        ("by name", "regoin", "Did you mean 'region'?"),
        ("pipeline", "time_out", "Did you mean 'timeout'?"),
        ("dynamic", "gpus", "Did you mean 'gpu'?"),
        ("stock", "gpus", "Did you mean 'gpu'?"),
        ("made", "gpus", "Did you mean 'gpu'?"),
        ("resources", "gpu_count", "settings={'resources': ResourceSettings(gpu_count=...)}"),
        ("far", "budget", "There are: cloud, execution, gpu, modal_environment, region, timeout, workspace."),
    ):
        assert f"InvalidRequestError: Unknown setting '{wrong}' of a step" in ended[name], ended[name]
        assert meant in ended[name]
    code, printed = run(home, "misspelt_later", main=LATER)
    assert code == 0, printed
    status, settings, extra = facts(printed)
    assert status == "completed"
    assert (settings["gpu"], settings["cloud"], settings["region"], extra) == ("T4", "aws", "us-west", {})


PLACES = """
from zenml import pipeline, step
from zenml.client import Client
from zenml.config import ResourceSettings
from zenml_modal_nb.pipelines.stack import own_stack

def before() -> int:
    print("an earlier step has run")
    return 1

def one(n: int) -> int:
    return n

@step
def first() -> int:
    return before()

@step(step_operator="modal_notebook", settings={"step_operator": {"region": "us-esat"}})
def wrong(n: int) -> int:
    return n

@pipeline(enable_cache=False, dynamic=True)
def dynamic():
    wrong(first())

def told(operator, **resources):
    settings = {"step_operator": operator or {}, "resources": ResourceSettings(**resources)}
    called = step(step_operator="modal_notebook", settings=settings)(one)

    @pipeline(enable_cache=False, execution_mode="fail_fast")
    def works():
        called(first())
    try:
        return (works if operator else dynamic)().status.value
    except Exception as error:
        return f"{type(error).__name__}: {error}"

if __name__ == "__main__":
    own_stack()
    Client().activate_stack("modal_notebook")
    print("FACTS", repr({
        "region": told({"region": "us-esat"}),
        "gpu": told({"gpu": "A1OO"}),
        "counted": told({"gpu": "A1OO:2"}),
        "cloud": told({"cloud": "amazon"}),
        "count": told({"gpu": "T4"}, gpu_count=9),
        "dynamic": told(None),
        "right": told({"gpu": "a100-80gb", "region": "us-east-1"}),
    }))
"""


@pytest.mark.slow
def test_a_misspelt_gpu_region_or_cloud_of_a_step_is_refused_as_on_a_magics_line(home: Home) -> None:
    before = time.time()
    code, printed = run(home, "places", main=PLACES)
    assert code == 0, printed
    ended = facts(printed)
    assert ended.pop("right") == "completed"
    assert "The step 'wrong': " in ended["dynamic"]
    for name, words in {
        "region": "Region 'us-esat' is unknown to Modal. Did you mean 'us-east'?",
        "gpu": "GPU 'A1OO' is unknown to Modal. Did you mean 'A100'?",
        "counted": "GPU 'A1OO' is unknown to Modal. Did you mean 'A100'?",
        "cloud": "Cloud 'amazon' is unknown to Modal. Did you mean 'aws'?",
        "count": "asks for 9 GPUs of type T4, and one Modal sandbox has 8 of them at most",
        "dynamic": "Region 'us-esat' is unknown to Modal. Did you mean 'us-east'?",
    }.items():
        assert "StackComponentInterfaceError: The step '" in ended[name], ended[name]
        assert words in ended[name]
        assert "Nothing was created." in ended[name]
    # A static pipeline is read whole before its first step; a dynamic one comes to a step when it is there.
    assert printed.count("an earlier step has run") == 2, printed
    (sandbox,) = launched(state(home), before)
    assert (sandbox.gpu, sandbox.regions) == ("A100-80GB:1", ("us-east-1",))
