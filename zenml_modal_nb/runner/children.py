"""Definitions of the notebook in processes that multiprocessing starts afresh, e.g. with its spawn method."""

from __future__ import annotations

import functools
import os
import types
from pathlib import Path
from typing import Any

from zenml_modal_nb.runner import mounts, pickling
from zenml_modal_nb.runner.functions import Namespace

# Run as the main module of each such process; functions and classes are then found in it by name.
_MAIN = """from zenml_modal_nb.runner.children import restore
restore(globals(), {path!r})
"""


def hand_on_definitions(spawn: types.ModuleType, namespace: Namespace, directory: Path) -> None:
    """Make `multiprocessing.spawn` give each new process the functions and classes of the namespace."""
    prepare = spawn.get_preparation_data

    @functools.wraps(prepare)
    def get_preparation_data(name: str) -> dict[str, Any]:
        return {**prepare(name), "init_main_from_path": str(_save(namespace, directory))}

    vars(spawn)["get_preparation_data"] = get_preparation_data


def restore(namespace: Namespace, path: str) -> None:
    """Load what `hand_on_definitions` has saved; called in the new process."""
    mounts.follow_parent()
    namespace.update(pickling.load(path, namespace)["values"])


def _save(namespace: Namespace, directory: Path) -> Path:
    found = _pickled(
        {name: value for name, value in list(namespace.items()) if is_definition(value)}, namespace
    )
    target = directory / "out" / f"definitions-{found.digest[:16]}.zmnb"
    main = target.with_suffix(".py")
    if not main.exists():
        # Another process may be reading the file of that name: it appears complete or not at all.
        draft = target.with_suffix(f".{os.getpid()}")
        with draft.open("wb") as file:
            found.write(file)
        draft.replace(target)
        main.write_text(_MAIN.format(path=str(target)), encoding="utf-8")
    return main


def _pickled(definitions: Namespace, namespace: Namespace) -> pickling.Values:
    try:
        return pickling.dump({"values": definitions}, namespace, definitions=True)
    except Exception:  # noqa: BLE001  # pickling runs the objects' own code
        # What cannot be pickled is missing in the child, where only its use is an error.
        kept = {name: value for name, value in definitions.items() if _travels(value, namespace)}
        return pickling.dump({"values": kept}, namespace, definitions=True)


def _travels(value: object, namespace: Namespace) -> bool:
    try:
        pickling.dump(value, namespace, definitions=True)
    except Exception:  # noqa: BLE001  # as above
        return False
    return True


def is_definition(value: object) -> bool:
    """Tell whether this is a function or class of the notebook."""
    kinds = (type, types.FunctionType, functools._lru_cache_wrapper)
    return isinstance(value, kinds) and getattr(value, "__module__", None) == "__main__"
