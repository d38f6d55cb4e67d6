"""What a cell relies on without naming it: random states, and settings of modules. It goes there and comes back.

Nothing is imported for it: of a module that is not loaded nobody relies on anything. In the sandbox a module gets its
settings when the cell imports it.
"""

from __future__ import annotations

import builtins
import functools
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from zenml_modal_nb.runner import figures, filters, formatters, logs, pickling
from zenml_modal_nb.runner.functions import Namespace
from zenml_modal_nb.runner.imports import AfterImport

State = Mapping[str, Any]  # by module
Packed = Mapping[str, bytes]  # each module's state a values file of its own: not every image has every module

_SHELL = "get_ipython"  # no module, but treated as one: the functions that are registered for types
_FIGURES = "figures"  # likewise: the settings of how they are shown
_ACCESSORS = "accessors"  # among pandas' options, which have dots in their names
_DRAWN = ("random", "numpy.random")  # this process may draw from them meanwhile, e.g. a client that retries


@dataclass(frozen=True, slots=True)
class _Facet:
    """One module's state, as plain values that can be compared; `put` takes the module's own, too."""

    take: Callable[[Any], Any]
    put: Callable[[Any, Any], object]


def take() -> State:
    """Return the state of all loaded modules."""
    found = {name: _found(name) for name in _FACETS}
    return {name: _FACETS[name].take(module) for name, module in found.items() if module is not None}


def code(state: State) -> Iterator[object]:
    """The notebook's functions in a state, which need what they refer to."""
    for printers in state.get(_SHELL, {}).values():
        yield from printers.values()
    yield from state.get("pandas", {}).get(_ACCESSORS, {}).values()


def pack(state: State, namespace: Namespace) -> Packed:
    """Pickle a state; what cannot be pickled stays behind, with a warning."""
    packed = {}
    for name, value in state.items():
        try:
            packed[name] = bytes(pickling.dump(value, namespace))
        except Exception as error:  # noqa: BLE001  # e.g. a formatter that holds a lock
            _warn(name, error)
    return packed


def put(changes: Packed, namespace: Namespace, taken: State) -> None:
    """Take over what a cell has left; random states that it has not touched go on as they were `taken`."""
    for name in _DRAWN:
        if name in taken and name not in changes:
            _FACETS[name].put(sys.modules[name], taken[name])
    for name, value in changes.items():
        if _found(name) is not None:
            _put(name, value, namespace)


class Session:
    """The state in a sandbox: made when the cell begins, asked for its `changes` at the end."""

    def __init__(self, state: Packed, namespace: Namespace, imports: AfterImport) -> None:
        self._state = state
        self._namespace = namespace
        self._before: dict[str, Any] = {}
        for name in _FACETS:
            if name in (_SHELL, _FIGURES):
                self._begin(name, _found(name))
                continue
            imports.add(name, functools.partial(self._begin, name))
        if "warnings" in state:
            for each in pickling.load(state["warnings"], namespace):
                if filters.category_of(each) is None:
                    imports.add(each[2], functools.partial(self._add_filter, each))

    def changes(self) -> Packed:
        """Return the state of modules in which the cell has changed something."""
        modules = {name: _found(name) for name in self._before}
        now = {name: _FACETS[name].take(each) for name, each in modules.items() if each is not None}
        changed = {name: value for name, value in now.items() if value != self._before[name]}
        if "warnings" in changed:
            changed["warnings"] = {"now": changed["warnings"], "before": self._before["warnings"]}
        return pack(changed, self._namespace)

    def _add_filter(self, wanted: filters.Filter, _: ModuleType) -> None:
        """Add a filter of the notebook whose category exists now; it is no change of the cell's."""
        filters.add(warnings, wanted, append=False)
        self._before["warnings"].insert(0, wanted)

    def _begin(self, name: str, module: Any) -> None:
        if name in self._state:
            _put(name, self._state[name], self._namespace)
        if module is not None:
            self._before[name] = _FACETS[name].take(module)


def _found(name: str) -> Any:
    """What a facet is about: a loaded module, or what shows things, which are the runner's own in a sandbox."""
    if name == _FIGURES:
        return figures.backend()
    if name != _SHELL:
        return sys.modules.get(name)
    get = vars(builtins).get(_SHELL) or getattr(sys.modules.get("IPython"), _SHELL, None)
    return None if get is None else get()


def _put(name: str, value: bytes, namespace: Namespace) -> None:
    try:
        _FACETS[name].put(_found(name), pickling.load(value, namespace))
    except Exception as error:  # noqa: BLE001  # e.g. an option that the module's other version does not have
        _warn(name, error)


def _warn(name: str, error: Exception) -> None:
    warnings.warn(
        f"The settings of {name} do not travel: {type(error).__name__}: {error}", RuntimeWarning, stacklevel=2
    )


def _take_numpys_random(module: Any) -> Any:
    state = module.get_state(legacy=False)
    if state["bit_generator"] != "MT19937":  # the user has chosen another one
        return None
    return state["state"]["key"].tobytes(), state["state"]["pos"], state["has_gauss"], state["gauss"]


