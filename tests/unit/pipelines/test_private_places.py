"""The places inside ZenML that we lean on and that are not its public interface.

When one of these fails, ZenML has changed: look at `pipelines/scope.py` and `pipelines/recording.py` before anything
else, then at the version range in pyproject.toml.
"""

from __future__ import annotations

import inspect
import threading

import pytest

pytestmark = pytest.mark.usefixtures("own_zenml")

MOVED = "ZenML has moved or changed {}; see the module's docstring for what it is used for."


def parameters(function: object) -> list[str]:
    return list(inspect.signature(function).parameters)  # type: ignore[arg-type]


def test_the_active_stack_is_a_property_of_the_client_that_every_look_up_goes_through() -> None:
    from zenml.client import Client

    place = vars(Client).get("active_stack_model")
    assert isinstance(place, property), MOVED.format("Client.active_stack_model (scope.using)")
    assert place.fset is None, MOVED.format("Client.active_stack_model (scope.using)")
    assert parameters(place.fget) == ["self"], MOVED.format("Client.active_stack_model (scope.using)")
    source = inspect.getsource(Client.active_stack.fget)
    assert "self.active_stack_model" in source, MOVED.format("Client.active_stack (scope.using)")


def test_the_source_root_is_looked_up_by_a_function_of_the_module() -> None:
    from zenml.utils import source_utils

    assert parameters(source_utils.get_source_root) == [], MOVED.format("get_source_root (scope.root_here)")
    users = [
        name
        for name, function in inspect.getmembers(source_utils, inspect.isfunction)
        if "get_source_root()" in inspect.getsource(function) and name != "get_source_root"
    ]
    assert users, MOVED.format("the use of get_source_root by its module's name (scope.root_here)")


def test_the_distribution_of_a_module_is_looked_up_by_a_function_of_the_module() -> None:
    from zenml.utils import source_utils

    look_up = source_utils._get_package_for_module
    assert parameters(look_up) == ["module_name"], MOVED.format("_get_package_for_module (scope)")


def test_a_pipeline_activates_integrations_by_a_method_of_their_registry() -> None:
    from zenml.integrations.registry import IntegrationRegistry
    from zenml.pipelines.pipeline_definition import Pipeline

    assert parameters(IntegrationRegistry.activate_integrations) == ["self"], MOVED.format(
        "IntegrationRegistry.activate_integrations (integrations.remember)"
    )
    source = inspect.getsource(Pipeline._compile)
    assert "integration_registry.activate_integrations()" in source, MOVED.format(
        "its call by Pipeline._compile (integrations.remember)"
    )


def test_a_run_lists_the_installed_packages_by_a_static_method_of_the_environment() -> None:
    from zenml import environment

    place = vars(environment.Environment).get("get_python_packages")
    assert isinstance(place, staticmethod), MOVED.format("get_python_packages (scope.remember_package_list)")
    assert parameters(place.__func__) == [], MOVED.format("get_python_packages (scope.remember_package_list)")
    source = inspect.getsource(environment.get_run_environment_dict)
    assert "Environment.get_python_packages()" in source, MOVED.format(
        "its call by get_run_environment_dict (scope.remember_package_list)"
    )


def test_the_local_orchestrator_sets_variables_by_a_name_of_its_module() -> None:
    from zenml.orchestrators.local import local_orchestrator

    assert hasattr(local_orchestrator, "temporary_environment"), MOVED.format("temporary_environment (scope)")
    source = inspect.getsource(local_orchestrator.LocalOrchestrator)
    assert "temporary_environment(" in source, MOVED.format("temporary_environment (scope)")


def test_the_step_runner_loads_its_step_and_parses_inputs_in_methods_of_its_own() -> None:
    from zenml.orchestrators.step_runner import StepRunner

    assert parameters(StepRunner._load_step) == ["self"], MOVED.format("StepRunner._load_step (recording)")
    assert parameters(StepRunner._parse_inputs)[:3] == ["self", "signature", "input_artifacts"], MOVED.format(
        "StepRunner._parse_inputs (recording)"
    )
    source = inspect.getsource(StepRunner)
    assert "self._load_step()" in source, MOVED.format("the call of StepRunner._load_step (recording)")
    assert "self._parse_inputs(" in source, MOVED.format("the call of StepRunner._parse_inputs (recording)")
    assert "self._store_output_artifacts(" in source, MOVED.format("the storing of outputs (recording)")
    assert ".call_entrypoint" in source, MOVED.format("the call of the step's body (recording)")


def test_the_step_runner_is_run_with_what_the_record_gives_it() -> None:
    from zenml.orchestrators.step_runner import StepRunner

    assert parameters(StepRunner.run)[1:] == [
        "pipeline_run",
        "step_run",
        "input_artifacts",
        "output_artifact_uris",
        "step_run_info",
    ], MOVED.format("StepRunner.run (recording)")


