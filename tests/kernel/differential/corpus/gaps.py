"""Cases that are not run yet: what they ask for is not built, and one line says what differs."""

from __future__ import annotations

OPEN: dict[str, str] = {
    "classes: a dataclass of another cell": "a list that an output shares with an input comes back as a copy",
    "ipython syntax: the output of a command": "`x = !cmd` is a list, not IPython's SList",
    "errors: an error class of the notebook": "a class whose __init__ takes other arguments is not rebuilt",
    "values: an ellipsis in a list": "ZenML cannot record a list that holds an Ellipsis",
}
