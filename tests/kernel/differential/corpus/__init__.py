"""The corpus, by what a cell may hold: one module per group, each with its `CASES`."""

from __future__ import annotations

from corpus import (
    arrays,
    asynchronous,
    changes,
    classes,
    comprehensions,
    control_flow,
    displays,
    errors,
    estimators,
    files,
    functions,
    imports,
    in_and_out,
    instances,
    ipython_syntax,
    leftovers,
    local_modules,
    names,
    printing,
    progress,
    randomness,
    references,
    sharing,
    tables,
    types,
    values,
)
from corpus.case import Case

GROUPS: dict[str, tuple[Case, ...]] = {
    module.__name__.rpartition(".")[2].replace("_", " "): module.CASES
    for module in (
        names, functions, classes, sharing, changes, control_flow, comprehensions, asynchronous, ipython_syntax,
        displays, printing, imports, local_modules, files, arrays, tables, estimators, randomness, errors, values,
        leftovers, progress, in_and_out, types, instances, references,
    )
}  # fmt: skip
