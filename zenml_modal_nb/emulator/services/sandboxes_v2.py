"""The V2 sandbox backend: sandboxes without a GPU, everything after creation through the command router."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from modal_proto import api_pb2

from zenml_modal_nb.emulator.services.auth import ROUTER
from zenml_modal_nb.emulator.services.callers import RouterAddress
from zenml_modal_nb.emulator.services.calls import Method
from zenml_modal_nb.emulator.services.definitions import definition_of, metadata_of
from zenml_modal_nb.emulator.services.sandboxes import SandboxCalls
from zenml_modal_nb.emulator.state.apps import Apps
from zenml_modal_nb.emulator.state.credentials import Credentials
from zenml_modal_nb.emulator.state.refusals import InvalidArgumentError
from zenml_modal_nb.emulator.state.registry import Sandboxes
from zenml_modal_nb.emulator.state.secrets import Secrets


class SandboxServiceV2:
    """Create and router access; the rest is in `SandboxCalls`."""

    def __init__(
        self,
        calls: SandboxCalls,
        apps: Apps,
        sandboxes: Sandboxes,
        secrets: Secrets,
        credentials: Credentials,
        router: RouterAddress,
    ) -> None:
        self._calls = calls
        self._apps = apps
        self._sandboxes = sandboxes
        self._secrets = secrets
        self._credentials = credentials
        self._router = router

    def methods(self) -> Mapping[str, Method]:
        return {
            **self._calls.methods(),
            "SandboxCreateV2": self.create,
            "SandboxGetCommandRouterAccess": self.give_access,
            "SandboxSetName": self.rename,
        }

    async def create(self, request: api_pb2.SandboxCreateV2Request) -> api_pb2.SandboxCreateV2Response:
        """Differs: CPU, memory, region and cloud are checked or recorded, not provided (a memory limit is
        watched); a volume is a directory to which its mount path is led; buckets, tunnels, probes and network
        restrictions are refused.
        """
        app = self._apps.deployed(request.app_id)
        definition = definition_of(
            2, app.id, request.definition, request.secret_sources, request.tags, self._secrets
        )
        if definition.gpu:
            raise InvalidArgumentError("V2 sandboxes have no GPU.")
        url = await self._router.url()
        # Shielded: a client that gives up half way leaves a whole sandbox, which its tags still find.
        sandbox = await asyncio.shield(self._sandboxes.create(definition))
        access = api_pb2.CommandRouterAccess(url=url, jwt=self._credentials.issue(ROUTER))
        return api_pb2.SandboxCreateV2Response(
            sandbox_id=sandbox.id,
            task_id=sandbox.task_id,
            metadata=metadata_of(sandbox),
            command_router_access=access,
        )

    async def rename(self, request: api_pb2.SandboxSetNameRequest) -> api_pb2.SandboxSetNameResponse:
        self._sandboxes.rename(request.sandbox_id, request.name)
        return api_pb2.SandboxSetNameResponse()

    async def give_access(
        self, request: api_pb2.SandboxGetCommandRouterAccessRequest
    ) -> api_pb2.SandboxGetCommandRouterAccessResponse:
        # Given after the end too: the router then still serves the output.
        if request.sandbox_id:
            self._sandboxes.get(request.sandbox_id)
        else:
            self._sandboxes.of_task(request.task_id)
        return api_pb2.SandboxGetCommandRouterAccessResponse(
            url=await self._router.url(), jwt=self._credentials.issue(ROUTER)
        )
