"""`ResourcePicker`: what `%modal_pick` shows, and its choices for Python; a form where there are widgets, else text."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from zenml_modal_nb.errors import InvalidRequestError
from zenml_modal_nb.magics import arguments
from zenml_modal_nb.magics.defaults import ModalStep
from zenml_modal_nb.magics.options import BY_FLAG
from zenml_modal_nb.picker import page, words
from zenml_modal_nb.picker.choices import TEXTS, Choices, priced
from zenml_modal_nb.picker.prices import Prices
from zenml_modal_nb.pricing.quote import Quote
from zenml_modal_nb.pricing.rates import Rates
from zenml_modal_nb.rendering.choice import PANEL_VARIABLE, draws_widgets
from zenml_modal_nb.rendering.widget_support import names_a_cell
from zenml_modal_nb.request import StepRequest

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from zenml_modal_nb.picker.form import Form

MAGIC = "%%modal_step"


class ResourcePicker:
    """Choices of resources with their price; begins with the options of a magic line, on top of the defaults.

    `choices` may be replaced; `request`, `line` and `price` follow. Shown in a notebook, it is a form that
    does the same. `cell` is the code that waits for the choice, `arm` what to do when the user wants to run that.

    Errors: InvalidRequestError.
    """

    def __init__(
        self,
        line: str = "",
        *,
        shell: InteractiveShell | None = None,
        cell: str | None = None,
        arm: Callable[[ResourcePicker], None] | None = None,
    ) -> None:
        self._shell = shell if shell is not None else _running_shell()
        self._own = None if self._shell is None else ModalStep.of(self._shell)
        self.cell, self._arm = cell, arm
        self._choices = Choices.of(arguments.parse(line, self._defaults))
        request = self._choices.rest
        self._prices = Prices(request.workspace, request.modal_environment)
        self._listeners: list[Callable[[], None]] = []
        self._form: Form | None = None

    @property
    def _defaults(self) -> ModalStep:
        return self._own if self._own is not None else ModalStep()

    @property
    def choices(self) -> Choices:
        """What is chosen; setting it changes the form too."""
        return self._choices

    @choices.setter
    def choices(self, choices: Choices) -> None:
        self._choices = choices
        self._changed()

    @property
    def request(self) -> StepRequest:
        """The request that the magic line makes; raises `InvalidRequestError` for an impossible choice."""
        problems = self._choices.problems()
        if problems:
            raise InvalidRequestError(" ".join(problems.values()))
        return self._choices.request()

    @property
    def problems(self) -> dict[str, str]:
        """What keeps the choice from being a line, by field, or under "line": e.g. a default that is wrong by now."""
        found = self._choices.problems()
        if not found:
            try:
                _ = self.line
            except InvalidRequestError as error:
                found["line"] = str(error)
        return found

    @property
    def line(self) -> str:
        """The magic line, as short as the defaults allow; raises as `request` does."""
        return f"{MAGIC} {self.options}".rstrip()

    @property
    def options(self) -> str:
        """The magic line without the magic's name; raises as `request` does."""
        return arguments.format_line(self.request, self._defaults)

    @property
    def price(self) -> Quote:
        """USD per hour and its parts; raises as `request` does."""
        return priced(self.request, self.rates)

    @property
    def rates(self) -> Rates:
        """The prices it reckons with; `source` says whose they are."""
        self._prices.wait()
        return self._prices.rates

    @property
    def said(self) -> dict[str, str]:
        """What there is to say about the choice, by field; problems before remarks."""
        self._prices.wait()
        trouble = {"on": self._prices.trouble} if self._prices.trouble else {}
        return self._choices.remarks(self._prices.has_token) | trouble | self.problems

    @property
    def form(self) -> Form:
        """The widget, made when it is first asked for."""
        if self._form is None:
            from zenml_modal_nb.picker.form import Form

            self._form = Form(self)
            self._prices.when_settled(self._changed)
        return self._form

    @property
    def may_leave_gpu(self) -> bool:
        """Whether a line can leave the GPU to its step operator: no default of the user's holds instead."""
        usual = (self._defaults.texts(BY_FLAG[flag]) for flag in ("--gpu", "--gpu-count"))
        return self._choices.rest.operator is not None and not any(usual)

    @property
    def sets_defaults(self) -> bool:
        """Whether there are defaults to set: the extension is loaded."""
        return self._own is not None

    def use_as_default(self) -> tuple[str, ...]:
        """Make the choice the default of every cell, and return the lines that would do the same.

        Errors: InvalidRequestError, also where the extension is not loaded.
        """
        if self._own is None:
            raise InvalidRequestError("Defaults are the extension's. Run %load_ext zenml_modal_nb first.")
        request, plain = self.request, StepRequest()
        texts: dict[str, str | None] = {
            "gpu": request.gpu,
            "gpu_count": str(request.gpu_count) if request.gpu and request.gpu_count > 1 else None,
        }
        for name, option in TEXTS.items():
            value = getattr(request, option.field)
            texts[name] = None if value == getattr(plain, option.field) else option.write(value)
        for name, text in texts.items():
            setattr(self._own, name, text)
        self._changed()
        return tuple(f"%config ModalStep.{name} = {text!r}" for name, text in texts.items())

    def insert(self) -> None:
        """Put the magic line into a new cell below the one that runs, or onto a terminal's next prompt.

        By IPython's payload of an execution, so it works from a cell and not from a button.
        """
        if self._shell is None:
            raise InvalidRequestError(f"There is no notebook to write into. The line is: {self.line}")
        body = "" if self.cell is None else self.cell
        self._shell.set_next_input(f"{self.line}\n{body}")

    def arm(self) -> None:
        """Let the waiting cell run with this choice when it is executed again."""
        if self._arm is not None:
            self._arm(self)

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever the choice, the defaults or the prices have changed."""
        self._listeners.append(listener)

    def _changed(self) -> None:
        for listener in self._listeners:
            listener()

    def __repr__(self) -> str:
        return words.whole(*self._told())

    def _told(self) -> tuple[StepRequest | None, str, Quote | None, Rates, Mapping[str, str]]:
        """Return what text and page tell: the request, its line and its price, if there is one, the prices, remarks."""
        said, rates = self.said, self.rates
        if self.problems:
            return None, "", None, rates, said
        return self.request, self.line, self.price, rates, said

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        """The form for a front end with widgets, beside the same as a page and as text."""
        view = self.form.view() if self._is_drawn() else {}
        told = self._told()  # after the form, which may have waited for the prices
        return view | {"text/html": page.html(*told), "text/plain": words.whole(*told)}

    def _is_drawn(self) -> bool:
        """Tell whether somebody sees widgets: a saved form is empty, e.g. in what `nbconvert --execute` makes."""
        if not draws_widgets(self._shell, os.environ):
            return False
        return os.environ.get(PANEL_VARIABLE) == "live" or _is_watched(self._shell)


def _is_watched(shell: Any) -> bool:
    """Tell whether somebody looks: only nbclient, so also nbconvert and papermill, names no cell and takes no input."""
    content = shell.get_parent().get("content", {})
    return names_a_cell(shell) or content.get("allow_stdin") is not False


def _running_shell() -> InteractiveShell | None:
    from IPython import get_ipython

    shell: InteractiveShell | None = get_ipython()
    return shell
