"""The objects of `IPython.display`, for an image without IPython: each is shown by its own representation.

Names, arguments and MIME types are those of IPython 9 (`IPython.core.display`).
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar


class DisplayObject:
    """Data of one MIME type, given as it is, or read from a file or an address."""

    kind: ClassVar[str] = "text/plain"

    def __init__(
        self,
        data: Any = None,
        url: str | None = None,
        filename: Any = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        if isinstance(data, str | Path) and str(data).startswith(("http://", "https://")):
            data, url = None, str(data)
        elif isinstance(data, Path):
            data, filename = None, data
        if filename is not None:
            data = Path(filename).read_bytes()
        elif url is not None:
            from urllib.request import urlopen  # takes 50 ms, which few cells need

            with urlopen(url) as answer:  # noqa: S310  # the user's own address, as in IPython
                data = answer.read()
        self.data = data
        self.url = url
        self.filename = filename
        self.metadata = metadata or {}

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Any:
        return {self.kind: self._content(), "text/plain": repr(self)}, {self.kind: self.metadata}

    def _content(self) -> Any:
        return self.data.decode() if isinstance(self.data, bytes) else self.data

    def __repr__(self) -> str:
        return f"<IPython.core.display.{type(self).__name__} object>"


class HTML(DisplayObject):
    """Markup."""

    kind = "text/html"

    def _repr_html_(self) -> Any:
        return self._content()

    __html__ = _repr_html_


class Markdown(DisplayObject):
    """Markdown."""

    kind = "text/markdown"


class Latex(DisplayObject):
    """LaTeX."""

    kind = "text/latex"


class Math(Latex):
    """A formula."""

    def _content(self) -> Any:
        return rf"$\displaystyle {str(super()._content()).strip('$')}$"


class SVG(DisplayObject):
    """A drawing."""

    kind = "image/svg+xml"


class Javascript(DisplayObject):
    """A script."""

    kind = "application/javascript"


class JSON(DisplayObject):
    """A structure: objects and lists, or their text."""

    kind = "application/json"

    def _content(self) -> Any:
        content = super()._content()
        return json.loads(content) if isinstance(content, str) else content


class Pretty(DisplayObject):
    """Plain text, shown without quotes."""

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Any:
        return {"text/plain": self._content()}


class Code(DisplayObject):
    """Source text."""

    kind = "text/html"

    def __init__(
        self, data: Any = None, url: str | None = None, filename: Any = None, language: str = ""
    ) -> None:
        super().__init__(data, url, filename)
        self.language = language

    def _content(self) -> Any:
        return f"<pre>{html.escape(str(super()._content()))}</pre>"


class IFrame(DisplayObject):
    """Another page."""

    kind = "text/html"

    def __init__(self, src: str, width: Any, height: Any, **_: Any) -> None:
        super().__init__()
        self.src, self.width, self.height = src, width, height

    def _content(self) -> Any:
        return f'<iframe width="{self.width}" height="{self.height}" src="{html.escape(self.src)}"></iframe>'


class Image(DisplayObject):
    """A picture: PNG, JPEG or GIF, by its first bytes."""

    def __init__(
        self,
        data: Any = None,
        url: str | None = None,
        filename: Any = None,
        format: str | None = None,  # noqa: A002  # IPython's name
        width: int | None = None,
        height: int | None = None,
        metadata: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        if isinstance(data, str) and not data.startswith(("http://", "https://")):
            data, filename = None, data
        super().__init__(data, url, filename, metadata)
        self.format = format or _picture_format(self.data)
        size = {"width": width, "height": height}
        self.metadata |= {name: value for name, value in size.items() if value is not None}

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Any:
        kind = f"image/{'jpeg' if self.format == 'jpg' else self.format}"
        data = {kind: base64.b64encode(self.data).decode(), "text/plain": repr(self)}
        return data, {kind: self.metadata} if self.metadata else {}


def _picture_format(data: bytes) -> str:
    if data.startswith(b"\xff\xd8"):
        return "jpeg"
    return "gif" if data.startswith(b"GIF8") else "png"


def modules(functions: Mapping[str, Any]) -> dict[str, ModuleType]:
    """Make the modules under which programs import these objects, together with the functions that show."""
    kinds = (DisplayObject, HTML, Markdown, Latex, Math, SVG, Javascript, JSON, Pretty, Code, IFrame, Image)
    names = {**{kind.__name__: kind for kind in kinds}, **functions}
    display, old = ModuleType("IPython.display", __doc__), ModuleType("IPython.core.display", __doc__)
    for module in (display, old):
        vars(module).update(names)
    ipython = ModuleType("IPython")
    # What programs ask to find out whether they run in IPython: they do not.
    vars(ipython).update(get_ipython=lambda: None, version_info=(9, 0, 0, ""), __version__="9.0.0")
    vars(ipython).update(display=functions["display"])
    made = (ipython, ModuleType("IPython.core"), display, old)
    return {module.__name__: module for module in made}
