"""The buttons that only a page can serve: the clipboard, and cells of the notebook that is open in it."""

from __future__ import annotations

from importlib.resources import files

import anywidget
from traitlets import Bool, Unicode


class Actions(anywidget.AnyWidget):
    """Made by the form; `actions.js` draws it and says what it does where."""

    _esm = files(__package__).joinpath("actions.js").read_text("utf-8")

    line = Unicode().tag(sync=True)  # the whole magic line; empty while the choice is impossible
    spoken = Unicode().tag(sync=True)  # for screen readers: what has changed
    cell = Bool().tag(sync=True)  # whether a cell waits for the choice
    root = Unicode().tag(sync=True)  # model ID of the form, by which its cell is found
