"""Apps: the names under which sandboxes are grouped."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass, field

from zenml_modal_nb.emulator import identifiers
from zenml_modal_nb.emulator.state.records import Records
from zenml_modal_nb.emulator.state.refusals import NotFoundError
from zenml_modal_nb.emulator.state.shapes import made


@dataclass(frozen=True)
class App:
    """One app; `stopped_at` is None while it is deployed. Times are seconds since 1970."""

    id: str
    name: str
    environment: str
    created_at: float
    stopped_at: float | None = None
    tags: dict[str, str] = field(default_factory=dict)


class Apps:
    """All apps of this server, kept in `records`."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._apps = dict(records.restore(lambda value: made(App, value)))

    def get(self, app_id: str) -> App:
        """The app, or NotFoundError."""
        try:
            return self._apps[app_id]
        except KeyError:
            raise NotFoundError(f"No app has the ID {app_id!r}.") from None

    def deployed(self, app_id: str) -> App:
        """The app, or NotFoundError when it has been stopped: nothing new starts in it then."""
        app = self.get(app_id)
        if app.stopped_at is not None:
            raise NotFoundError(f"App {app.name!r} ({app_id}) has been stopped.")
        return app

    def named(self, name: str, environment: str) -> App | None:
        """The app of this name that has not been stopped."""
        for app in self._apps.values():
            if (app.name, app.environment, app.stopped_at) == (name, environment, None):
                return app
        return None

    def look_up(self, name: str, environment: str, create: bool) -> App:
        """The app of this name or, as at Modal, of this ID; made if `create`, else NotFoundError."""
        if name in self._apps:
            return self._apps[name]
        app = self.named(name, environment)
        if app is None:
            if not create:
                raise NotFoundError(f"App {name!r} not found in environment {environment!r}.")
            app = self._keep(App(identifiers.random_id("ap"), name, environment, time.time()))
        return app

    def stop(self, app_id: str) -> App:
        """Mark the app as stopped; its name is free again."""
        app = self.get(app_id)
        return app if app.stopped_at else self._keep(dataclasses.replace(app, stopped_at=time.time()))

    def set_tags(self, app_id: str, tags: dict[str, str]) -> None:
        """Replace the app's tags."""
        self._keep(dataclasses.replace(self.get(app_id), tags=tags))

    def listed(self, environment: str) -> list[App]:
        """The environment's apps, newest first; the empty name means every environment."""
        found = [app for app in self._apps.values() if environment in ("", app.environment)]
        return sorted(found, key=lambda app: app.created_at, reverse=True)

    def _keep(self, app: App) -> App:
        self._apps[app.id] = app
        self._records.write(app.id, dataclasses.asdict(app))
        return app
