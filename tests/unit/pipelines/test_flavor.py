"""The `modal_notebook` flavor: ZenML's Modal step operator without Docker and without a server."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.usefixtures("own_zenml")


def test_the_component_runs_with_a_local_zenml() -> None:
    from zenml_modal_nb.pipelines.flavor import ModalNotebookConfig, ModalNotebookFlavor

    assert not ModalNotebookConfig().is_remote
    assert not ModalNotebookConfig().is_local
    assert ModalNotebookFlavor().name == "modal_notebook"


def test_a_run_has_an_hour_unless_told_otherwise() -> None:
    from zenml_modal_nb.pipelines.flavor import ModalNotebookSettings

    assert ModalNotebookSettings().timeout == 3600
    assert ModalNotebookSettings(timeout=60).timeout == 60


@pytest.mark.parametrize("timeout", [0, -1, 86401])
def test_a_timeout_that_modal_does_not_offer_is_refused(timeout: int) -> None:
    from zenml_modal_nb.pipelines.flavor import ModalNotebookSettings

    with pytest.raises(ValueError, match="timeout"):
        ModalNotebookSettings(timeout=timeout)


def test_a_workspace_may_be_set_for_the_component_and_for_a_step() -> None:
    from zenml_modal_nb.pipelines.flavor import ModalNotebookConfig, ModalNotebookSettings

    assert ModalNotebookConfig(workspace="acme").workspace == "acme"
    assert ModalNotebookSettings(workspace="acme").workspace == "acme"
    assert ModalNotebookSettings().workspace is None


def test_the_registered_component_is_ours_and_needs_nothing_else() -> None:
    from zenml.client import Client
    from zenml.stack import Stack

    from zenml_modal_nb.pipelines import stack
    from zenml_modal_nb.pipelines.flavor import ModalNotebookSettings
    from zenml_modal_nb.pipelines.operator import ModalNotebookStepOperator

    whole = Stack.from_model(stack.own_stack())
    operator = whole.step_operator
    assert isinstance(operator, ModalNotebookStepOperator)
    assert operator.validator is None
    assert operator.settings_class is ModalNotebookSettings
    assert operator.config.timeout == 3600
    whole.validate()
    assert Client().get_flavor(stack.NAME).source == "zenml_modal_nb.pipelines.flavor.ModalNotebookFlavor"


def test_a_step_of_a_kernel_that_has_ended_is_refused_with_what_to_do() -> None:
    from zenml.config.source import Source
    from zenml.exceptions import StackComponentInterfaceError

    from zenml_modal_nb.pipelines import defined_step

    gone = Source.from_import_path("extracted_notebook_code_of_another_kernel.train")
    with pytest.raises(StackComponentInterfaceError, match=r"cannot be loaded.*--define.*run that cell"):
        defined_step.find(gone)


def test_a_token_needs_both_of_its_halves() -> None:
    from zenml_modal_nb.pipelines.flavor import ModalNotebookConfig

    with pytest.raises(ValueError, match="must be configured together"):
        ModalNotebookConfig(token_id="ak-1")
    assert ModalNotebookConfig(token_id="ak-1", token_secret="as-1").token_id == "ak-1"


@pytest.mark.parametrize(
    ("memory", "mib"),
    [("32GiB", 32768), ("32GB", 32000), ("4096MiB", 4096), ("512MB", 512), (None, None)],
)
def test_memory_reaches_modal_in_the_units_it_was_asked_in(memory: str | None, mib: int | None) -> None:
    from zenml.config import ResourceSettings

    from zenml_modal_nb.pipelines.record import memory_mib

    assert memory_mib(ResourceSettings(memory=memory)) == mib
