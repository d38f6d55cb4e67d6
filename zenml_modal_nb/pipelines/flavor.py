"""The `modal_notebook` flavor: ZenML's Modal step operator, able to run without Docker and without a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ConfigDict, Field, model_validator
from zenml.config import ResourceSettings
from zenml.integrations.modal.flavors import ModalStepOperatorConfig, ModalStepOperatorSettings
from zenml.step_operators import BaseStepOperatorFlavor

from zenml_modal_nb.errors import InvalidRequestError
from zenml_modal_nb.pipelines.stack import NAME
from zenml_modal_nb.request import DEFAULT_TIMEOUT
from zenml_modal_nb.spelling import nearest

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

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, given: Any) -> Any:
        """Refuse a name that is no setting: ZenML would leave it out with a warning, and the step run without it.

        Raises:
            InvalidRequestError: not one of those that pydantic keeps, since ZenML tells of them without the name.
        """
        if isinstance(given, Mapping) and not issubclass(cls, ModalNotebookConfig):
            # ZenML makes a step's settings of those of its component too, e.g. of its token.
            for name in given:
                if name not in ModalNotebookConfig.model_fields:
                    raise InvalidRequestError(_unknown(name))
        return given


class ModalNotebookConfig(ModalNotebookSettings, ModalStepOperatorConfig):
    """Configuration of the component."""

    # As any component's: what a newer version of this package has put there is no setting of a step.
    model_config = ConfigDict(extra="ignore")

    @property
    def is_remote(self) -> bool:
        """False: a detached sandbox never talks to ZenML, so a local database serves."""
        return False


def _unknown(name: str) -> str:
    known = sorted(ModalNotebookSettings.model_fields)
    meant = nearest(name, known)
    if name in ResourceSettings.model_fields:
        advice = f"It is one of ZenML's resources: settings={{'resources': ResourceSettings({name}=...)}}."
    elif meant is not None:
        advice = f"Did you mean {meant!r}?"
    else:
        advice = f"There are: {', '.join(known)}."
    return f"Unknown setting {name!r} of a step for the step operator flavor '{NAME}'. {advice} Nothing was created."


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
