"""What happens when the cell imports a module that behaves differently in a sandbox."""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Action = Callable[[ModuleType], None]


class _ActingLoader(importlib.abc.Loader):
    """Loads a module as its own loader does, then acts on it."""

    def __init__(self, loader: importlib.abc.Loader, actions: Sequence[Action]) -> None:
        self._loader = loader
        self._actions = actions

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Create the module."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module, put its own loader back, and act."""
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        for action in self._actions:
            action(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


class AfterImport(importlib.abc.MetaPathFinder):
    """Acts on modules once they are imported; importing nothing costs nothing."""

    def __init__(self) -> None:
        self._actions: dict[str, list[Action]] = {}
        sys.meta_path.insert(0, self)

    def add(self, name: str, action: Action) -> None:
        """Act on the module of that name, at once if it is there already."""
        if name in sys.modules:
            action(sys.modules[name])
        else:
            self._actions.setdefault(name, []).append(action)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find the module by the other finders; a name is acted on once."""
        actions = self._actions.pop(fullname, None)
        if actions is None:
            return None
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _ActingLoader(spec.loader, actions)
        return spec


class StandIn(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Provides modules that the image does not have; asked last, so that what is installed comes first."""

    def __init__(self, modules: dict[str, ModuleType]) -> None:
        self._modules = modules
        sys.meta_path.append(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find one of the modules."""
        if fullname not in self._modules:
            return None
        package = any(name.startswith(fullname + ".") for name in self._modules)
        return ModuleSpec(fullname, self, is_package=package)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module; there is nothing left to execute."""
        return self._modules[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: the module was made complete."""
