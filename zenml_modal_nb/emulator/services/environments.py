"""Environments on the wire."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2

from zenml_modal_nb.emulator.services.auth import BUILDER_VERSION
from zenml_modal_nb.emulator.services.calls import Method
from zenml_modal_nb.emulator.services.creation import creation_of
from zenml_modal_nb.emulator.state.apps import Apps
from zenml_modal_nb.emulator.state.creation import Creation
from zenml_modal_nb.emulator.state.environments import Environment, Environments
from zenml_modal_nb.emulator.state.refusals import NotFoundError
from zenml_modal_nb.emulator.state.registry import Sandboxes
from zenml_modal_nb.emulator.state.secrets import Secrets
from zenml_modal_nb.emulator.state.volumes import Volumes


class EnvironmentService:
    """Find, list, create, rename and delete environments."""

    def __init__(
        self,
        environments: Environments,
        apps: Apps,
        secrets: Secrets,
        volumes: Volumes,
        sandboxes: Sandboxes,
    ) -> None:
        self._environments = environments
        self._apps = apps
        self._secrets = secrets
        self._volumes = volumes
        self._sandboxes = sandboxes

    def methods(self) -> Mapping[str, Method]:
        return {
            "EnvironmentGetOrCreate": self.get_or_create,
            "EnvironmentList": self.list,
            "EnvironmentCreate": self.create,
            "EnvironmentUpdate": self.update,
            "EnvironmentDelete": self.delete,
        }

    async def get_or_create(
        self, request: api_pb2.EnvironmentGetOrCreateRequest
    ) -> api_pb2.EnvironmentGetOrCreateResponse:
        try:
            environment = self._environments.named(request.deployment_name)
        except NotFoundError:
            if creation_of(request.object_creation_type) is Creation.LOOK_UP:
                raise
            environment = self._environments.create(request.deployment_name)
        return api_pb2.EnvironmentGetOrCreateResponse(
            environment_id=environment.id,
            metadata=api_pb2.EnvironmentMetadata(
                name=environment.name,
                settings=api_pb2.EnvironmentSettings(
                    image_builder_version=BUILDER_VERSION, webhook_suffix=environment.web_suffix
                ),
            ),
        )

    async def list(self, _: Empty) -> api_pb2.EnvironmentListResponse:
        items = [self._item(environment) for environment in self._environments.listed()]
        return api_pb2.EnvironmentListResponse(items=items)

    async def create(self, request: api_pb2.EnvironmentCreateRequest) -> Empty:
        self._environments.create(request.name)
        return Empty()

    async def update(self, request: api_pb2.EnvironmentUpdateRequest) -> api_pb2.EnvironmentListItem:
        """Differs: a renamed environment's apps, secrets and volumes stay with the old name."""
        name = request.name.value if request.HasField("name") else None
        suffix = request.web_suffix.value if request.HasField("web_suffix") else None
        self._environments.update(request.current_name, name, suffix)
        return self._item(self._environments.named(name or request.current_name))

    async def delete(self, request: api_pb2.EnvironmentDeleteRequest) -> Empty:
        name = self._environments.delete(request.name)
        for app in self._apps.listed(name):
            self._apps.stop(app.id)
            self._sandboxes.terminate_app(app.id)
        self._secrets.delete_all(name)
        await self._volumes.delete_all(name)
        return Empty()

    def _item(self, environment: Environment) -> api_pb2.EnvironmentListItem:
        return api_pb2.EnvironmentListItem(
            name=environment.name,
            environment_id=environment.id,
            created_at=environment.created_at,
            webhook_suffix=environment.web_suffix,
            default=environment.name == self._environments.default,
            image_builder_version=BUILDER_VERSION,
        )
