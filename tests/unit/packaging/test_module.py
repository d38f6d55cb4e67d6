"""The text of a cell's step module: what a user reads in ZenML, and what a connected run executes."""

from __future__ import annotations

import ast
import asyncio
import linecache
import math
import os.path
from collections.abc import Mapping
from itertools import count
from typing import Any

import pytest

from zenml_modal_nb.packaging.module import write_module
from zenml_modal_nb.pipelines.step_module import StepModule

_numbers = count()


def notebook(source: str) -> dict[str, Any]:
    """Run a cell of a notebook whose source can be read, as in a kernel."""
    filename = f"<cell {next(_numbers)}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source, filename, "exec"), namespace)
    return namespace


def module(
    body: str,
    *,
    name: str = "train",
    inputs: tuple[str, ...] = (),
    outputs: tuple[str, ...] = (),
    modules: Mapping[str, str] | None = None,
    definitions: Mapping[str, object] | None = None,
    references: Mapping[str, object] | None = None,
) -> StepModule:
    return write_module(
        body,
        name=name,
        inputs=inputs,
        outputs=outputs,
        modules=modules or {},
        definitions=definitions or {},
        references=references or {},
    )


def run(written: StepModule, *values: object) -> Any:
    namespace: dict[str, Any] = {"__name__": "step_module"}
    exec(compile(written.text, "<step>", "exec"), namespace)
    return namespace[written.function](*values)


def test_a_cell_becomes_a_function_of_what_it_reads_that_returns_what_it_binds() -> None:
    assert module("b = a * 2\nc = b + 1\n", inputs=("a",), outputs=("b", "c")).text == (
        "from typing import Annotated, Any\n"
        "\n\n"
        'def train(a: Any) -> tuple[Annotated[Any, "b"], Annotated[Any, "c"]]:\n'
        "    b = a * 2\n"
        "    c = b + 1\n"
        "    return b, c\n"
    )


def test_a_single_output_is_not_a_tuple() -> None:
    written = module("b = a", inputs=("a",), outputs=("b",))
    assert 'def train(a: Any) -> Annotated[Any, "b"]:\n    b = a\n    return b\n' in written.text
    assert run(written, 7) == 7


def test_a_cell_that_binds_nothing_returns_nothing() -> None:
    written = module("print('x')")
    assert "def train() -> None:\n    print('x')\n" in written.text
    assert "return" not in written.text


@pytest.mark.parametrize("body", ["# only a comment\n", "", "\n\n", "# a\n\n  # b"])
def test_a_cell_without_a_statement_is_a_function_all_the_same(body: str) -> None:
    assert run(module(body)) is None


def test_imports_of_other_cells_are_written_as_a_person_would() -> None:
    written = module(
        "pass",
        modules={"np": "numpy", "math": "math", "plt": "matplotlib.pyplot", "pyplot": "matplotlib.pyplot"},
        references={"join": os.path.join, "root": math.sqrt, "D": dict.fromkeys},
    )
    assert written.text.split("\n\n\n")[1] == (
        "from math import sqrt as root\n"
        "from matplotlib import pyplot\n"
        "from posixpath import join\n"
        "import math\n"
        "import matplotlib.pyplot as plt\n"
        "import numpy as np"
    )


def test_definitions_of_other_cells_are_in_the_text_once() -> None:
    cells = notebook("class Model:\n    size = 3\n\ndef helper(x):\n    return Model.size * x\n")
    definitions = {name: cells[name] for name in ("Model", "helper")}
    written = module("y = helper(x)", inputs=("x",), outputs=("y",), definitions=definitions)
    assert written.text.count("def helper(x):\n    return Model.size * x") == 1
    order = [written.text.index(part) for part in ("class Model", "def helper", "def train")]
    assert order == sorted(order)
    assert run(written, 5) == 15


