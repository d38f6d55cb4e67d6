"""`%time` and `%%time` as Python that leaves no name of its own in the notebook."""

from __future__ import annotations

import ast

_NOW = "__import__('time').perf_counter()"
# The start of `%%time` is kept on a module, so that no name of ours appears among the cell's.
_START = "__import__('sys')._cell_started"


def _report(start: str) -> str:
    return f"print('Wall time: %.3g s' % ({_NOW} - {start}))"


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
