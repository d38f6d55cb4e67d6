"""Cases that are not run yet: what they ask for is not built, and one line says what differs.

Whoever builds it removes the line.
"""

from __future__ import annotations

_UNRECORDED = "what the cell bound comes back, but ZenML cannot record it, and the cell fails: "
_NOT_SENT = "the run cannot be started, since ZenML cannot save an input: "

OPEN: dict[str, str] = {
    # Recording: a value that ZenML has no way to save must not cost the user the cell.
    "classes: a class made by the cell": _UNRECORDED + "an instance of a class that the same cell defines",
    "classes: inheritance across cells": _UNRECORDED + "the same",
    "classes: a dataclass of the cell": _UNRECORDED + "the same",
    "classes: a dataclass with slots": _UNRECORDED + "the same",
    "classes: an enumeration of the cell": _UNRECORDED + "a member of an enumeration of the same cell",
    "classes: slots of the cell's own class": _UNRECORDED
    + "an instance of a class that the same cell defines",
    "classes: a class nested in a class": _UNRECORDED + "an instance of a class inside a class",
    "sharing: parent and child refer to each other": _UNRECORDED + "an instance of a class of the same cell",
    "sharing: weak references": _UNRECORDED + "the same",
    "local modules: a subclass of a module's class": _UNRECORDED + "the same",
    "values: an attrs and a pydantic class": _UNRECORDED + "the same",
    "classes: a bound method": _UNRECORDED + "a bound method",
    "functions: a cached function of the cell's own": _UNRECORDED + "a function under functools.cache",
    "functions: a dispatched function": _UNRECORDED + "a function under functools.singledispatch",
    "sharing: an object that contains itself": _UNRECORDED + "a list that contains itself",
    "sharing: singletons": _UNRECORDED + "Ellipsis and NotImplemented",
    "values: an ellipsis in a list": _UNRECORDED + "Ellipsis in a list",
    "arrays: types and shapes": _UNRECORDED + "an array without dimensions",
    "arrays: masked arrays": _UNRECORDED + "a masked array",
    "values: paths, dates, patterns and identifiers": _UNRECORDED + "a Path, taken for a file to upload",
    "imports: an import on one path": _UNRECORDED + "a name that one of several imports binds, a module",
    "imports: an import in a try": _UNRECORDED + "the same",
    "imports: an import by name": _UNRECORDED + "a module bound by assignment",
    "imports: a module kept in a container": _NOT_SENT + "a module in a dictionary",
    "values: a simulated module of settings": _NOT_SENT + "a module made by hand",
    "changes: two inputs that refer to each other": _NOT_SENT + "dictionaries that contain each other",
    "classes: a class redefined after its instance was made": _NOT_SENT
    + "an instance of a class since redefined",
    # Values: what comes back differs.
    "arrays: a view and its array, both new": "arrays that share memory in the sandbox have their own here",
    "arrays: columns of Fortran order": "the same",
    "sharing: a view made of an input": "the same, a new view of an array that is an input",
    "arrays: structured arrays and records": "a view as above; numpy.rec is not imported, so recarray travels by value",
    "classes: a class made inside a function": "its __qualname__ is its __name__; not recorded by ZenML either",
    "classes: a dataclass of the cell can be subclassed here": "its fields' MISSING is another object, a default then",
    "classes: a cached property": "refused: on Python 3.11 functools.cached_property holds a lock",
    "values: an open file": "not refused: cloudpickle sends its text, what is written is lost, a read one fails late",
    "values: a logger": "its level, set there, is not set here",
    "names: IPython's own name bound by the cell": "`_`, bound by the cell, stays there",
    # Errors.
    "errors: an error class of the notebook": "a RemoteCellError when __init__ takes other arguments than args",
    "errors: a keyboard interrupt of the cell's own": "a RemoteCellError",
    "errors: an error after an import": "what the cell imported before it failed is not imported here",
    "errors: an error of pandas and of numpy": "the same",
    "errors: an exit": "`sys.exit(0)` ends the cell well there; here IPython warns and shows SystemExit",
    "errors: a group of errors": "the traceback on stderr shows frames of this package, ZenML and IPython",
}
