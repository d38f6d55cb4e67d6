"""The sandbox calls that the V1 and V2 backends have in common, under two names each."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2

from zenml_modal_nb.emulator.services.calls import Method
from zenml_modal_nb.emulator.services.definitions import info_of, metadata_of, result_of, tags_of
from zenml_modal_nb.emulator.state.apps import Apps
from zenml_modal_nb.emulator.state.environments import Environments
from zenml_modal_nb.emulator.state.refusals import NotFoundError
from zenml_modal_nb.emulator.state.registry import Sandboxes


class SandboxCalls:
    """Find, list, tag, wait for and end sandboxes of one backend."""

    def __init__(
        self,
        version: int,
        listed: tuple[int, ...],
        environments: Environments,
        apps: Apps,
        sandboxes: Sandboxes,
    ) -> None:
        self._version = version
        self._listed = listed
        self._environments = environments
        self._apps = apps
        self._sandboxes = sandboxes

    def methods(self) -> Mapping[str, Method]:
        suffix = "V2" if self._version == 2 else ""
        return {
            f"SandboxGetTaskId{suffix}": self.get_task,
            f"SandboxWait{suffix}": self.wait,
            f"SandboxTerminate{suffix}": self.terminate,
            f"SandboxTagsGet{suffix}": self.get_tags,
            f"SandboxTagsSet{suffix}": self.set_tags,
            f"SandboxGetFromName{suffix}": self.find,
            f"SandboxList{suffix}": self.list,
        }

    async def get_task(self, request: api_pb2.SandboxGetTaskIdRequest) -> api_pb2.SandboxGetTaskIdResponse:
        sandbox = self._sandboxes.get(request.sandbox_id)
        # A sandbox that waits for a machine has no task yet; one of V2 learned its task's ID when it was made.
        task_id = sandbox.task_id if sandbox.process.begun or self._version == 2 else ""
        response = api_pb2.SandboxGetTaskIdResponse(task_id=task_id)
        if sandbox.outcome:
            response.task_result.CopyFrom(result_of(sandbox.outcome))
        return response

    async def wait(self, request: api_pb2.SandboxWaitRequest) -> api_pb2.SandboxWaitResponse:
        sandbox = self._sandboxes.get(request.sandbox_id)
        outcome = await sandbox.wait(request.timeout)
        return api_pb2.SandboxWaitResponse(result=result_of(outcome), metadata=metadata_of(sandbox))

    async def terminate(self, request: api_pb2.SandboxTerminateRequest) -> api_pb2.SandboxTerminateResponse:
        sandbox = self._sandboxes.get(request.sandbox_id)
        response = api_pb2.SandboxTerminateResponse()
        if sandbox.outcome:
            response.existing_result.CopyFrom(result_of(sandbox.outcome))
        sandbox.terminate()
        return response

    async def get_tags(self, request: api_pb2.SandboxTagsGetRequest) -> api_pb2.SandboxTagsGetResponse:
        return api_pb2.SandboxTagsGetResponse(tags=tags_of(self._sandboxes.get(request.sandbox_id)))

    async def set_tags(self, request: api_pb2.SandboxTagsSetRequest) -> Empty:
        self._sandboxes.get(request.sandbox_id).tags = {tag.tag_name: tag.tag_value for tag in request.tags}
        return Empty()

    async def find(self, request: api_pb2.SandboxGetFromNameRequest) -> api_pb2.SandboxGetFromNameResponse:
        app = self._apps.named(request.app_name, self._environments.existing(request.environment_name))
        if app is None:
            raise NotFoundError(f"App {request.app_name!r} not found.")
        sandbox = self._sandboxes.named(
            app.id, request.sandbox_name, self._version, request.include_terminated
        )
        return api_pb2.SandboxGetFromNameResponse(sandbox_id=sandbox.id, metadata=metadata_of(sandbox))

    async def list(self, request: api_pb2.SandboxListRequest) -> api_pb2.SandboxListResponse:
        tags = {tag.tag_name: tag.tag_value for tag in request.tags}
        if request.app_id:
            self._apps.get(request.app_id)
        elif request.environment_name:
            self._environments.existing(request.environment_name)
        found = self._sandboxes.listed(request.app_id, tags, request.before_timestamp, self._listed)
        return api_pb2.SandboxListResponse(sandboxes=[info_of(sandbox) for sandbox in found])
