"""The V1 sandbox backend: sandboxes with a GPU, their log and input through the API itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from modal_proto import api_pb2

from zenml_modal_nb.emulator.services.auth import ROUTER
from zenml_modal_nb.emulator.services.callers import RouterAddress
from zenml_modal_nb.emulator.services.calls import Method
from zenml_modal_nb.emulator.services.definitions import definition_of, metadata_of
from zenml_modal_nb.emulator.services.sandboxes import SandboxCalls
from zenml_modal_nb.emulator.state.apps import Apps
from zenml_modal_nb.emulator.state.credentials import Credentials
from zenml_modal_nb.emulator.state.output import Reading
from zenml_modal_nb.emulator.state.refusals import ConflictError, InvalidArgumentError
from zenml_modal_nb.emulator.state.registry import Sandboxes
from zenml_modal_nb.emulator.state.secrets import Secrets

LONGEST_ENTRY = 24  # characters; more is no position in any log


class SandboxServiceV1:
    """Create, log, standard input and router access; the rest is in `SandboxCalls`."""

    def __init__(
        self,
        calls: SandboxCalls,
        apps: Apps,
        sandboxes: Sandboxes,
        secrets: Secrets,
        credentials: Credentials,
        reading: Reading,
        router: RouterAddress,
    ) -> None:
        self._calls = calls
        self._apps = apps
        self._sandboxes = sandboxes
        self._secrets = secrets
        self._credentials = credentials
        self._reading = reading
        self._router = router

    def methods(self) -> Mapping[str, Method]:
        return {
            **self._calls.methods(),
            "SandboxCreate": self.create,
            "SandboxGetLogs": self.read_log,
            "SandboxStdinWrite": self.write,
            "TaskGetCommandRouterAccess": self.give_access,
            "ContainerReloadVolumes": self.reload_volumes,
        }

    async def create(self, request: api_pb2.SandboxCreateRequest) -> api_pb2.SandboxCreateResponse:
        """Differs: GPU, CPU, memory, region and cloud are checked or recorded, not provided (a memory limit
        is watched); a volume is a directory to which its mount path is led; buckets, tunnels, pseudo-terminals,
        probes and network restrictions are refused.
        """
        app = self._apps.deployed(request.app_id)
        definition = definition_of(1, app.id, request.definition, (), request.tags, self._secrets)
        # Shielded: a client that gives up half way leaves a whole sandbox, which its tags still find.
        sandbox = await asyncio.shield(self._sandboxes.create(definition))
        return api_pb2.SandboxCreateResponse(sandbox_id=sandbox.id, metadata=metadata_of(sandbox))

    async def read_log(self, request: api_pb2.SandboxGetLogsRequest) -> AsyncIterator[api_pb2.TaskLogsBatch]:
        """Differs: entries have no timestamps."""
        process = self._sandboxes.get(request.sandbox_id).process
        streams = {
            api_pb2.FILE_DESCRIPTOR_STDOUT: process.stdout,
            api_pb2.FILE_DESCRIPTOR_STDERR: process.stderr,
        }
        if request.file_descriptor not in streams:
            raise InvalidArgumentError("A log is read from standard output or standard error.")
        # An entry is named by the position after it, so a reader can go on where it stopped; `0-0`, with which
        # Modal's JavaScript SDK begins, is before all of them.
        entry = request.last_entry_id or "0-0"
        position, _, rest = entry.partition("-")
        if not position.isdecimal() or rest != "0" or len(entry) > LONGEST_ENTRY:
            raise InvalidArgumentError(f"This log has no entry {entry!r}.")
        deadline = asyncio.get_running_loop().time() + request.timeout
        stream = streams[request.file_descriptor]
        async for piece in stream.texts(int(position), self._reading, deadline):
            if piece is None:
                yield api_pb2.TaskLogsBatch(entry_id=entry, eof=True)
                return
            reached, text = piece
            entry = f"{reached}-0"
            item = api_pb2.TaskLogs(data=text, file_descriptor=request.file_descriptor)
            yield api_pb2.TaskLogsBatch(entry_id=entry, items=[item])

    async def write(self, request: api_pb2.SandboxStdinWriteRequest) -> api_pb2.SandboxStdinWriteResponse:
        sandbox = self._sandboxes.get(request.sandbox_id)
        await sandbox.write_message(request.index, request.input, request.eof)
        return api_pb2.SandboxStdinWriteResponse()

    async def give_access(
        self, request: api_pb2.TaskGetCommandRouterAccessRequest
    ) -> api_pb2.TaskGetCommandRouterAccessResponse:
        if not self._sandboxes.of_task(request.task_id).running:
            raise ConflictError("The sandbox has already shut down.")
        url = await self._router.url()
        return api_pb2.TaskGetCommandRouterAccessResponse(url=url, jwt=self._credentials.issue(ROUTER))

    async def reload_volumes(
        self, request: api_pb2.ContainerReloadVolumesRequest
    ) -> api_pb2.ContainerReloadVolumesResponse:
        # What SDKs before the command router call; it answers for both backends.
        await self._sandboxes.reload_volumes(self._sandboxes.of_task(request.task_id))
        return api_pb2.ContainerReloadVolumesResponse()
