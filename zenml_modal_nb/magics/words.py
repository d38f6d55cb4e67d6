"""What stands on the magic line: which options, with which texts, before any value is checked."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from zenml_modal_nb.errors import InvalidRequestError
from zenml_modal_nb.magics.options import BY_FLAG, BY_NEGATION, Option, unsupported
from zenml_modal_nb.spelling import nearest

_DASHES = "-–—"  # text copied from a page may have typographic ones


@dataclass(frozen=True, slots=True)
class Given:
    """Each option's texts in their order, and the options whose --no- form is there; read by `arguments`."""

    texts: Mapping[str, tuple[str, ...]]  # by flag; a switch has ("",)
    dropped: frozenset[str]  # flags

    def text(self, flag: str) -> str | None:
        """Return the one text of an option, None when it is not on the line."""
        return self.texts[flag][0] if flag in self.texts else None


def read(line: str) -> Given:
    """Return what the line says; raises `InvalidRequestError` for the first thing that is no option."""
    texts: dict[str, tuple[str, ...]] = {}
    dropped: set[str] = set()
    rest = _split(line)
    while rest:
        word = rest.pop(0)
        flag, equals, value = word.partition("=")
        option = BY_FLAG.get(flag) or BY_NEGATION.get(flag)
        if option is None:
            raise _not_an_option(word, flag)
        if not option.supported:
            raise unsupported(flag)
        takes_value = flag in BY_FLAG and option.metavar is not None
        if equals and not takes_value:
            raise InvalidRequestError(f"{flag} takes no value, but {value!r} follows it. Write {flag} alone.")
        if takes_value and not equals:
            if not rest or rest[0].startswith("--"):
                raise InvalidRequestError(f"{flag} needs a value: {option.meaning}.")
            value = rest.pop(0)
        if flag in BY_FLAG:
            texts[flag] = (*texts.get(flag, ()), value)
        else:
            dropped.add(option.flag)
        _check_once(option, texts.get(option.flag, ()), option.flag in dropped)
    return Given(texts, frozenset(dropped))


def _split(line: str) -> list[str]:
    """Split as a shell does, with no comments, variables or patterns."""
    try:
        return shlex.split(line)
    except ValueError as error:
        if "quotation" in str(error):
            message = f"A quote is opened and not closed in: {line.strip()}"
        else:
            message = "The line ends in a backslash. All options of a magic stand on one line."
        raise InvalidRequestError(message) from None


def _check_once(option: Option, texts: tuple[str, ...], dropped: bool) -> None:
    if option.repeatable or not texts:
        return
    if dropped:
        raise InvalidRequestError(f"{option.flag} and {option.negation} contradict each other. Keep one.")
    if len(texts) > 1 and option.metavar is not None:
        raise InvalidRequestError(f"{option.flag} is given twice ({' and '.join(texts)}). Keep one.")


def _not_an_option(word: str, flag: str) -> InvalidRequestError:
    bare = flag.lstrip(_DASHES).lower().replace("_", "-")
    if flag in ("?", "-?", "-h", "--help"):
        return InvalidRequestError("Type %%modal_step? in a cell of its own to see the options.")
    if f"--{bare.removeprefix('no-')}" in BY_FLAG and bare.startswith("no-"):
        return InvalidRequestError(f"Unknown option {flag}: it has no default to drop. Leave it out.")
    meant = nearest(f"--{bare}", [*BY_FLAG, *BY_NEGATION])
    if word[:1] in _DASHES:
        advice = f"Did you mean {meant}?" if meant else "%%modal_step? lists the options."
        return InvalidRequestError(f"Unknown option {flag}. {advice}")
    if meant == f"--{bare}":
        return InvalidRequestError(f"What is this: {word!r}? Did you mean {meant}?")
    return InvalidRequestError(
        f"What is this: {word!r}? Options begin with --, a value with spaces needs quotes, and the code "
        "stands below the magic's line. %%modal_step? lists the options."
    )
