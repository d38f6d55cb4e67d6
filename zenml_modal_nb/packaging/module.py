"""The text of a self-contained module whose one function is the cell as a ZenML step.

The record in ZenML, connected runs and an export use this text; a detached run ships definitions by value.
"""

from __future__ import annotations

import ast
import inspect
import io
import linecache
import textwrap
import tokenize
from collections.abc import Iterable, Mapping, Sequence
from types import FunctionType

from zenml_modal_nb.pipelines.step_module import StepModule

_IMPORTS = "from typing import Annotated, Any"


def write_module(
    body: str,
    *,
    name: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    modules: Mapping[str, str],
    definitions: Mapping[str, object],
    references: Mapping[str, object],
) -> StepModule:
    """Write the module for a cell's plain Python `body`.

    `inputs` become parameters, `outputs` named results; `modules`, `references` and `definitions` are what the
    cell relies on from other cells.
    """
    parts = [_IMPORTS, *_import_lines(modules, references), *_definition_texts(definitions)]
    signature = ", ".join(f"{each}: Any" for each in inputs)
    head = f"def {name}({signature}) -> {_annotation(outputs)}:\n"
    tail = f"    return {', '.join(outputs)}\n" if outputs else ""
    function = head + _indent(body) + tail
    if not _compiles(function):
        # e.g. `await` at top level, `from x import *`: legal in a cell, not in a function
        function = head + _quoted(body, inputs, outputs)
    text = "\n\n\n".join(part.rstrip("\n") for part in [*parts, function]) + "\n"
    return StepModule(text, name, tuple(inputs), tuple(outputs))


def _annotation(outputs: Sequence[str]) -> str:
    named = [f'Annotated[Any, "{each}"]' for each in outputs]
    if not named:
        return "None"
    return named[0] if len(named) == 1 else f"tuple[{', '.join(named)}]"


def _import_lines(modules: Mapping[str, str], references: Mapping[str, object]) -> Iterable[str]:
    lines = []
    for alias, module in modules.items():
        if alias == module:
            lines.append(f"import {module}")
        elif module == f"{module.rpartition('.')[0]}.{alias}":
            lines.append(f"from {module.rpartition('.')[0]} import {alias}")
        else:
            lines.append(f"import {module} as {alias}")
    for alias, obj in references.items():
        home, name = getattr(obj, "__module__", None), getattr(obj, "__qualname__", "")
        if home and name.isidentifier():
            lines.append(f"from {home} import {name}" + ("" if name == alias else f" as {alias}"))
    return ["\n".join(sorted(lines))] if lines else []


def _definition_texts(definitions: Mapping[str, object]) -> list[str]:
    texts: list[str] = []
    for name, obj in definitions.items():
        text = _source(obj)
        if text is None:
            texts.append(f"# {name} was defined without a source that can be shown")
            continue
        if text not in texts:
            texts.append(text)
        own = getattr(obj, "__name__", name)
        if name != own and own in _bound(text):
            texts.append(f"{name} = {own}")  # a second name, e.g. alias = helper
    return texts


def _source(obj: object) -> str | None:
    """Return the statement that defined a function or class, None where it cannot be told."""
    if isinstance(obj, type):
        return _class_source(obj)
    try:
        text = textwrap.dedent(inspect.getsource(obj)).rstrip()  # type: ignore[arg-type]
    except (OSError, TypeError):
        return None
    # A lambda's lines may be a part of a statement only.
    return text if _compiles(text) else None


def _class_source(cls: type) -> str | None:
    """Look a class up in its methods' files, then in all cells, the latest first: a kernel's classes have no file."""
    methods = [member for member in vars(cls).values() if isinstance(member, FunctionType)]
    cells = [name for name, entry in linecache.cache.items() if len(entry) > 1 and entry[1] is None]
    for file in dict.fromkeys([*(method.__code__.co_filename for method in methods), *reversed(cells)]):
        lines = linecache.getlines(file)
        try:
            tree = ast.parse("".join(lines))
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name == cls.__name__:
                first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                return textwrap.dedent("".join(lines[first - 1 : node.end_lineno])).rstrip()
    return None


def _bound(text: str) -> set[str]:
    named = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in ast.parse(text).body if isinstance(node, named)}


def _indent(body: str) -> str:
    """Indent a cell by four spaces, but not the inside of strings that span lines."""
    inside: set[int] = set()
    try:
        for token in tokenize.generate_tokens(io.StringIO(body).readline):
            multiline = token.type == tokenize.STRING or tokenize.tok_name[token.type] == "FSTRING_MIDDLE"
            if multiline and token.end[0] > token.start[0]:
                inside.update(range(token.start[0] + 1, token.end[0] + 1))
    except (tokenize.TokenError, IndentationError):
        inside.clear()
    # Not str.splitlines, which takes characters for line ends that strings may hold.
    lines = io.StringIO(body).readlines() or ["pass"]
    text = "".join(
        line if number in inside or not line.strip() else "    " + line
        for number, line in enumerate(lines, start=1)
    )
    if not text.endswith("\n"):
        text += "\n"
    has_statement = any(line.strip() and not line.lstrip().startswith("#") for line in lines)
    return text if has_statement else text + "    pass\n"


def _quoted(body: str, inputs: Sequence[str], outputs: Sequence[str]) -> str:
    given = "{" + ", ".join(f'"{each}": {each}' for each in inputs) + "}"
    values = ", ".join(f'cell["{each}"]' for each in outputs)
    back = f"    return {values}\n" if outputs else ""
    return (
        f"    import ast, asyncio, inspect\n\n"
        f"    cell = {{**globals(), **{given}}}\n"
        f"    code = compile({body!r}, 'cell', 'exec', ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)\n"
        f"    result = eval(code, cell)\n"
        f"    if inspect.iscoroutine(result):\n        asyncio.run(result)\n"
        f"{back}"
    )


def _compiles(text: str) -> bool:
    try:
        ast.parse(text)
        compile(text, "cell", "exec", dont_inherit=True)
    except SyntaxError:
        return False
    return True
