"""Which globals compiled code touches; source is not needed, e.g. for a function made by `exec`."""

from __future__ import annotations

import dis
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType
from weakref import WeakKeyDictionary

from zenml_modal_nb.cells.embedded import code_in
from zenml_modal_nb.cells.shell import EXIT_CODE

_READS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
_WRITES = frozenset({"STORE_GLOBAL"})
_DELETES = frozenset({"DELETE_GLOBAL"})
_ATTRIBUTES = frozenset({"LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR"})


@dataclass(frozen=True, slots=True)
class CodeNames:
    """The names one piece of code uses, with the code nested in it; read by `cells.capture`."""

    reads: frozenset[str]
    writes: frozenset[str]
    deletes: frozenset[str]
    attributes: frozenset[str]
    imports: frozenset[str]


_known: WeakKeyDictionary[CodeType, CodeNames] = WeakKeyDictionary()


def code_names(code: CodeType) -> CodeNames:
    """Return the names that code and everything nested in it uses; remembered per code object."""
    if (known := _known.get(code)) is not None:
        return known
    reads: set[str] = set()
    writes: set[str] = set()
    deletes: set[str] = set()
    attributes: set[str] = set()
    imports: set[str] = set()
    for instruction in dis.get_instructions(code):
        name = instruction.argval
        if not isinstance(name, str):
            continue
        if instruction.opname in _READS:
            reads.add(name)
        elif instruction.opname in _WRITES:
            writes.add(name)
        elif instruction.opname in _DELETES:
            deletes.add(name)
        elif instruction.opname in _ATTRIBUTES:
            attributes.add(name)
        elif instruction.opname == "IMPORT_NAME":
            imports.add(name)
    nested = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    for each in itertools.chain(nested, code_in(code)):
        inner = code_names(each)
        reads |= inner.reads
        writes |= inner.writes
        deletes |= inner.deletes
        attributes |= inner.attributes
        imports |= inner.imports
    if "get_ipython" in reads and "system" in attributes:  # e.g. of `!echo`
        writes.add(EXIT_CODE)
    result = CodeNames(*map(frozenset, (reads, writes, deletes, attributes, imports)))
    _known[code] = result
    return result


@dataclass(frozen=True, slots=True)
class Use:
    """A module that code imports, or a global that it reads, with the attribute behind it; made by `sure_uses`."""

    path: tuple[str, ...]  # e.g. ("helpers", "note")
    imported: bool = False
    called: bool = False


def sure_uses(code: CodeType) -> Iterator[Use]:
    """Yield what code uses before it first branches, loops or tries: that happens whenever it is called."""
    instructions = dis.Bytecode(code)
    tries = instructions.exception_entries  # type: ignore[attr-defined]  # typeshed lacks it
    guarded = min((each.start for each in tries), default=len(code.co_code))
    straight = list(
        itertools.takewhile(lambda each: each.offset < guarded and not _leaves(each), instructions)
    )
    for instruction, after in itertools.pairwise([*straight, None]):
        assert instruction is not None
        name = instruction.argval
        if instruction.opname == "IMPORT_NAME":
            yield Use((name,), imported=True)
        elif instruction.opname in _READS:
            attribute = after is not None and after.opname in ("LOAD_ATTR", "LOAD_METHOD")
            path = (name, after.argval) if after is not None and attribute else (name,)
            yield Use(path, called=_is_called(after if after is not None and attribute else instruction))


def _leaves(instruction: dis.Instruction) -> bool:
    ends = instruction.opname.startswith(("RETURN", "RAISE"))
    return ends or instruction.opcode in dis.hasjrel or instruction.opcode in dis.hasjabs


def _is_called(instruction: dis.Instruction) -> bool:
    # The lowest bit makes room for a method's `self` on the stack, which only a call needs.
    return instruction.opname == "LOAD_METHOD" or bool((instruction.arg or 0) & 1)
