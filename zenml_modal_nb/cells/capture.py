"""What the cell's names stand for in the notebook, with everything those definitions lean on."""

from __future__ import annotations

import builtins
import functools
import itertools
import sys
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    GenericAlias,
    MethodType,
    ModuleType,
    UnionType,
)

from zenml_modal_nb.cells.bytecode import code_names
from zenml_modal_nb.cells.syntax import names_in_code

# Bounds of the walk through values in search of notebook classes and of packages they come from.
MAX_OBJECTS = 2000
MAX_ITEMS = (
    50,
    20,
    5,
)  # of one container, of one inside it, of one further in: the first tell the types of all

_IPYTHONS_OWN = frozenset({"display", "get_ipython", "exit", "quit"})
_CODE = (FunctionType, type, ModuleType, functools.partial, MethodType, staticmethod, classmethod, property)
_ATOMS = frozenset({int, float, complex, bool, str, bytes, bytearray, type(None), type(...), range, slice})


@dataclass(frozen=True, slots=True)
class Captured:
    """What a cell takes from the notebook; made here, read by `packaging` and `cells.requirements`.

    `values` are data, `definitions` functions and classes of the notebook itself, `references` functions and
    classes of importable modules, `modules` maps a name to the module it stands for; `submodules` have to be
    imported besides, e.g. `sklearn.svm` for a cell that says `sklearn.svm.SVC` after `import sklearn`.
    `rebinds` are globals that captured functions assign, `deletes` those they delete. `imported` are the
    modules all this comes from, `attributes` the names behind a dot, the cell's own included. `reads` are the
    globals that captured code reads, whether they exist or not.
    """

    values: Mapping[str, object]
    definitions: Mapping[str, object]
    modules: Mapping[str, str]
    missing: tuple[str, ...]
    references: Mapping[str, object] = field(default_factory=dict)
    submodules: tuple[str, ...] = ()
    rebinds: tuple[str, ...] = ()
    deletes: tuple[str, ...] = ()
    imported: frozenset[str] = frozenset()
    attributes: frozenset[str] = frozenset()
    reads: frozenset[str] = frozenset()


def capture(
    names: Iterable[str],
    optional: Iterable[str],
    namespace: Mapping[str, object],
    attributes: Iterable[str] = (),
    code: Iterable[object] = (),
) -> Captured:
    """Look names up in the notebook and follow what they need.

    `attributes` are the names behind a dot in the cell; `code` are functions that travel besides. Names of
    `optional` that the notebook lacks are left out; those of `names` are reported as missing.
    """
    search = _Search(namespace, set(attributes))
    missing = []
    for name in sorted(set(names)):
        if name in namespace:
            search.want(name)
        else:
            missing.append(name)
    for name in sorted(set(optional)):
        search.want(name)
    search.queue(code)
    search.follow()
    return Captured(
        values=search.values,
        definitions=search.definitions,
        modules=search.modules,
        missing=tuple(missing),
        references=search.references,
        submodules=tuple(sorted(search.submodules())),
        rebinds=tuple(sorted(search.rebinds)),
        deletes=tuple(sorted(search.deletes)),
        imported=frozenset(search.imported),
        attributes=frozenset(search.attributes),
        reads=frozenset(search.reads),
    )


def is_by_reference(obj: object) -> bool:
    """Tell whether another process finds this function or class by importing its module."""
    module = getattr(obj, "__module__", None)
    name = getattr(obj, "__qualname__", None) or getattr(obj, "__name__", None)
    if not isinstance(module, str) or not isinstance(name, str) or module == "__main__":
        return False
    found: object = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is obj


