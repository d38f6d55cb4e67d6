"""Which values ZenML restores as they were, by the materializer that it chooses for them."""

from __future__ import annotations

import functools
import importlib.util
import sys
from typing import Any

_PLAIN = frozenset({type(None), bool, int, float, str})  # what JSON gives back as it was
_CONTAINERS = frozenset({list, tuple, set, dict})


def is_restorable(value: object) -> bool:
    """Tell whether the artifact that ZenML makes of a value gives back that value.

    No if it would be another type's, e.g. a list for a tuple inside a list, or a file for a Path; or if another
    process would look for its type in this notebook.
    """
    try:
        return _is_restorable(value, ())
    except Exception:  # noqa: BLE001 - an object's own methods may raise anything when it is looked at
        return False


def _is_restorable(value: Any, inside: tuple[int, ...]) -> bool:
    from zenml.materializers.materializer_registry import materializer_registry

    kind = type(value)
    if kind in _PLAIN or kind is bytes:
        return True
    if kind in _CONTAINERS:
        return id(value) not in inside and _is_container_restorable(value, (*inside, id(value)))
    if not _is_importable(kind):
        return False
    match materializer_registry[kind].__name__:
        # JSON, JSON by type, a folder: made for other values than e.g. an int's or a list's subclass, or a Path.
        case (
            "BuiltInMaterializer" | "BytesMaterializer" | "BuiltInContainerMaterializer" | "PathMaterializer"
        ):
            return False
        case "DataclassMaterializer" | "PydanticMaterializer":
            return _survives_json(value)
        case "CloudpickleMaterializer":
            # A cached function is pickled by name, also one of the notebook.
            return kind is not functools._lru_cache_wrapper and not isinstance(value, type)
        case "NumpyMaterializer":
            return kind.__name__ == "ndarray" and not value.dtype.hasobject
        case "PandasMaterializer":
            # Without pyarrow it writes text, and a series comes back with another name.
            return kind.__name__ == "DataFrame" and importlib.util.find_spec("pyarrow") is not None
    return True  # an integration's or the user's own


def _is_container_restorable(value: Any, inside: tuple[int, ...]) -> bool:
    if _is_json(value, inside, top=True):
        return True
    if _goes_to_json(value, inside):
        return False  # ZenML would write it as JSON, which has no tuples
    # Of a dictionary ZenML saves the keys and the values, a list each.
    items = (list(value), list(value.values())) if type(value) is dict else value
    return all(_is_restorable(each, inside) for each in items)


def _is_json(value: Any, inside: tuple[int, ...], *, top: bool = False) -> bool:
    """Tell whether JSON gives back the value; at the top ZenML puts a tuple or a set right."""
    kind = type(value)
    if kind in _PLAIN:
        return True
    if kind is dict:
        if not _PLAIN.issuperset(map(type, value)) or not all(type(key) is str for key in value):
            return False
        items: Any = value.values()
    elif kind is list or (top and kind in (tuple, set)):
        items = value
    else:
        return False
    if _PLAIN.issuperset(map(type, items)):
        return True
    return all(id(each) not in inside and _is_json(each, (*inside, id(each))) for each in items)


def _goes_to_json(value: Any, inside: tuple[int, ...]) -> bool:
    """Tell whether ZenML would write a value as JSON, whatever comes back."""
    if isinstance(value, tuple(_PLAIN)):
        return True
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            return False
        items: Any = value.values()
    elif isinstance(value, list | tuple | set):
        items = value
    else:
        return False
    if _PLAIN.issuperset(map(type, items)):
        return True
    return all(id(each) not in inside and _goes_to_json(each, (*inside, id(each))) for each in items)


def _survives_json(value: Any) -> bool:
    from pydantic import TypeAdapter

    adapter = TypeAdapter(type(value))
    return bool(adapter.validate_python(adapter.dump_python(value, mode="json")) == value)


def _is_importable(kind: type) -> bool:
    if kind.__module__ == "__main__":
        return False
    return getattr(sys.modules.get(kind.__module__), kind.__name__, None) is kind