def _put_numpys_random(module: Any, state: Any) -> None:
    if state is not None:
        key, *rest = state
        module.set_state(("MT19937", memoryview(key).cast("I"), *rest))


def _take_numpy(module: Any) -> Any:
    return {"print": module.get_printoptions(), "errors": module.geterr()}


def _put_numpy(module: Any, state: Any) -> None:
    module.set_printoptions(**state["print"])
    module.seterr(**state["errors"])


def _take_torch(module: Any) -> Any:
    return {
        "generator": bytes(memoryview(module.get_rng_state().numpy())),
        "type": module.get_default_dtype(),
        "deterministic": module.are_deterministic_algorithms_enabled(),
    }


def _put_torch(module: Any, state: Any) -> None:
    module.set_rng_state(module.frombuffer(bytearray(state["generator"]), dtype=module.uint8))
    module.set_default_dtype(state["type"])
    module.use_deterministic_algorithms(state["deterministic"])


def _take_pandas(module: Any) -> Any:
    """The options that differ from their defaults, by name."""
    config = module._config.config
    found = {}
    for name, option in config._registered_options.items():
        value: Any = config._global_config
        for part in name.split("."):
            value = value[part]
        if value != option.defval:
            found[name] = value
    accessors = _accessors(module)
    return {**found, _ACCESSORS: accessors} if accessors else found


def _put_pandas(module: Any, state: Any) -> None:
    there = _take_pandas(module)
    accessors = there.pop(_ACCESSORS, {})
    options = {name: value for name, value in state.items() if name != _ACCESSORS}
    for name in there:
        if name not in options:
            module.reset_option(name)
    for name, value in options.items():
        module.set_option(name, value)
    for (kind, name), accessor in state.get(_ACCESSORS, {}).items():
        if accessors.get((kind, name)) is not accessor:
            register = getattr(module.api.extensions, f"register_{kind.lower()}_accessor")
            register(name)(accessor)


def _accessors(module: Any) -> dict[tuple[str, str], Any]:
    """The notebook's classes that are registered as attributes of tables, e.g. for `df.mine`."""
    return {
        (kind, name): member._accessor
        for kind in ("DataFrame", "Series", "Index")
        for name, member in vars(getattr(module, kind)).items()
        if getattr(getattr(member, "_accessor", None), "__module__", None) == "__main__"
    }


def _take_sklearn(module: Any) -> Any:
    """The settings that differ from their defaults."""
    default = module._config._global_config
    return {name: value for name, value in module.get_config().items() if value != default.get(name)}


def _put_sklearn(module: Any, state: Any) -> None:
    default = module._config._global_config
    module.set_config(**{**{name: default[name] for name in _take_sklearn(module)}, **state})


def _take_plotly(_: Any) -> Any:
    """The template of figures that say none, unless it is the usual one; who has not loaded any has that."""
    loaded = sys.modules.get("plotly.io._templates")
    usual = loaded is None or loaded.templates.default == "plotly"
    return {} if usual else {"template": loaded.templates.default}  # type: ignore[union-attr]  # it is loaded


def _put_plotly(module: Any, state: Any) -> None:
    module.templates.default = state.get("template", "plotly")


_OF_THE_PLACE = frozenset(
    {"backend", "backend_fallback", "interactive", "toolbar", "savefig.directory", "timezone"}
)


def _take_matplotlib(module: Any) -> Any:
    """The parameters that differ from their defaults, but for those that say where figures are shown."""
    default = module.rcParamsDefault
    return {
        name: value
        for name, value in dict.items(module.rcParams)
        if name not in _OF_THE_PLACE and value != dict.get(default, name)
    }


def _put_matplotlib(module: Any, state: Any) -> None:
    default = {name: dict.get(module.rcParamsDefault, name) for name in _take_matplotlib(module)}
    module.rcParams.update({**default, **state})


def _take_decimal(module: Any) -> Any:
    context = module.getcontext()
    return context.__reduce__()[1]


def _put_decimal(module: Any, state: Any) -> None:
    module.setcontext(module.Context(*state))


def _take_sys(module: Any) -> Any:
    return module.getrecursionlimit()


_FACETS = {
    "sys": _Facet(_take_sys, lambda module, state: module.setrecursionlimit(state)),
    "warnings": _Facet(filters.take, filters.put),
    "logging": _Facet(logs.take_all, logs.put_all),
    "random": _Facet(lambda module: module.getstate(), lambda module, state: module.setstate(state)),
    "decimal": _Facet(_take_decimal, _put_decimal),
    "numpy": _Facet(_take_numpy, _put_numpy),
    "numpy.random": _Facet(_take_numpys_random, _put_numpys_random),
    "pandas": _Facet(_take_pandas, _put_pandas),
    "matplotlib": _Facet(_take_matplotlib, _put_matplotlib),
    "sklearn": _Facet(_take_sklearn, _put_sklearn),
    "plotly.io": _Facet(_take_plotly, _put_plotly),
    "torch": _Facet(_take_torch, _put_torch),
    _FIGURES: _Facet(figures.take, figures.put),
    _SHELL: _Facet(
        lambda shell: formatters.registered(shell.display_formatter),
        lambda shell, state: formatters.register(shell.display_formatter, state),
    ),
}
