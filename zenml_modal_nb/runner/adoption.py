"""How an existing object takes over what another one's pickle says, where its type has a way."""

from __future__ import annotations

import itertools
import sys
from collections import deque
from collections.abc import Collection
from typing import Any

from zenml_modal_nb.runner.kinds import attributes, put_attributes
from zenml_modal_nb.runner.layouts import solid_base

_OF_AN_ERROR = Exception.__basicsize__  # bytes; one with more, e.g. OSError, keeps something to itself


def can_adopt(obj: Any, reduced: Any) -> bool:
    """Tell whether `adopt` can make an existing object of this type what the pickle says."""
    if not isinstance(reduced, tuple):
        return False
    if _is_index(obj) or _is_tensor(obj) or type(obj) is itertools.count:
        return True
    if len(reduced) > 2 and reduced[2] is not None and (_has_setstate(obj) or len(reduced) > 5):
        return True
    # All that such an object holds is in its attributes, which can be replaced.
    solid = solid_base(type(obj))
    return solid is object or (issubclass(solid, BaseException) and solid.__basicsize__ == _OF_AN_ERROR)


def adopt(obj: Any, reduced: tuple[Any, ...], missed: Collection[str] = ()) -> None:
    """Make an existing object what the pickle says; raises what the object's own methods raise.

    A tensor on one of the devices that were `missed` where the pickle was made stays on it.
    """
    padded: list[Any] = [*reduced, *[None] * (6 - len(reduced))]
    make, arguments, state, items, pairs, setter = padded
    if _is_tensor(obj):
        twin = make(*arguments)
        if setter is not None:
            setter(twin, state)
        _adopt_tensor(obj, twin, missed)
        return
    if type(obj) is itertools.count:
        _advance(obj, make(*arguments))
        return
    if _is_index(obj):
        obj.names = make(*arguments).names  # all of an index that can change
        return
    if setter is not None:
        setter(obj, state)
    elif state is not None and _has_setstate(obj):
        obj.__setstate__(state)
        if hasattr(obj, "_reset_cache"):
            obj._reset_cache()  # pandas: what the table has computed from its former content
    else:
        twin = make(*arguments)
        _set_state(twin, state)
        put_attributes(obj, attributes(twin))
        if isinstance(obj, BaseException):
            obj.args = twin.args
    for item in items or ():
        obj.append(item)
    for key, value in pairs or ():
        obj[key] = value


def _advance(counter: itertools.count[Any], twin: itertools.count[Any]) -> None:
    """Let a counter go on to where another one is, which it was before."""
    start, *step = _arguments(counter)
    ahead = (_arguments(twin)[0] - start) / (step[0] if step else 1)
    deque(itertools.islice(counter, round(ahead)), 0)


def _arguments(counter: Any) -> tuple[Any, ...]:
    found: tuple[Any, ...] = counter.__reduce__()[1]
    return found


def _set_state(twin: Any, state: Any) -> None:
    if state is None:
        return
    plain, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
    for name, value in {**(plain or {}), **(slots or {})}.items():
        setattr(twin, name, value)


def _has_setstate(obj: Any) -> bool:
    return hasattr(type(obj), "__setstate__") and not isinstance(obj, BaseException)


def _is_tensor(obj: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(obj, torch.Tensor)


def _adopt_tensor(obj: Any, twin: Any, missed: Collection[str]) -> None:
    gradient = twin.grad if twin.is_leaf else None
    with sys.modules["torch"].no_grad():
        if str(obj.device) in missed:
            gradient = None if gradient is None else gradient.to(obj.device)
            copy = twin.to(obj.device).requires_grad_(twin.requires_grad and twin.is_leaf)
            put_attributes(copy, attributes(twin))
            twin = copy
        alike = ("shape", "dtype", "device", "layout")
        if all(getattr(obj, name) == getattr(twin, name) for name in alike):
            obj.copy_(twin)  # views of its memory see it too
        else:
            obj.data = twin.data
    if obj.is_leaf:
        obj.requires_grad_(twin.requires_grad)
        obj.grad = gradient
    put_attributes(obj, attributes(twin))


def _is_index(obj: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(obj, pandas.Index)