def test_a_definition_with_a_second_name_has_both() -> None:
    cells = notebook("def helper(x):\n    return -x\n\nalias = helper\n")
    definitions = {"helper": cells["helper"], "alias": cells["alias"]}
    written = module("y = alias(x)", inputs=("x",), outputs=("y",), definitions=definitions)
    assert run(written, 5) == -5


def test_a_class_without_methods_is_found_too_in_its_latest_form() -> None:
    notebook("class Model:\n    size = 3\n")
    cells = notebook("import dataclasses\n\n@dataclasses.dataclass\nclass Model:\n    size: int = 4\n")
    written = module("y = Model().size", outputs=("y",), definitions={"Model": cells["Model"]})
    assert "@dataclasses.dataclass\nclass Model:\n    size: int = 4\n\n\ndef train" in written.text


def test_a_definition_without_a_source_is_named() -> None:
    namespace: dict[str, Any] = {}
    exec("def helper(): pass", namespace)
    written = module("pass", definitions={"helper": namespace["helper"]})
    assert "# helper was defined without a source that can be shown" in written.text
    run(written)


def test_a_definition_whose_lines_are_no_statement_of_their_own_does_not_break_the_module() -> None:
    cells = notebook("number, double = 1, (\n    lambda x: x * 2)\n")
    written = module("pass", definitions={"double": cells["double"]})
    ast.parse(written.text)
    assert "# double" in written.text


CELLS = {
    "strings over lines": 'text = """a\n  b\n\nc"""\nraw = f"""{x}\n{x}\n  {\n x}"""',
    "a string continued by a backslash": "text = 'a\\\n  b'\nraw = x",
    "characters that other programs take for line ends": "text = 'a\x0cb\u2028c\x85d\x1ce'\nraw = x",
    "blocks": "text = ''\nfor i in range(x):\n    if i % 2:\n\n        text += str(i)\n# comment\nraw = x",
    "nested definitions": "def f(n):\n    def g():\n        return n + x\n    return g()\ntext = f(1)\nraw = 1",
    "an expression over lines": "text = (\nx +\n   1\n)\nraw = [\n1]",
    "decorators": "import functools\n@functools.cache\ndef f(n):\n    return n\ntext = f(x)\nraw = 0",
    "tabs": "if x:\n\ttext = 1\nelse:\n\ttext = 2\nraw = 3",
    "statements on one line": "text = 1; raw = 2",
    "the magic line's empty line": "\ntext = x\nraw = x",
    "a star import": "from math import *\ntext = sqrt(x)\nraw = pi",
    "top-level await": "import asyncio\nawait asyncio.sleep(0)\ntext = 'done'\nraw = await asyncio.sleep(0, x)",
    "an asynchronous loop": "async def f():\n    yield x\ntext = [i async for i in f()]\nraw = 0",
    "a future": "from __future__ import annotations\ndef f(a: nothing): return a\ntext = f(x)\nraw = 0",
    "global": "global text\ntext = x\nraw = 1",
    "a changed input": "x += 1\ntext = x\nraw = -x",
    "a name of ours": "cell = 1\nast = 2\ntext = cell + ast\nraw = x",
    "a quote in the text": 'text = "it\'s \\"x\\" \\\\"\nfrom math import *\nraw = x',
}


@pytest.mark.parametrize("body", CELLS.values(), ids=CELLS)
def test_the_function_does_what_the_cell_does(body: str) -> None:
    written = module(body, inputs=("x",), outputs=("text", "raw"))
    namespace: dict[str, Any] = {"x": 4}
    code = compile(body, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    result = eval(code, namespace)
    if result is not None:
        asyncio.run(result)
    assert run(written, 4) == (namespace["text"], namespace["raw"])


def test_the_same_cell_has_the_same_digest_and_another_has_another() -> None:
    one, same, other = module("x = 1"), module("x = 1"), module("x = 2")
    assert one.digest == same.digest != other.digest
    assert len(one.digest) == 40
