"""`%time` and `%timeit` as IPython measures and tells them (`IPython.core.magics.execution`, version 9)."""

from __future__ import annotations

import ast
import gc
import itertools
import math
import resource
import sys
import time
import timeit as standard
import types
from collections.abc import Callable
from typing import Any

from zenml_modal_nb.runner import stand_in

_EXECUTION = "IPython.core.magics.execution"  # the module that TimeitResult says it is of
_TEMPLATE = """
def inner(_it, _timer):
    pass
    _t0 = _timer()
    for _i in _it:
        pass
    _t1 = _timer()
    return _t1 - _t0
"""
_UNITS = (("s", 1.0), ("ms", 1e3), ("μs", 1e6), ("ns", 1e9))


def evaluated(code: str, namespace: dict[str, Any], local: dict[str, Any] | None) -> Any:
    """Run code and return the value of a last expression."""
    tree = ast.parse(code.strip("\n"))
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<magic>", "exec"), namespace, local)  # noqa: S102  # the user's code
    if last is None:
        return None
    expression = ast.Expression(last.value)  # type: ignore[attr-defined]  # it is an ast.Expr
    return eval(compile(expression, "<magic>", "eval"), namespace, local)  # noqa: S307  # as above


def time_it(code: str, namespace: dict[str, Any], local: dict[str, Any] | None) -> Any:
    """Run code, print how long it took, and return its value."""
    start = _now()
    value = evaluated(code, namespace, local)
    wall, user, system = (after - before for before, after in zip(start, _now(), strict=True))
    cpu = f"CPU times: user {_written(user)}, sys: {_written(system)}, total: {_written(user + system)}"
    sys.stdout.write(f"{cpu}\nWall time: {_written(wall)}\n")
    return value


class TimeitResult:
    """What `%timeit -o` returns; in the notebook it is IPython's own."""

    def __init__(
        self,
        loops: int,
        repeat: int,
        best: float,
        worst: float,
        all_runs: list[float],
        compile_time: float,
        precision: int,
    ) -> None:
        self.loops = loops
        self.repeat = repeat
        self.best = best
        self.worst = worst
        self.all_runs = all_runs
        self.compile_time = compile_time
        self._precision = precision
        self.timings = [run / loops for run in all_runs]

    @property
    def average(self) -> float:
        """Seconds of one loop."""
        return math.fsum(self.timings) / len(self.timings)

    @property
    def stdev(self) -> float:
        """Seconds."""
        squares = [(one - self.average) ** 2 for one in self.timings]
        return math.sqrt(math.fsum(squares) / len(squares))

    def __str__(self) -> str:
        runs = f"{self.repeat} run{'' if self.repeat == 1 else 's'}"
        loops = f"{self.loops:,} loop{'' if self.loops == 1 else 's'}"
        mean, deviation = (_written(seconds, self._precision) for seconds in (self.average, self.stdev))
        return f"{mean} ± {deviation} per loop (mean ± std. dev. of {runs}, {loops} each)"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(f"<TimeitResult : {self}>")


TimeitResult.__module__ = _EXECUTION  # so that it comes back as IPython's


def modules() -> dict[str, types.ModuleType]:
    """Make the module that TimeitResult is found in where IPython is not installed."""
    made = types.ModuleType(_EXECUTION, __doc__)
    vars(made)["TimeitResult"] = TimeitResult
    return {_EXECUTION: made, "IPython.core.magics": types.ModuleType("IPython.core.magics")}


