"""Colour sequences (ECMA-48 SGR) as HTML: a class per colour, so that the page's style decides what reads well."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import escape

_SGR = re.compile(r"\x1b\[([0-9;:]*)m")
_ATTRIBUTES = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "reverse", 9: "strike"}
_ENDS = {22: ("bold", "dim"), 23: ("italic",), 24: ("underline",), 27: ("reverse",), 29: ("strike",)}
_STEPS = (0, 95, 135, 175, 215, 255)  # of the 6 x 6 x 6 cube of xterm's 256 colours


@dataclass(frozen=True, slots=True)
class Look:
    """How text looks from some point on; a colour is 0 to 15, or "#rrggbb"."""

    front: int | str | None = None
    back: int | str | None = None
    attributes: frozenset[str] = frozenset()

    def after(self, codes: str) -> Look:
        """Return the look after one sequence, e.g. "1;31"; what is unknown changes nothing."""
        look, numbers = self, [int(each[:4] or 0) for each in re.split("[;:]", codes)[:32]]
        while numbers:
            code = numbers.pop(0)
            if code == 0:
                look = Look()
            elif code in _ATTRIBUTES:
                look = replace(look, attributes=look.attributes | {_ATTRIBUTES[code]})
            elif code in _ENDS:
                look = replace(look, attributes=look.attributes.difference(_ENDS[code]))
            elif code in (38, 48):
                colour = _extended(numbers)
                look = replace(look, front=colour) if code == 38 else replace(look, back=colour)
            elif code in (39, 49):
                look = replace(look, front=None) if code == 39 else replace(look, back=None)
            elif (colour := _simple(code)) is not None:
                look = (
                    replace(look, front=colour)
                    if code in range(30, 38) or code in range(90, 98)
                    else replace(look, back=colour)
                )
        return look


def _simple(code: int) -> int | None:
    for start, first in ((30, 0), (90, 8), (40, 0), (100, 8)):
        if start <= code < start + 8:
            return first + code - start
    return None


def _extended(numbers: list[int]) -> int | str | None:
    """Take the rest of e.g. 38;5;208 or 38;2;255;128;0 from the list."""
    kind = numbers.pop(0) if numbers else 0
    if kind == 2 and len(numbers) >= 3:
        red, green, blue = (min(255, numbers.pop(0)) for _ in range(3))
        return f"#{red:02x}{green:02x}{blue:02x}"
    if kind != 5 or not numbers:
        return None
    number = min(255, numbers.pop(0))
    if number < 16:
        return number
    if number >= 232:
        return "#" + f"{8 + 10 * (number - 232):02x}" * 3
    red, green, blue = (number - 16) // 36, (number - 16) // 6 % 6, (number - 16) % 6
    return f"#{_STEPS[red]:02x}{_STEPS[green]:02x}{_STEPS[blue]:02x}"


def runs(text: str, look: Look) -> Iterator[tuple[str, Look]]:
    """Yield the pieces of a text with their looks; the last one, maybe empty, has the look at its end."""
    start = 0
    for match in _SGR.finditer(text):
        if match.start() > start:
            yield text[start : match.start()], look
        look, start = look.after(match[1]), match.end()
    yield text[start:], look


def markup(text: str, look: Look) -> tuple[str, Look]:
    """Return the text as escaped HTML, and the look at its end."""
    parts = []
    for piece, each in runs(text, look):
        look = each
        if piece:
            parts.append(_span(escape(piece, quote=False), each))
    return "".join(parts), look


def _span(content: str, look: Look) -> str:
    if look == Look():
        return content
    classes = [f"zmnb-{name}" for name in sorted(look.attributes)]
    styles = []
    for colour, letter, name in ((look.front, "f", "color"), (look.back, "b", "background-color")):
        if isinstance(colour, int):
            classes.append(f"zmnb-{letter}{colour}")
        elif colour is not None:
            styles.append(f"{name}:{colour}")
    given = f' class="{" ".join(classes)}"' if classes else ""
    given += f' style="{";".join(styles)}"' if styles else ""
    return f"<span{given}>{content}</span>"