def test_the_recorder_takes_the_place_of_what_it_overrides() -> None:
    from zenml.orchestrators.step_runner import StepRunner

    from zenml_modal_nb.pipelines.recording import _Recorder

    for name in ("_load_step", "_parse_inputs", "_store_output_artifacts"):
        ours, theirs = getattr(_Recorder, name), getattr(StepRunner, name)
        assert parameters(ours) == parameters(theirs), MOVED.format(f"StepRunner.{name} (recording)")


def test_an_output_of_any_type_is_stored_by_the_materializer_of_its_values_type() -> None:
    from zenml.materializers.materializer_registry import materializer_registry
    from zenml.orchestrators.step_runner import StepRunner

    from zenml_modal_nb.pipelines.pickled import PickledValue, PickledValueMaterializer

    assert materializer_registry[PickledValue] is PickledValueMaterializer
    source = inspect.getsource(StepRunner._store_output_artifacts)
    assert "materializer_registry[data_type]" in source, MOVED.format(
        "the choice of a materializer (artifacts)"
    )
    assert "for output_name, return_value in output_data.items()" in source, MOVED.format(
        "the outputs that StepRunner stores (recording)"
    )


def test_the_materializers_whose_ways_we_know_have_their_names() -> None:
    from zenml import materializers

    for kind in ("BuiltIn", "Bytes", "BuiltInContainer", "Path", "Dataclass", "Pydantic", "Cloudpickle"):
        name = f"{kind}Materializer"
        assert hasattr(materializers, name), MOVED.format(f"{name} (restorable)")


def test_zenmls_modal_operator_submits_creates_and_waits_by_functions_of_its_own() -> None:
    from zenml.integrations.modal import sandbox_utils
    from zenml.integrations.modal.step_operators import ModalStepOperator, modal_step_operator

    assert parameters(ModalStepOperator.submit) == ["self", "info", "entrypoint_command", "environment"], (
        MOVED.format("ModalStepOperator.submit (connected.dispatch)")
    )
    assert parameters(ModalStepOperator.wait) == ["self", "step_run"], MOVED.format(
        "ModalStepOperator.wait (connected.dispatch)"
    )
    assert "sandbox_utils.create_modal_sandbox(" in inspect.getsource(modal_step_operator), MOVED.format(
        "its call of create_modal_sandbox (connected.dispatch)"
    )
    asked, *given = parameters(sandbox_utils.create_modal_sandbox)
    assert asked == "entrypoint_command", MOVED.format("create_modal_sandbox (connected.dispatch)")
    assert given == parameters(sandbox_utils.build_sandbox_create_kwargs), MOVED.format(
        "build_sandbox_create_kwargs, which takes what create_modal_sandbox does (connected.dispatch)"
    )


def test_hooks_of_a_step_are_called_by_one_method_of_its_runner() -> None:
    from zenml.orchestrators.step_runner import StepRunner

    assert parameters(StepRunner._fire_step_hook) == [
        "self", "hook_source", "hook_type", "step_environment", "optional_args",
    ], MOVED.format("StepRunner._fire_step_hook (recording)")  # fmt: skip
    assert "HookType.STEP_START" in inspect.getsource(StepRunner.run), MOVED.format(
        "the start hook (recording)"
    )


def test_a_step_is_called_with_what_its_annotations_make_of_its_arguments() -> None:
    from zenml.orchestrators.step_runner import StepRunner
    from zenml.steps import BaseStep
    from zenml.steps.utils import get_resolved_signature
    from zenml.utils import pydantic_utils

    assert parameters(get_resolved_signature) == ["func"], MOVED.format("get_resolved_signature (arguments)")
    runs = inspect.getsource(StepRunner.run)
    assert "signature=resolved_signature" in runs, MOVED.format("the signature of the arguments (arguments)")
    validates = inspect.getsource(BaseStep.call_entrypoint)
    assert "pydantic_utils.validate_function_args(" in validates, MOVED.format(
        "BaseStep.call_entrypoint (arguments)"
    )
    assert parameters(pydantic_utils.validate_function_args)[:2] == ["__func", "__config"], MOVED.format(
        "validate_function_args (arguments)"
    )


def test_the_runner_of_dynamic_pipelines_drains_by_a_method_that_is_told_why() -> None:
    from zenml.execution.pipeline.dynamic.runner import DynamicPipelineRunner as Runner

    moved = MOVED.format("DynamicPipelineRunner (submissions.watch)")
    assert parameters(Runner.run_pipeline) == ["self"], moved
    assert parameters(Runner._abort_and_drain) == ["self", "exception"], moved
    finalizing = inspect.getsource(Runner._run_entrypoint_and_finalize)
    assert "except BaseException as e:" in finalizing, moved
    assert "self._abort_and_drain(exception=e)" in finalizing, moved
    assert "self._monitoring_event.wait(" in inspect.getsource(Runner._monitoring_loop), moved


def test_python_calls_what_is_to_run_before_threads_are_joined_at_its_exit() -> None:
    source = inspect.getsource(threading._shutdown)  # type: ignore[attr-defined]
    assert parameters(threading._register_atexit)[0] == "func"  # type: ignore[attr-defined]
    assert "_threading_atexits" in source
