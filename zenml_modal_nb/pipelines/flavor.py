"""The `modal_notebook` flavor: ZenML's Modal step operator, able to run without Docker and without a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field
from zenml.integrations.modal.flavors import ModalStepOperatorConfig, ModalStepOperatorSettings
from zenml.step_operators import BaseStepOperatorFlavor

from zenml_modal_nb.pipelines.stack import NAME
from zenml_modal_nb.request import DEFAULT_TIMEOUT

if TYPE_CHECKING:
    from zenml_modal_nb.pipelines.operator import ModalNotebookStepOperator


class ModalNotebookSettings(ModalStepOperatorSettings):
    """Settings of one step: ZenML's own and `workspace`, a guard against running in the wrong one."""

    timeout: int = Field(DEFAULT_TIMEOUT, ge=1, le=86400, description="Maximum execution time in seconds.")
    workspace: str | None = Field(None, description="Modal workspace the token must belong to.")
    execution: Literal["auto", "detached", "connected"] = Field(
        "auto",
        description="Whether the sandbox runs ZenML's own entrypoint (connected), this process records what comes back "
        "(detached), or the stack decides: connected where server and artifact store are remote.",
    )


class ModalNotebookConfig(ModalNotebookSettings, ModalStepOperatorConfig):
    """Configuration of the component."""

    @property
    def is_remote(self) -> bool:
        """False: a detached sandbox never talks to ZenML, so a local database serves."""
        return False


class ModalNotebookFlavor(BaseStepOperatorFlavor):
    """Registered in the user's ZenML by `stack.own_stack`."""

    @property
    def name(self) -> str:
        """The flavor's name."""
        return NAME

    @property
    def config_class(self) -> type[ModalNotebookConfig]:
        """The component's configuration."""
        return ModalNotebookConfig

    @property
    def implementation_class(self) -> type[ModalNotebookStepOperator]:
        """The step operator."""
        from zenml_modal_nb.pipelines.operator import ModalNotebookStepOperator

        return ModalNotebookStepOperator
