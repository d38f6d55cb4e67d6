"""Code inside texts: of `eval` and the like, and what `get_ipython()` is given by `%timeit f(x)` or `!echo {x}`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from types import CodeType

from zenml_modal_nb.cells import shell
from zenml_modal_nb.cells.syntax import called_name, names_in_code, parsed

_RUNS_CODE = frozenset({"time", "timeit", "capture"})  # magics whose text is Python
_EVALUATES = frozenset({"ev", "ex"})
_EXPANDS = frozenset({"system", "getoutput", "system_raw", "system_piped", "var_expand"})
_MAGICS = frozenset({"run_line_magic", "run_cell_magic"})
_METHODS = _EVALUATES | _EXPANDS | _MAGICS
_OPTIONS = re.compile(r"(?:\s*-(?:[nrpv]\s*\S+|[tcqo]+)(?=\s|$))*")  # of %timeit


# Code in a string that is evaluated among the caller's names, e.g. `df.query("x > @limit")`, `eval("x + 1")`
# or the formula of `smf.ols("y ~ np.log(x)", df)`.
_QUERY_NAME = re.compile(r"@([A-Za-z_]\w*)")
_FORMULA_NAME = re.compile(r"(?<![\w.])([A-Za-z_]\w*)\s*[.(]")


def names_in_strings(call: ast.Call) -> set[str]:
    """Return the names that the texts of a call may read."""
    called = called_name(call)
    names: set[str] = set()
    for argument in [*call.args, *(keyword.value for keyword in call.keywords)]:
        text = argument.value if isinstance(argument, ast.Constant) else None
        if not isinstance(text, str):
            continue
        if called in {"query", "eval"} and "@" in text:
            names.update(_QUERY_NAME.findall(text))
        elif called == "eval":
            names.update(names_in_code(text))
        elif "~" in text:
            names.update(_FORMULA_NAME.findall(text))
    return names


def functions_in(call: ast.Call) -> Iterable[ast.FunctionDef]:
    """Return functions that read what the texts read which a call gives to `get_ipython()`."""
    function = call.func
    if isinstance(function, ast.Attribute) and function.attr in _METHODS and _is_ipythons(function.value):
        return _functions_in(call, function.attr)
    return ()


def _functions_in(call: ast.Call, called: str) -> Iterator[ast.FunctionDef]:
    texts = [
        each.value for each in call.args if isinstance(each, ast.Constant) and isinstance(each.value, str)
    ]
    name, *rest = texts if called in _MAGICS else ["", *texts]
    runs_code = called in _EVALUATES or name in _RUNS_CODE
    parts = [statements(text, name) if runs_code else _fields(text) for text in rest]
    # A cell's set-up and its body share their names.
    bodies = [[each for part in parts for each in part]] if name == "timeit" else parts
    for body in filter(None, bodies):
        function = _function(body)
        for node in ast.walk(function):
            if hasattr(node, "lineno"):
                ast.copy_location(node, call)
        yield function


def code_in(code: CodeType) -> Iterator[CodeType]:
    """Yield code that reads what the texts read which a function gives to `get_ipython()`."""
    if "get_ipython" not in code.co_names:
        return
    texts = [each for each in code.co_consts if isinstance(each, str)]
    # Which text is whose cannot be told here; but e.g. the word of `%cd data` alone is no variable.
    runs_code = not (_RUNS_CODE.isdisjoint(texts) and _EVALUATES.isdisjoint(code.co_names))
    for text in texts:
        for body in (_fields(text), statements(text, "timeit") if runs_code else []):
            if body:
                yield _compiled(_function(body))


def statements(text: str, magic: str = "") -> list[ast.stmt]:
    """The statements of a magic's text; none if it is not Python."""
    code = text[split(text) :] if magic == "timeit" else text
    if isinstance(parsed(code), SyntaxError):
        return []
    return ast.parse(code).body  # not the one that is remembered: its lines are changed


def split(text: str) -> int:
    """Where the code begins behind the options of `%timeit`, e.g. 6 for "-n 10 f()"."""
    found = _OPTIONS.match(text)
    return len(text) - len(text[found.end() if found else 0 :].lstrip())


def _is_ipythons(owner: ast.expr) -> bool:
    """Tell whether this is `get_ipython()`, or a variable that may hold it, e.g. `ip`."""
    return isinstance(owner, ast.Name) or (
        isinstance(owner, ast.Call) and called_name(owner) == "get_ipython"
    )


def _fields(text: str) -> list[ast.stmt]:
    found: list[ast.stmt] = [ast.Expr(ast.parse(code, mode="eval").body) for code in shell.expressions(text)]
    # A missing name does no harm: IPython leaves the text as it is.
    handler = ast.ExceptHandler(ast.Name("NameError", ast.Load()), None, [ast.Pass()])
    return [ast.Try(found, [handler], [], [])] if found else []


def _function(body: Iterable[ast.stmt]) -> ast.FunctionDef:
    function = ast.parse("def _(): pass").body[0]
    assert isinstance(function, ast.FunctionDef)
    function.body = [*body]
    return ast.fix_missing_locations(function)


def _compiled(function: ast.FunctionDef) -> CodeType:
    return compile(ast.Module([function], []), "<text>", "exec", dont_inherit=True)
