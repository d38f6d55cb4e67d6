"""Secrets: named ones in files only the user can read, ephemeral ones in memory; values are never logged."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from zenml_modal_nb.emulator import identifiers
from zenml_modal_nb.emulator.state.creation import Creation
from zenml_modal_nb.emulator.state.records import Records
from zenml_modal_nb.emulator.state.refusals import AlreadyExistsError, InvalidArgumentError, NotFoundError
from zenml_modal_nb.emulator.state.shapes import made

LONGEST_VALUE = 32_768  # characters, Modal's limit
MOST_EPHEMERAL = 16_000_000  # characters of all ephemeral secrets; nobody says when one is no longer needed


@dataclass(frozen=True)
class Secret:
    """Environment variables under an ID; `name` is empty for an ephemeral one."""

    id: str
    name: str
    environment: str
    created_at: float
    values: Mapping[str, str] = field(repr=False)


class Secrets:
    """All secrets of this server."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._ephemeral: dict[str, int] = {}  # their sizes in characters, the least recently used first
        self._secrets = dict(records.restore(lambda value: made(Secret, value)))

    def get(self, secret_id: str) -> Secret:
        """The secret, or NotFoundError."""
        try:
            secret = self._secrets[secret_id]
        except KeyError:
            raise NotFoundError(f"No secret has the ID {secret_id!r}.") from None
        if secret_id in self._ephemeral:
            self._ephemeral[secret_id] = self._ephemeral.pop(secret_id)  # now the last
        return secret

    def values(self, secret_ids: Iterable[str]) -> dict[str, str]:
        """The variables of all these secrets, later ones winning."""
        merged: dict[str, str] = {}
        for secret_id in secret_ids:
            merged.update(self.get(secret_id).values)
        return merged

    def get_or_create(
        self, name: str, environment: str, values: Mapping[str, str], creation: Creation
    ) -> Secret:
        """Find or make a secret; raises NotFoundError, AlreadyExistsError or InvalidArgumentError."""
        for key, value in values.items():
            if len(value) > LONGEST_VALUE:
                raise InvalidArgumentError(f"The value of {key!r} is longer than {LONGEST_VALUE} characters.")
        existing = None if creation is Creation.EPHEMERAL else self._named(name, environment)
        match creation, existing:
            case Creation.LOOK_UP, None:
                raise NotFoundError(f"Secret {name!r} not found in environment {environment!r}.")
            case Creation.FAIL_IF_EXISTS, Secret():
                raise AlreadyExistsError(f"Secret {name!r} already exists in environment {environment!r}.")
            case ((Creation.LOOK_UP | Creation.IF_MISSING), Secret() as found):
                return found
        secret_id = existing.id if existing else identifiers.random_id("st")
        secret = Secret(secret_id, name, environment, time.time(), dict(values))
        self._put(secret)
        return secret

    def update(self, secret_id: str, values: Mapping[str, str]) -> None:
        """Add these variables, replacing those that exist."""
        old = self.get(secret_id)
        secret = Secret(old.id, old.name, old.environment, old.created_at, {**old.values, **values})
        self._put(secret)

    def delete(self, secret_id: str) -> None:
        """Forget the secret; raises NotFoundError."""
        if secret_id not in self._secrets:
            raise NotFoundError(f"No secret has the ID {secret_id!r}.")
        del self._secrets[secret_id]
        self._ephemeral.pop(secret_id, None)
        self._records.remove(secret_id)

    def delete_all(self, environment: str) -> None:
        """Forget every secret of an environment."""
        for secret in [kept for kept in self._secrets.values() if kept.environment == environment]:
            self.delete(secret.id)

    def listed(self, environment: str, before: float, most: int) -> list[Secret]:
        """The environment's named secrets made before `before`, newest first."""
        named = [s for s in self._secrets.values() if s.name and s.environment == environment]
        found = sorted((s for s in named if s.created_at < before), key=lambda s: s.created_at, reverse=True)
        return found[:most]

    def _named(self, name: str, environment: str) -> Secret | None:
        for secret in self._secrets.values():
            if (secret.name, secret.environment) == (name, environment):
                return secret
        return None

    def _put(self, secret: Secret) -> None:
        self._secrets[secret.id] = secret
        if secret.name:
            self._write(secret)
            return
        self._ephemeral.pop(secret.id, None)
        self._ephemeral[secret.id] = sum(len(key) + len(value) for key, value in secret.values.items())
        while sum(self._ephemeral.values()) > MOST_EPHEMERAL and len(self._ephemeral) > 1:
            self.delete(next(iter(self._ephemeral)))

    def _write(self, secret: Secret) -> None:
        self._records.write(
            secret.id,
            {
                "id": secret.id,
                "name": secret.name,
                "environment": secret.environment,
                "created_at": secret.created_at,
                "values": dict(secret.values),
            },
        )
