"""Apps on the wire."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2

from zenml_modal_nb.emulator.services.calls import Method
from zenml_modal_nb.emulator.state.apps import App, Apps
from zenml_modal_nb.emulator.state.environments import Environments
from zenml_modal_nb.emulator.state.registry import Sandboxes


class AppService:
    """Find, list, tag and stop apps."""

    def __init__(self, environments: Environments, apps: Apps, sandboxes: Sandboxes) -> None:
        self._environments = environments
        self._apps = apps
        self._sandboxes = sandboxes

    def methods(self) -> Mapping[str, Method]:
        return {
            "AppGetOrCreate": self.get_or_create,
            "AppGetInfo": self.describe,
            "AppList": self.list,
            "AppStop": self.stop,
            "AppGetTags": self.get_tags,
            "AppSetTags": self.set_tags,
        }

    async def get_or_create(self, request: api_pb2.AppGetOrCreateRequest) -> api_pb2.AppGetOrCreateResponse:
        create = request.object_creation_type == api_pb2.OBJECT_CREATION_TYPE_CREATE_IF_MISSING
        environment = self._environments.existing(request.environment_name)
        app = self._apps.look_up(request.app_name, environment, create)
        return api_pb2.AppGetOrCreateResponse(app_id=app.id, handle_metadata=_metadata(app))

    async def describe(self, request: api_pb2.AppGetInfoRequest) -> api_pb2.AppGetInfoResponse:
        return api_pb2.AppGetInfoResponse(info=_metadata(self._apps.get(request.app_id)))

    async def list(self, request: api_pb2.AppListRequest) -> api_pb2.AppListResponse:
        items = [
            api_pb2.AppListResponse.AppListItem(
                app_id=app.id,
                name=app.name,
                description=app.name,
                state=_state(app),
                created_at=app.created_at,
                stopped_at=app.stopped_at or 0.0,
                n_running_tasks=len(self._sandboxes.listed(app.id, {}, 0, (1, 2))),
                metadata=_metadata(app),
            )
            for app in self._apps.listed(self._environments.existing(request.environment_name))
        ]
        return api_pb2.AppListResponse(apps=items)

    async def stop(self, request: api_pb2.AppStopRequest) -> Empty:
        app = self._apps.stop(request.app_id)
        self._sandboxes.terminate_app(app.id)
        return Empty()

    async def get_tags(self, request: api_pb2.AppGetTagsRequest) -> api_pb2.AppGetTagsResponse:
        return api_pb2.AppGetTagsResponse(tags=self._apps.get(request.app_id).tags)

    async def set_tags(self, request: api_pb2.AppSetTagsRequest) -> Empty:
        self._apps.set_tags(request.app_id, dict(request.tags))
        return Empty()


def _state(app: App) -> api_pb2.AppState.ValueType:
    return api_pb2.APP_STATE_STOPPED if app.stopped_at else api_pb2.APP_STATE_DEPLOYED


def _metadata(app: App) -> api_pb2.AppHandleMetadata:
    return api_pb2.AppHandleMetadata(
        app_id=app.id,
        description=app.name,
        environment_name=app.environment,
        lifecycle=api_pb2.AppLifecycle(
            app_state=_state(app),
            created_at=app.created_at,
            deployed_at=app.created_at,
            stopped_at=app.stopped_at or 0.0,
        ),
    )
