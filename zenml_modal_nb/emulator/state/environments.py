"""Environments: the parts of the workspace in which apps, secrets and volumes have their names."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass

from zenml_modal_nb.emulator import identifiers
from zenml_modal_nb.emulator.state.records import Records
from zenml_modal_nb.emulator.state.refusals import AlreadyExistsError, ConflictError, NotFoundError
from zenml_modal_nb.emulator.state.shapes import made

ALWAYS = ("local", "main")  # ours, and the one every Modal workspace begins with


@dataclass(frozen=True)
class Environment:
    """One environment; `created_at` in seconds since 1970."""

    id: str
    name: str
    created_at: float
    web_suffix: str = ""


class Environments:
    """All environments of this server, kept in `records`; `default` is the one a request without a name means."""

    def __init__(self, records: Records, default: str) -> None:
        self._records = records
        self.default = default
        self._environments = dict(records.restore(lambda value: made(Environment, value)))
        for name in dict.fromkeys((default, *ALWAYS)):
            # The same ID in every server: handles outlive a state directory.
            self._environments.setdefault(_id(name), Environment(_id(name), name, time.time()))

    def named(self, name: str) -> Environment:
        """The environment of this name, the default one for the empty name; or NotFoundError."""
        wanted = name or self.default
        for environment in self._environments.values():
            if environment.name == wanted:
                return environment
        raise NotFoundError(f"Environment {wanted!r} not found. There are: {', '.join(self.names())}.")

    def by_id(self, environment_id: str) -> Environment:
        """The environment with this ID, or NotFoundError."""
        try:
            return self._environments[environment_id]
        except KeyError:
            raise NotFoundError(f"No environment has the ID {environment_id!r}.") from None

    def existing(self, name: str) -> str:
        """The name of the environment that a request means, or NotFoundError."""
        return self.named(name).name

    def names(self) -> list[str]:
        """The names of all, the oldest first."""
        return [environment.name for environment in self.listed()]

    def listed(self) -> list[Environment]:
        """All environments, the default one first, then the oldest."""
        found = self._environments.values()
        return sorted(found, key=lambda each: (each.name != self.default, each.created_at, each.name))

    def create(self, name: str) -> Environment:
        """Make an environment; raises AlreadyExistsError."""
        if name in self.names():
            raise AlreadyExistsError(f"Environment {name!r} already exists.")
        return self._keep(Environment(identifiers.random_id("en"), name, time.time()))

    def update(self, current: str, name: str | None, web_suffix: str | None) -> None:
        """Rename an environment or change its suffix; raises NotFoundError, AlreadyExistsError or ConflictError."""
        environment = self.named(current)
        if name is not None and name != environment.name:
            self._require_own(environment)
            if name in self.names():
                raise AlreadyExistsError(f"Environment {name!r} already exists.")
            environment = dataclasses.replace(environment, name=name)
        if web_suffix is not None:
            environment = dataclasses.replace(environment, web_suffix=web_suffix)
        self._keep(environment)

    def delete(self, name: str) -> str:
        """Forget an environment and return its name; raises NotFoundError or ConflictError."""
        environment = self.named(name)
        self._require_own(environment)
        del self._environments[environment.id]
        self._records.remove(environment.id)
        return environment.name

    def _require_own(self, environment: Environment) -> None:
        if environment.name in (self.default, *ALWAYS):
            raise ConflictError(f"The environment {environment.name!r} always exists here.")

    def _keep(self, environment: Environment) -> Environment:
        self._environments[environment.id] = environment
        self._records.write(environment.id, dataclasses.asdict(environment))
        return environment


def _id(name: str) -> str:
    return identifiers.content_id("en", name.encode())