def timeit(line: str, cell: str | None, namespace: dict[str, Any], local: dict[str, Any] | None) -> Any:
    """Time the statement of a line, or a cell's body with the line as its set-up; returns a result with -o."""
    options, statement = _options(line)
    if not statement and cell is None:
        return None
    started = _cpu()
    timer = standard.Timer(timer=_clock(options))
    timer.inner = _inner(statement, cell, namespace, local)  # type: ignore[attr-defined]  # Timer keeps it there
    compiled = _cpu() - started
    number = int(options.get("-n", 0)) or _enough(timer)
    repeat = int(options.get("-r", 7))
    runs = [_timed(timer, number) for _ in range(repeat)]
    kind = stand_in.find(_EXECUTION, "TimeitResult")  # the image's own, where it has IPython
    best, worst = min(runs) / number, max(runs) / number
    result = kind(number, repeat, best, worst, runs, compiled, int(options.get("-p", 3)))
    if "-q" not in options:
        if worst > 4 * best > 0 and worst > 1e-6:
            sys.stdout.write(
                f"The slowest run took {worst / best:0.2f} times longer than the fastest. This could mean that an "
                "intermediate result is being cached.\n"
            )
        sys.stdout.write(f"{result}\n")
    if "-v" in options:
        namespace[options["-v"]] = result
    return result if "-o" in options else None


def _options(line: str) -> tuple[dict[str, str], str]:
    """Split e.g. `-n 10 -r 3 f(x)`; the statement is left as it is."""
    options: dict[str, str] = {}
    rest = line.strip()
    while rest.startswith("-") and rest[1:2] in tuple("nrtcpqov"):
        flag, rest = rest[:2], rest[2:]
        if flag[1] in "nrpv":
            value, _, rest = rest.lstrip().partition(" ")
            options[flag] = value
        else:
            options[flag] = ""
            if rest[:1] in tuple("nrtcpqov"):  # e.g. `-qo`
                rest = f"-{rest}"
        rest = rest.strip()
    return options, rest


def _inner(
    statement: str, cell: str | None, namespace: dict[str, Any], local: dict[str, Any] | None
) -> Callable[..., float]:
    setup, timed = ("pass", statement) if cell is None else (statement or "pass", cell)
    function = ast.parse(_TEMPLATE)
    inner = function.body[0]
    assert isinstance(inner, ast.FunctionDef)
    loop = inner.body[2]
    assert isinstance(loop, ast.For)
    loop.body = ast.parse(timed).body or loop.body
    inner.body[:1] = ast.parse(setup).body
    made: dict[str, Any] = {}
    names = {**namespace, **local} if local else namespace
    exec(compile(ast.fix_missing_locations(function), "<magic-timeit>", "exec"), names, made)  # noqa: S102  # as above
    return made["inner"]  # type: ignore[no-any-return]  # the template's function


def _enough(timer: standard.Timer) -> int:
    """As many loops as take 0.2 s."""
    number = 1
    for exponent in range(10):
        number = 10**exponent
        if _timed(timer, number) >= 0.2:
            break
    return number


def _timed(timer: standard.Timer, number: int) -> float:
    collects = gc.isenabled()
    gc.disable()
    try:
        return float(timer.inner(itertools.repeat(None, number), timer.timer))  # type: ignore[attr-defined]  # as above
    finally:
        if collects:
            gc.enable()


def _clock(options: dict[str, str]) -> Callable[[], float]:
    if "-c" in options:
        return _cpu
    return time.time if "-t" in options else standard.default_timer


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _now() -> tuple[float, float, float]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter(), used.ru_utime, used.ru_stime


def _written(seconds: float, precision: int = 3) -> str:
    """A duration as IPython writes it, e.g. "1.5 s", "12 ms" and, from a minute on, "1min 3s"."""
    if seconds >= 60:
        parts = (
            ("d", seconds // 86400),
            ("h", seconds // 3600 % 24),
            ("min", seconds // 60 % 60),
            ("s", seconds % 60 // 1),
        )
        return " ".join(f"{number:.0f}{unit}" for unit, number in parts if number)
    order = min(-int(math.floor(math.log10(seconds)) // 3), 3) if seconds > 0 else 3
    unit, scale = _UNITS[max(order, 0)]
    return f"{seconds * scale:.{precision}g} {unit}"
