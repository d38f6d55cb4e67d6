"""Secrets on the wire."""

from __future__ import annotations

import math
from collections.abc import Mapping

from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2

from zenml_modal_nb.emulator.services.calls import Method
from zenml_modal_nb.emulator.services.creation import creation_of
from zenml_modal_nb.emulator.state.environments import Environments
from zenml_modal_nb.emulator.state.refusals import InvalidArgumentError
from zenml_modal_nb.emulator.state.secrets import Secret, Secrets


class SecretService:
    """Make, find, change and list secrets; no call ever answers a value."""

    def __init__(self, environments: Environments, secrets: Secrets) -> None:
        self._environments = environments
        self._secrets = secrets

    def methods(self) -> Mapping[str, Method]:
        return {
            "SecretGetOrCreate": self.get_or_create,
            "SecretGetInfo": self.describe,
            "SecretUpdate": self.update,
            "SecretDelete": self.delete,
            "SecretList": self.list,
        }

    async def get_or_create(
        self, request: api_pb2.SecretGetOrCreateRequest
    ) -> api_pb2.SecretGetOrCreateResponse:
        """Differs: of ephemeral secrets, those used last are kept, 16 million characters in all."""
        creation = creation_of(request.object_creation_type)
        environment = self._environments.existing(request.environment_name)
        secret = self._secrets.get_or_create(
            request.deployment_name,
            environment,
            dict(request.env_dict),
            creation,
        )
        if missing := set(request.required_keys) - set(secret.values):
            raise InvalidArgumentError(f"Secret {secret.name!r} lacks the keys {sorted(missing)}.")
        return api_pb2.SecretGetOrCreateResponse(secret_id=secret.id, metadata=_metadata(secret))

    async def describe(self, request: api_pb2.SecretGetInfoRequest) -> api_pb2.SecretGetInfoResponse:
        return api_pb2.SecretGetInfoResponse(metadata=_metadata(self._secrets.get(request.secret_id)))

    async def update(self, request: api_pb2.SecretUpdateRequest) -> Empty:
        self._secrets.update(request.secret_id, {update.key: update.value for update in request.updates})
        return Empty()

    async def delete(self, request: api_pb2.SecretDeleteRequest) -> Empty:
        self._secrets.delete(request.secret_id)
        return Empty()

    async def list(self, request: api_pb2.SecretListRequest) -> api_pb2.SecretListResponse:
        environment = self._environments.existing(request.environment_name)
        page = request.pagination
        found = self._secrets.listed(environment, page.created_before or math.inf, page.max_objects or 100)
        items = [
            api_pb2.SecretListItem(
                label=secret.name,
                created_at=secret.created_at,
                environment_name=secret.environment,
                secret_id=secret.id,
                metadata=_metadata(secret),
            )
            for secret in found
        ]
        return api_pb2.SecretListResponse(items=items, environment_name=environment)


def _metadata(secret: Secret) -> api_pb2.SecretMetadata:
    # The SDK keeps the keys of this answer and takes them for the secret's own.
    return api_pb2.SecretMetadata(
        name=secret.name,
        keys=sorted(secret.values),
        environment_name=secret.environment,
        creation_info=api_pb2.CreationInfo(created_at=secret.created_at),
    )
