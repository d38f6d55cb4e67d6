"""The command router: a sandbox's own streams (V2), and commands run inside it, file operations included."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from modal_proto import task_command_router_pb2 as pb2

from zenml_modal_nb.emulator.services.calls import Method
from zenml_modal_nb.emulator.services.definitions import variables_of
from zenml_modal_nb.emulator.state.commands import Order
from zenml_modal_nb.emulator.state.output import Reading
from zenml_modal_nb.emulator.state.refusals import InvalidArgumentError, UnsupportedError
from zenml_modal_nb.emulator.state.registry import Sandboxes
from zenml_modal_nb.emulator.state.sandboxes import Job
from zenml_modal_nb.emulator.state.secrets import Secrets


class RouterService:
    """The calls of Modal's TaskCommandRouter; a task is a sandbox, a command in it has its client's ID."""

    def __init__(self, sandboxes: Sandboxes, secrets: Secrets, reading: Reading) -> None:
        self._sandboxes = sandboxes
        self._secrets = secrets
        self._reading = reading

    def methods(self) -> Mapping[str, Method]:
        return {
            "SandboxStdioReadV2": self.read_sandbox,
            "SandboxStdinWriteV2": self.write_sandbox,
            "TaskExecStart": self.start,
            "TaskExecStdioRead": self.read,
            "TaskExecStdinWrite": self.write,
            "TaskExecStdinWriteStream": self.stream,
            "TaskExecStdinStatus": self.describe_input,
            "TaskExecPoll": self.poll,
            "TaskExecWait": self.wait,
            "TaskReloadVolumes": self.reload_volumes,
        }

    async def read_sandbox(
        self, request: pb2.SandboxStdioReadV2Request
    ) -> AsyncIterator[pb2.SandboxStdioReadV2Response]:
        process = self._sandboxes.of_task(request.task_id).process
        # The router counts from 0: standard output, standard error.
        stream = process.stderr if request.file_descriptor else process.stdout
        async for position, data in stream.chunks(request.offset, self._reading):
            yield pb2.SandboxStdioReadV2Response(data=data, starting_offset=position)

    async def write_sandbox(self, request: pb2.SandboxStdinWriteV2Request) -> pb2.SandboxStdinWriteV2Response:
        sandbox = self._sandboxes.of_task(request.task_id)
        await sandbox.write_stdin(request.offset, request.data, request.eof)
        return pb2.SandboxStdinWriteV2Response()

    async def start(self, request: pb2.TaskExecStartRequest) -> pb2.TaskExecStartResponse:
        """Differs: pseudo-terminals and sidecars are refused; commands and the filesystem API read and write the
        host's absolute paths with the user's rights, also outside of the sandbox's and the state directory.
        """
        if request.HasField("pty_info"):
            raise UnsupportedError("The local Modal API has no pseudo-terminals. Run this on Modal.")
        if request.container_id:
            raise UnsupportedError("The local Modal API has no sidecar containers. Run this on Modal.")
        order = Order(
            tuple(request.command_args),
            variables_of(request.secret_sources, self._secrets),
            request.workdir,
            request.timeout_secs or None,
            discard_stdout=request.stdout_config == pb2.TASK_EXEC_STDOUT_CONFIG_DEVNULL,
            discard_stderr=request.stderr_config == pb2.TASK_EXEC_STDERR_CONFIG_DEVNULL,
            merge_stderr=request.stderr_config == pb2.TASK_EXEC_STDERR_CONFIG_STDOUT,
        )
        sandbox = self._sandboxes.of_task(request.task_id)
        await self._sandboxes.commands.run(sandbox, request.exec_id, order)
        return pb2.TaskExecStartResponse()

    async def read(
        self, request: pb2.TaskExecStdioReadRequest
    ) -> AsyncIterator[pb2.TaskExecStdioReadResponse]:
        job = self._job(request.task_id, request.exec_id)
        stream = job.stderr if request.file_descriptor else job.stdout
        async for _, data in stream.chunks(request.offset, self._reading):
            yield pb2.TaskExecStdioReadResponse(data=data)

    async def write(self, request: pb2.TaskExecStdinWriteRequest) -> pb2.TaskExecStdinWriteResponse:
        job = self._job(request.task_id, request.exec_id)
        await job.stdin.write(request.offset, request.data, request.eof)
        return pb2.TaskExecStdinWriteResponse()

    async def stream(
        self, requests: AsyncIterator[pb2.TaskExecStdinWriteStreamRequest]
    ) -> pb2.TaskExecStdinWriteStreamResponse:
        job: Job | None = None
        offset = 0
        async for request in requests:
            kind = request.WhichOneof("payload")
            if kind == "start":
                job = self._job(request.start.task_id, request.start.exec_id)
                offset = request.start.offset
            elif job is None:
                raise InvalidArgumentError("A stream of input begins with its start message.")
            else:
                await job.stdin.write(offset, request.data, kind == "end")
                offset += len(request.data)
        return pb2.TaskExecStdinWriteStreamResponse()

    async def describe_input(
        self, request: pb2.TaskExecStdinStatusRequest
    ) -> pb2.TaskExecStdinStatusResponse:
        stdin = self._job(request.task_id, request.exec_id).stdin
        return pb2.TaskExecStdinStatusResponse(num_bytes_written=stdin.written, closed=stdin.ended)

    async def poll(self, request: pb2.TaskExecPollRequest) -> pb2.TaskExecPollResponse:
        code = self._job(request.task_id, request.exec_id).returncode
        if code is None:
            return pb2.TaskExecPollResponse()
        return pb2.TaskExecPollResponse(code=code) if code >= 0 else pb2.TaskExecPollResponse(signal=-code)

    async def wait(self, request: pb2.TaskExecWaitRequest) -> pb2.TaskExecWaitResponse:
        code = await self._job(request.task_id, request.exec_id).wait()
        return pb2.TaskExecWaitResponse(code=code) if code >= 0 else pb2.TaskExecWaitResponse(signal=-code)

    async def reload_volumes(self, request: pb2.TaskReloadVolumesRequest) -> pb2.TaskReloadVolumesResponse:
        if request.container_id:
            raise UnsupportedError("The local Modal API has no sidecar containers. Run this on Modal.")
        await self._sandboxes.reload_volumes(self._sandboxes.of_task(request.task_id))
        return pb2.TaskReloadVolumesResponse()

    def _job(self, task_id: str, exec_id: str) -> Job:
        return self._sandboxes.of_task(task_id).job(exec_id)
