"""How models of statsmodels travel that a formula has made: with what its names stand for, e.g. `np` and `f` in
`y ~ np.log(x) + f(z)`.

Their pickle has the formula's text, and whoever reads it computes it once more, with the names it finds in the frames
around itself. In a sandbox and here these are ours, and know nothing of the notebook.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any

_NAME = re.compile(r"[^\W\d]\w*")
# As deep as statsmodels looks; called from the namespace that they are evaluated in.
_FRAMES = "(lambda: (lambda: (lambda: (lambda: __restore__(__state__))())())())()"


def reduce(obj: Any, namespace: Mapping[str, Any]) -> Any:
    """Return how the data of such a model is pickled, NotImplemented for anything else."""
    module = sys.modules.get("statsmodels.base.data")
    if module is None or not issubclass(type(obj), getattr(module, "ModelData", ())):
        return NotImplemented
    state = obj.__getstate__()
    if "restore_model_spec" not in state or not isinstance(state.get("formula"), str):
        return NotImplemented
    columns = getattr(state.get("frame"), "columns", ())
    fitted = _fitted(vars(obj).get("model_spec"))
    names = [name for name in dict.fromkeys(_NAME.findall(state["formula"])) if name not in columns]
    known = {name: each[name] for name in names for each in (namespace, fitted) if name in each}
    return make, (type(obj),), (state, known), None, None, set_state


def make(kind: Any) -> Any:
    """Return the data of a model without its state."""
    return kind.__new__(kind)


def set_state(data: Any, state: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Complete the data of a model, where the names of its formula are known."""
    own, known = state
    # statsmodels takes things out of it
    eval(_FRAMES, {**known, "__restore__": data.__setstate__, "__state__": {**own}})  # noqa: S307  # a text of ours


def _fitted(spec: Any) -> dict[str, Any]:
    """What the names stood for when patsy has read the formula."""
    found: dict[str, Any] = {}
    for info in (getattr(spec, "factor_infos", None) or {}).values():
        environment = getattr(info, "state", {}).get("eval_env")
        for names in getattr(environment, "_namespaces", ()):
            found |= names
    return found
