"""Who calls, and in which workspace and environment."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.empty_pb2 import Empty
from grpclib.events import RecvRequest
from modal_proto import api_pb2

from zenml_modal_nb.emulator.services.calls import Method, refusal
from zenml_modal_nb.emulator.settings import ServerSettings
from zenml_modal_nb.emulator.state.credentials import Credentials
from zenml_modal_nb.emulator.state.refusals import UnauthenticatedError
from zenml_modal_nb.emulator.state.resources import RATES

BUILDER_VERSION = "2025.06"  # of images; known to every SDK since 1.0
CONTROL = "control"  # audience of the token that V2 calls carry
ROUTER = "router"  # audience of the token for the command router

_ROUTER_SERVICE = "/modal.task_command_router.TaskCommandRouter/"


class Guard:
    """Checks every call before its message is read."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    async def check(self, event: RecvRequest) -> None:
        """Refuse the call unless it carries this server's token or, for the command router, one issued here."""
        metadata = {name: str(value) for name, value in event.metadata.items()}
        try:
            if event.method_name.startswith(_ROUTER_SERVICE):
                scheme, _, token = metadata.get("authorization", "").partition(" ")
                if scheme != "Bearer":
                    raise UnauthenticatedError("The command router needs a bearer token.")
                self._credentials.check_issued(token, ROUTER)
            else:
                token_id, secret = (
                    metadata.get("x-modal-token-id", ""),
                    metadata.get("x-modal-token-secret", ""),
                )
                self._credentials.check_token(token_id, secret)
                if issued := metadata.get("x-modal-auth-token"):
                    self._credentials.check_issued(issued, CONTROL)
        except UnauthenticatedError as error:
            raise refusal(error) from error


class AuthService:
    """Greeting, tokens, workspace and prices."""

    def __init__(self, settings: ServerSettings, credentials: Credentials) -> None:
        self._settings = settings
        self._credentials = credentials

    def methods(self) -> Mapping[str, Method]:
        return {
            "ClientHello": self.greet,
            "AuthTokenGet": self.issue_token,
            "WorkspaceNameLookup": self.name_workspace,
            "WorkspaceSettings": self.describe_workspace,
            "WorkspaceBillingRates": self.price,
        }

    async def greet(self, _: Empty) -> api_pb2.ClientHelloResponse:
        return api_pb2.ClientHelloResponse(image_builder_version=BUILDER_VERSION)

    async def issue_token(self, _: api_pb2.AuthTokenGetRequest) -> api_pb2.AuthTokenGetResponse:
        return api_pb2.AuthTokenGetResponse(token=self._credentials.issue(CONTROL))

    async def name_workspace(self, _: Empty) -> api_pb2.WorkspaceNameLookupResponse:
        name = self._settings.workspace
        return api_pb2.WorkspaceNameLookupResponse(workspace_name=name, username=name)

    async def describe_workspace(self, _: Empty) -> api_pb2.WorkspaceSettingsResponse:
        return api_pb2.WorkspaceSettingsResponse(
            default_environment_name=self._settings.environment, image_builder_version=BUILDER_VERSION
        )

    async def price(self, _: api_pb2.WorkspaceBillingRatesRequest) -> api_pb2.WorkspaceBillingRatesResponse:
        """Differs: prices are a snapshot of November 2026; only what sandboxes use is priced."""
        formatted = "\n".join(f"{name}: {rate}" for name, rate in RATES.items())
        return api_pb2.WorkspaceBillingRatesResponse(rates=RATES, formatted=formatted)
