"""Completion of the magic line: options, and the values of each.

By IPython's matchers (`IPython.core.completer`, version 2 of their API, there since IPython 8.6): kernels and terminal
IPython ask the same ones.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher

from zenml_modal_nb.magics import cursor
from zenml_modal_nb.magics.candidates import Candidates
from zenml_modal_nb.magics.cursor import Cursor
from zenml_modal_nb.magics.defaults import ModalStep

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_Matcher = Callable[[CompletionContext], SimpleMatcherResult]
_AFTER_COMMA = re.compile(r"[^,\s]*\Z")


def register(shell: InteractiveShell, defaults: ModalStep) -> None:
    """Complete magic lines in this shell from now on."""
    remove(shell)
    candidates = Candidates(lambda: shell.user_ns, shell.user_ns_hidden, defaults)
    shell.Completer.custom_matchers.append(matcher(candidates))


def remove(shell: InteractiveShell) -> None:
    """Complete them no longer."""
    matchers = shell.Completer.custom_matchers
    matchers[:] = [each for each in matchers if not getattr(each, "completes_modal_step", False)]


def matcher(candidates: Candidates) -> _Matcher:
    """Return a matcher for `Completer.custom_matchers`."""

    @context_matcher(identifier="zenml_modal_nb")  # type: ignore[untyped-decorator]  # IPython's
    def complete(context: CompletionContext) -> SimpleMatcherResult:
        at = cursor.locate(context.full_text, context.cursor_line, context.cursor_position)
        if at is None:
            return {"completions": []}
        body = "\n".join(context.full_text.split("\n")[context.cursor_line + 1 :])
        fragment, texts = _continued(at, candidates, body)
        # IPython lets others answer where we have nothing, and Python's names are nothing here: what is typed stays.
        texts = texts or [fragment]
        kind = "option" if at.flag is None else "value"
        return {
            "completions": [SimpleCompletion(text, type=kind) for text in texts],
            "matched_fragment": fragment,
            "ordered": True,  # by price, by group: an order of ours
            "suppress": True,  # no Python name can stand here, and Jedi would read the line as code
        }

    complete.completes_modal_step = True  # by which `remove` knows it
    told: _Matcher = complete
    return told


def _continued(at: Cursor, candidates: Candidates, body: str) -> tuple[str, list[str]]:
    """Return what is replaced, and by what."""
    if at.flag is None:
        return at.fragment, candidates.options(at)
    found = candidates.values(at.flag, at, body)
    if at.flag in ("--in", "--out"):
        begun = _AFTER_COMMA.search(at.fragment)
        return (begun[0] if begun else ""), found
    return at.fragment, found if at.quoted else [shlex.quote(text) for text in found]
