"""`--in` and `--out`: fewer names than the analysis finds, or others."""

from __future__ import annotations

from corpus.case import Case

CASES = (
    Case("one output of two", "a = 1\nb = 2", options="--out a", here="a = 1", fast=True),
    Case(
        "an output that replaces, and one that does not",
        "a, b = 10, 20",
        setup=("a, b = 1, 2",),
        options="--out a",
        here="a = 10",
    ),
    Case("several outputs", "a = [1]\nb = a\nc = 3", options="--out a,b", here="a = [1]\nb = a"),
    Case(
        "a change that an output reaches",
        "inner.append(1)\nother.append(1)\nouter = [inner]",
        setup=("inner, other = [], []",),
        options="--out outer",
        here="inner.append(1)\nouter = [inner]",
    ),
    Case("an output bound on one path", "if flag:\n    a = 1", setup=("flag = True",), options="--out a"),
    Case(
        "an imported name as output",
        "import json\na = 1",
        options="--out json",
        here="import json",
        then=("json",),
    ),
    Case("a deleted name left alone", "a = 1\ndel b", setup=("b = 2",), options="--out a", here="a = 1"),
    Case(
        "an input that only globals() reads",
        "value = globals()['hidden'] + shown",
        setup=("hidden, shown = 5, 1",),
        options="--in hidden,shown",
        fast=True,
    ),
    Case(
        "an input that is not sent",
        "found = 'maybe' in globals()\nif found:\n    maybe\nn = base",
        setup=("maybe, base = 1, 2",),
        options="--in base,maybe",
    ),
    Case(
        "inputs and outputs", "a = x + 1\nb = 2", setup=("x = 1",), options="--in x --out a", here="a = x + 1"
    ),
    Case("an input that does not exist", "a = 1", options="--in nowhere", refused="nowhere"),
    Case("an input that is left out", "a = x + y", setup=("x, y = 1, 2",), options="--in x", refused="y"),
    Case("an output that is never bound", "a = 1", options="--out b", refused="b"),
)
