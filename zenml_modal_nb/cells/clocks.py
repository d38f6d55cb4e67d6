"""`%time` and `%%time` as Python that leaves no name of its own in the notebook."""

from __future__ import annotations

import ast

# Wall clock, user and system time of this process, in seconds; IPython reports the same three.
_NOW = "(__import__('time').perf_counter(), *__import__('resource').getrusage(0)[:2])"
# The start of `%%time` is kept on a module, so that no name of ours appears among the cell's.
_START = "__import__('sys')._cell_started"


# A duration as IPython writes it, e.g. "1.5 s", "12 ms" and, from a minute on, "1min 3s".
_WRITTEN = (
    "lambda t: ' '.join(f'{n:.0f}{u}' for n, u in zip((t // 86400, t // 3600 % 24, t // 60 % 60, t % 60 // 1), "
    "('d', 'h', 'min', 's')) if n) if t >= 60 else "
    "next(f'{t * k:.3g} {u}' for k, u in ((1, 's'), (1e3, 'ms'), (1e6, 'μs'), (1e9, 'ns')) "
    "if t * k >= 1 or u == 'ns')"
)


def _report(start: str) -> str:
    spent = f"(lambda w, u, s: (u, s, u + s, w))(*map(float.__sub__, {_NOW}, {start}))"
    words = "'CPU times: user %s, sys: %s, total: %s\\nWall time: %s'"
    return f"print({words} % tuple(map({_WRITTEN}, {spent})))"


def timed_expression(code: str) -> str:
    """Return an expression that evaluates `code`, prints how long it took and has its value."""
    return f"(lambda start: lambda value: {_report('start')} or value)({_NOW})(({code}))"


def timed_statement(code: str) -> str:
    """Return one line that runs simple statements and prints how long they took."""
    timer = f"__import__('types').SimpleNamespace(close=lambda start={_NOW}: {_report('start')})"
    return f"with __import__('contextlib').closing({timer}): {code}"


def timed_cell(lines: list[str]) -> list[str]:
    """Return a cell, whose first line is free, that prints how long it took before it shows its last value.

    Errors: SyntaxError.
    """
    text = "".join(lines)
    tree = ast.parse(text)
    start = f"{_START} = {_NOW}\n"
    report = _report(_START)
    last = tree.body[-1] if tree.body else None
    if not isinstance(last, ast.Expr) or last.end_lineno is None or last.end_col_offset is None:
        ending = lines[-1] if lines[-1].endswith("\n") else lines[-1] + "\n"
        return [start, *lines[1:-1], ending, f"if {report}: pass\n"]
    result = [line.encode() for line in lines]  # the syntax tree counts columns in bytes
    row, column = last.end_lineno - 1, last.end_col_offset
    result[row] = result[row][:column] + b"))" + result[row][column:]
    row, column = last.lineno - 1, last.col_offset
    opening = f"(lambda value: {report} or value)((".encode()  # twice: `1, 2` is one value
    result[row] = result[row][:column] + opening + result[row][column:]
    return [start, *(line.decode() for line in result[1:])]