class _Search:
    """The names wanted so far and the objects still to be followed, breadth first."""

    def __init__(self, namespace: Mapping[str, object], attributes: set[str]) -> None:
        self.namespace = namespace
        self.notebook = namespace.get("__name__", "__main__")
        self.attributes = attributes
        self.values: dict[str, object] = {}
        self.definitions: dict[str, object] = {}
        self.references: dict[str, object] = {}
        self.modules: dict[str, str] = {}
        self.rebinds: set[str] = set()
        self.deletes: set[str] = set()
        self.imported: set[str] = set()
        self.reads: set[str] = set()
        self.seen: set[int] = set()
        self.code: deque[object] = deque()  # definitions and modules: followed to the end
        self.data: deque[tuple[int, object]] = deque()  # values, and how deep inside others: within bounds
        self.depth = 0

    def want(self, name: str) -> None:
        """Capture a name, if the notebook has it."""
        if name not in self.namespace:
            return
        obj = self.namespace[name]
        if _is_ipythons_own(name, obj):
            return
        if isinstance(obj, ModuleType):
            if obj.__spec__ is None and obj.__name__ != "__main__":
                self.values.setdefault(name, obj)  # made by hand, e.g. `types.ModuleType("config")`
            else:
                self.modules.setdefault(name, obj.__name__)
        elif isinstance(obj, (FunctionType, BuiltinFunctionType, type)):
            by_reference = not self.is_notebooks(obj) and is_by_reference(obj)
            (self.references if by_reference else self.definitions).setdefault(name, obj)
        else:
            self.values.setdefault(name, obj)
        self.queue([obj])

    def is_notebooks(self, obj: object) -> bool:
        """Tell whether a function or class was defined in the notebook."""
        return getattr(obj, "__module__", None) in (self.notebook, "__main__")

    def queue(self, objects: Iterable[object]) -> None:
        """Put objects aside to be followed."""
        for obj in objects:
            if type(obj) not in _ATOMS:
                if isinstance(obj, _CODE):
                    self.code.append(obj)
                else:
                    self.data.append((self.depth, obj))

    def follow(self) -> None:
        """Follow everything wanted to what it needs."""
        bound = MAX_OBJECTS
        while self.code or (self.data and bound):
            if self.code:
                obj, self.depth = self.code.popleft(), 0
            else:
                self.depth, obj = self.data.popleft()
                self.depth += 1
                bound -= 1
            if id(obj) not in self.seen:
                self.seen.add(id(obj))
                self.visit(obj)

    def visit(self, obj: object) -> None:
        """Queue what one object needs."""
        if obj is sys.stdout or obj is sys.stderr:
            return  # the kernel's here, the sandbox's own there
        if isinstance(obj, ModuleType):
            self.imported.add(obj.__name__)
        elif isinstance(obj, FunctionType):
            self.visit_function(obj)
        elif isinstance(obj, type):
            self.visit_class(obj)
        elif isinstance(obj, (list, tuple, set, frozenset, deque)):
            self.visit_type(obj)
            self.queue(self.first(obj))
        elif isinstance(obj, dict):
            self.visit_type(obj)
            self.queue(self.first(obj.keys()))
            self.queue(self.first(obj.values()))
        elif isinstance(obj, functools.partial):
            self.queue([obj.func, obj.args, obj.keywords])
        elif isinstance(obj, MethodType):
            self.queue([obj.__self__, obj.__func__])
        elif isinstance(obj, (staticmethod, classmethod)):
            self.queue([obj.__func__])
        elif isinstance(obj, property):
            self.queue([obj.fget, obj.fset, obj.fdel])
        elif isinstance(obj, (GenericAlias, UnionType)):
            self.queue([getattr(obj, "__origin__", None), *obj.__args__])
        elif isinstance(obj, BuiltinFunctionType):
            self.note_module(obj)
        else:
            self.visit_instance(obj)

    def visit_function(self, function: FunctionType) -> None:
        """Queue a function's globals, closure, defaults, annotations and what it wraps."""
        if is_by_reference(function) and not self.is_notebooks(function):
            self.note_module(function)
            return
        if self.namespace.get(function.__name__) is function:
            self.definitions.setdefault(function.__name__, function)
        if function.__globals__.get("__name__") in (self.notebook, "__main__"):
            self.visit_code(function.__code__)
        else:  # made elsewhere, e.g. the wrapper of a library's decorator
            self.imported.add(str(function.__globals__.get("__name__", "")))
        for cell in function.__closure__ or ():
            try:
                self.queue([cell.cell_contents])
            except ValueError:
                continue  # an empty cell: the name it stands for is not bound yet
        self.queue([function.__defaults__, function.__kwdefaults__, function.__dict__])
        self.visit_annotations(function.__annotations__)

    def visit_code(self, code: CodeType) -> None:
        """Want the globals that code of the notebook reads."""
        used = code_names(code)
        self.attributes |= used.attributes
        self.imported |= used.imports
        self.rebinds |= used.writes
        self.deletes |= used.deletes
        self.reads |= used.reads
        for name in sorted(used.reads | used.deletes):  # in one order: a cache finds the cell again by it
            self.want(name)

    def visit_annotations(self, annotations: Mapping[str, object]) -> None:
        """Queue annotations; of quoted ones, the notebook's classes that they name."""
        for annotation in annotations.values():
            if isinstance(annotation, str):
                for name in sorted(
                    names_in_code(annotation)
                ):  # read by `typing.get_type_hints`, e.g. in pydantic
                    if isinstance(self.namespace.get(name), (type, ModuleType)):
                        self.want(name)
            else:
                self.queue([annotation])

    def visit_class(self, cls: type) -> None:
        """Queue a notebook class's bases, metaclass and everything in its body."""
        if not self.is_notebooks(cls):
            self.note_module(cls)
            return
        if self.namespace.get(cls.__name__) is cls:
            self.definitions.setdefault(cls.__name__, cls)
        self.queue([*cls.__bases__, type(cls)])
        for name, member in list(vars(cls).items()):
            if name not in {"__dict__", "__weakref__", "__module__", "__doc__", "__annotations__"}:
                self.queue([member])
        self.visit_annotations(vars(cls).get("__annotations__", {}))

    def visit_instance(self, obj: object) -> None:
        """Queue an instance's class, what it wraps and its attributes."""
        self.visit_type(obj)
        self.queue([_attribute(obj, "__wrapped__")])  # e.g. of `functools.lru_cache`
        state = _attribute(obj, "__dict__")
        if isinstance(state, dict):
            self.queue(self.first(state.values()))
        if self.is_notebooks(type(obj)):
            for slot in _slots(type(obj)):
                self.queue([_attribute(obj, slot)])

    def visit_type(self, obj: object) -> None:
        cls = type(obj)
        if cls.__module__ != "builtins":
            self.queue([cls])

    def first(self, items: Iterable[object]) -> list[object]:
        """Return as many items of a container as are followed."""
        return list(itertools.islice(items, MAX_ITEMS[min(self.depth, len(MAX_ITEMS)) - 1]))

    def note_module(self, obj: object) -> None:
        module = getattr(obj, "__module__", None)
        if isinstance(module, str):
            self.imported.add(module)

    def submodules(self) -> set[str]:
        """Return the modules that are reached through attributes of captured modules."""
        found: set[str] = set()
        todo = list(self.modules.values())
        while todo:
            module = todo.pop()
            for attribute in self.attributes:
                name = f"{module}.{attribute}"
                if name in sys.modules and name not in found:
                    found.add(name)
                    todo.append(name)
        return found


def _is_ipythons_own(name: str, obj: object) -> bool:
    """Tell whether IPython put this into the namespace; the runner and Python provide what it stands for.

    E.g. `open` there is IPython's own wrapper of the builtin, `exit` an instance of its ExitAutocall.
    """
    if name not in _IPYTHONS_OWN and not hasattr(builtins, name):
        return False
    origin = getattr(obj, "__globals__", {}).get("__name__") or getattr(obj, "__module__", None)
    return any(
        isinstance(module, str) and module.partition(".")[0] in {"IPython", "ipykernel"}
        for module in (origin, type(obj).__module__)
    )


def _slots(cls: type) -> list[str]:
    names: list[str] = []
    for base in cls.__mro__:
        slots = vars(base).get("__slots__", ())
        names.extend([slots] if isinstance(slots, str) else slots)
    return names


def _attribute(obj: object, name: str) -> object:
    """Return an attribute without running the object's own `__getattr__`, which may do anything."""
    try:
        return object.__getattribute__(obj, name)
    except AttributeError:
        return None  # it has none
