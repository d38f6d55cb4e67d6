"""What a run's widgets have shown in the end, for a page that was loaded again while the cell ran.

Such a page has the widgets of the notebook's file, if that was saved meanwhile, and none of the messages that have
put plain pages in their place. When the kernel is free it asks for all widgets: these answer under the same names.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import anywidget
import traitlets
from ipykernel.comm import Comm
from ipykernel.kernelbase import Kernel

MOST_RUNS = 8  # whose pages are kept

_SCRIPT = "export default { render({ model, el }) { el.innerHTML = model.get('html'); } };"


class Kept(anywidget.AnyWidget):
    """A page of a run that has ended; made by `keep` under the name of the widget that it replaces."""

    _esm = _SCRIPT
    html = traitlets.Unicode().tag(sync=True)  # made by `markup`, which has escaped what others wrote

    def open(self) -> None:
        """Be there for who asks, and tell nobody: the page that has seen the run's end has better."""
        if self.comm is None:
            kernel: Any = Kernel.instance()
            channel: Any = Comm(  # type: ignore[no-untyped-call]  # ipykernel's
                target_name="jupyter.widget", comm_id=self._model_id, primary=False
            )
            channel.kernel = kernel  # noted when one opens; without it ipywidgets sends no answer
            kernel.comm_manager.register_comm(channel)
            self.comm: Any = channel


_runs: deque[tuple[list[Kept], Any]] = deque()  # pages and the layout that they share


def keep(pages: Mapping[str, str], layout: Any) -> None:
    """Keep the HTML of a run's pages, by the names of the widgets that showed it; the oldest run's go."""
    kept = [Kept(model_id=name, html=html, layout=layout) for name, html in pages.items()]
    _runs.append((kept, layout))
    while len(_runs) > MOST_RUNS:
        gone, layout = _runs.popleft()
        for each in (*gone, layout):
            each.close()
