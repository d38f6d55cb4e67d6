"""A digest of a graph of objects that another process finds again, e.g. a new kernel that has run the same cells.

A payload's own digest is none: its functions carry the names of cells, random identities and, in sets, an order that
changes with every process. What is left that differs, e.g. an object whose pickle holds the time, differs: two graphs
of one digest are equal, those of two digests need not be different.
"""

from __future__ import annotations

import hashlib
import pickle
from types import CodeType
from typing import Any

from cloudpickle import cloudpickle as reducers

from zenml_modal_nb.runner import functions
from zenml_modal_nb.runner.functions import Namespace
from zenml_modal_nb.runner.graph import Pickler

_PLAIN = frozenset({int, float, complex, bool, str, bytes, type(None)})
# What a class has of its cell's lines, of a set's order, and of having been looked at: `copyreg` remembers slots.
_OF_THE_PLACE = frozenset({"__firstlineno__", "__static_attributes__", "__slotnames__"})
# Where cloudpickle's makers of classes take an identity, which is random.
_IDENTITY = {
    reducers._make_skeleton_class: 4,
    reducers._make_skeleton_enum: 5,
    reducers._make_typevar: 5,
}
_MAKERS = (functions.make_function, functions.make_foreign_function, functions.make_cached)


def fingerprint(graph: Any, namespace: Namespace) -> str:
    """Return the digest, in hex; raises what pickling raises."""
    sink, memory = _Digest(), _Digest()
    _Fingerprint(sink, namespace, memory).dump(graph)
    return hashlib.sha256(sink.digest + memory.digest).hexdigest()


class _Digest:
    """Takes what is written to it into account, and forgets it."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def write(self, data: bytes | memoryview) -> None:
        self._hash.update(data)

    @property
    def digest(self) -> bytes:
        return self._hash.digest()


class _Fingerprint(Pickler):
    """The pickler of a payload, without what belongs to one process or one place of a notebook."""

    def __init__(self, sink: _Digest, namespace: Namespace, memory: _Digest) -> None:
        super().__init__(sink, namespace, definitions=True, buffer_callback=self._take)
        self._memory = memory
        self._sets: dict[
            int, tuple[int, object]
        ] = {}  # by ID: which one it is, and itself, so that the ID stays its

    def persistent_id(self, obj: object) -> Any:
        """Put the elements of a set in order, if they are plain; others keep theirs, and may differ.

        One that was met before is that one: two names for one set are another graph than two equal sets.
        """
        if type(obj) not in (set, frozenset):
            return None
        if id(obj) in self._sets:
            return self._sets[id(obj)][0]
        members: Any = obj
        if not all(map(_is_plain, members)):
            return None
        self._sets[id(obj)] = len(self._sets), obj
        return type(obj).__name__, sorted(f"{type(each).__name__} {each!r}" for each in members)

    def _take(self, buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        self._memory.write(raw.nbytes.to_bytes(8, "big"))
        self._memory.write(raw)
        return False

    def _reduced(self, obj: Any) -> Any:
        if type(obj) is CodeType:
            return _code, _facts(obj)
        reduced = super()._reduced(obj)
        if not isinstance(reduced, tuple):
            return reduced
        make, arguments, *rest = reduced
        if make in _MAKERS:
            arguments = ("", *arguments[1:])
            if make is functions.make_function:
                *state, submodules = rest[0]
                rest[0] = (*state, sorted(each.__name__ for each in submodules))
        elif make in _IDENTITY:
            place = _IDENTITY[make]
            arguments = (*arguments[:place], "", *arguments[place + 1 :])
            if rest and rest[0] is not None:
                attributes, slots = rest[0]
                rest[0] = {n: v for n, v in attributes.items() if _counts(n, v)}, slots
        return make, arguments, *rest

    def _arguments(self, function: Any) -> tuple[Any, ...]:
        return "", *super()._arguments(function)[1:]


def _code(*facts: Any) -> None:
    """Stand for a code object; nobody reads a fingerprint."""


def _facts(code: CodeType) -> tuple[Any, ...]:
    """What code does, not where it stands."""
    return (
        code.co_name,
        code.co_flags,
        code.co_argcount,
        code.co_posonlyargcount,
        code.co_kwonlyargcount,
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_cellvars,
        code.co_consts,
        code.co_code,
        code.co_exceptiontable,
    )


def _counts(name: str, value: object) -> bool:
    # Python makes empty annotations when somebody asks for them.
    return name not in _OF_THE_PLACE and (name != "__annotations__" or bool(value))


def _is_plain(obj: object) -> bool:
    return type(obj) in _PLAIN or (isinstance(obj, tuple) and type(obj) is tuple and all(map(_is_plain, obj)))
