"""The picker as a form of ipywidgets: what is typed becomes a choice, and every choice its price and its line."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from zenml_modal_nb.errors import InvalidRequestError
from zenml_modal_nb.magics.candidates import USUAL
from zenml_modal_nb.picker import words
from zenml_modal_nb.picker.actions import Actions
from zenml_modal_nb.picker.choices import OF_OPERATOR, PRESETS, Choices, Preset
from zenml_modal_nb.picker.page import STYLE, message, parts
from zenml_modal_nb.pricing import gpus
from zenml_modal_nb.pricing.rates import Rates

if TYPE_CHECKING:
    from zenml_modal_nb.picker.resource_picker import ResourcePicker

_NO_GPU = "none"

# Fields of text, in their order, with the label, the hint inside the field, and its tooltip.
_TEXTS: Mapping[str, tuple[str, str, str]] = {
    "cpu": ("CPU cores", "2", "Cores, as in 4 or 0.5"),
    "memory": ("Memory", "4GiB, or 3 × the inputs", "Memory, as in 32GiB or 32GB"),
    "timeout": ("Time limit", "1h", "The longest that the cell may run, as in 90m or 1h30m"),
    "region": (
        "Region",
        "any",
        "A region of Modal's or a provider's, as in us-east; prices are higher with one",
    ),
    "modal_environment": ("Environment", "the workspace's default", "A Modal environment, as in dev"),
}
_CLOUDS = (("any", ""), *((each, each) for each in USUAL["--cloud"]))
_PLACES = (("Modal if a token is set", ""), ("this machine", "local"), ("Modal", "modal"))


class Form:
    """The widgets; made by `ResourcePicker`, which it tells of every choice and which tells it of every change."""

    def __init__(self, picker: ResourcePicker) -> None:
        self._picker = picker
        self._filling = False
        self._lock = threading.RLock()  # prices may come from another thread while the user chooses
        self.gpu = widgets.RadioButtons(description="GPU", options=[("", _NO_GPU)])
        self.gpu.add_class("zmnb-gpus")
        self.gpu_count = widgets.Dropdown(description="GPUs", options=[1])
        self.texts = {name: _text(name) for name in _TEXTS}
        self.cloud = widgets.Dropdown(description="Cloud", options=_CLOUDS)
        self.on = widgets.Dropdown(description="Where", options=_PLACES)
        self.presets = [widgets.Button(description=each.label, tooltip=each.meaning) for each in PRESETS]
        self.use_as_default = widgets.Button(
            description="Use as default",
            tooltip="Make this the default of every cell of this notebook's kernel",
            disabled=not picker.sets_defaults,
        )
        self.price = widgets.HTML()
        self.line = widgets.HTML()
        self.told = widgets.HTML()
        self.actions = Actions(cell=picker.cell is not None)
        self._messages = {name: widgets.HTML() for name in (*self._fields(), "gpu", "line")}
        self.widget = self._laid_out()
        self.actions.root = self.widget.model_id
        self.refresh()
        picker.listen(self.refresh)
        for each in (self.gpu, *self._fields().values()):
            each.observe(self._chosen, "value")
        for button, preset in zip(self.presets, PRESETS, strict=True):
            button.on_click(lambda _, preset=preset: self._preset(preset))
        self.use_as_default.on_click(lambda _: self._use_as_default())
        self.actions.on_msg(self._asked)

    def view(self) -> dict[str, Any]:
        """Return the MIME bundle that a front end with widgets shows."""
        return dict(self.widget._repr_mimebundle_())

    def refresh(self) -> None:
        """Show the picker's choices, and what they cost now."""
        with self._lock:
            self._show()

    def _show(self) -> None:
        choices, said = self._picker.choices, self._picker.said
        with self._quiet():
            self._fill(choices, self._picker.rates)
        for name, widget in self._messages.items():
            widget.value = message(said.get(name, ""))
        problems = self._picker.problems
        self.price.value = self._priced(bool(problems))
        line = "" if problems else self._picker.line
        self.line.value = f'<code class="zmnb-line">{escape(line)}</code>' if line else ""
        self.actions.line = line
        self.actions.spoken = " ".join(said.values()) if problems else self._spoken()
        self.use_as_default.disabled = bool(problems) or not self._picker.sets_defaults

    def _fields(self) -> dict[str, Any]:
        return {"gpu_count": self.gpu_count, **self.texts, "cloud": self.cloud, "on": self.on}

    def _laid_out(self) -> Any:
        fields = self._fields()
        cells = {name: widgets.VBox([each, self._messages[name]]) for name, each in fields.items()}
        for cell in cells.values():
            cell.add_class("zmnb-field")
        order = ("gpu_count", "cpu", "memory", "timeout", "on", "region", "cloud", "modal_environment")
        grid = widgets.VBox([cells[name] for name in order])
        grid.add_class("zmnb-fields")
        heading = widgets.HTML(
            f'{STYLE}<div class="zmnb-heading" role="heading" aria-level="3">Resources for a cell</div>'
        )
        form = widgets.VBox(
            [
                heading,
                _row(self.presets),
                self.gpu,
                self._messages["gpu"],
                grid,
                self.price,
                self.line,
                self._messages["line"],
                _row([self.actions, self.use_as_default]),
                self.told,
            ]
        )
        form.add_class("zmnb-picker")
        return form

    def _fill(self, choices: Choices, rates: Rates) -> None:
        chosen = gpus.find(choices.gpu).name if choices.gpu else None
        # An alias that the user wrote, e.g. H100!, stays what it is: its type's entry stands for it.
        options = [("No GPU", _NO_GPU)] + [
            (words.gpu(each, rates), choices.gpu if each.name == chosen else each.name)
            for each in gpus.CATALOGUE
        ]
        left = choices.gpu == OF_OPERATOR
        if left or self._picker.may_leave_gpu:
            options.insert(0, ("the step operator's", OF_OPERATOR))
        if tuple(options) != tuple(self.gpu.options):
            self.gpu.options = options
        self.gpu.value = _NO_GPU if choices.gpu is None else choices.gpu
        most = gpus.find(chosen).max_count if chosen else max(each.max_count for each in gpus.CATALOGUE)
        counts = [
            (str(count), count)
            for count in range(1, max(most if chosen or left else 1, choices.gpu_count) + 1)
        ]
        if left:
            counts.insert(0, ("the step operator's", 0))
        if tuple(self.gpu_count.options) != tuple(counts):
            self.gpu_count.options = counts
        self.gpu_count.value = choices.gpu_count
        self.gpu_count.disabled = choices.gpu is None
        for name, field in {**self.texts, "cloud": self.cloud, "on": self.on}.items():
            text = getattr(choices, name)
            if name == "cloud" and text not in dict(self.cloud.options).values():
                self.cloud.options = (*_CLOUDS, (text, text))  # one that is newer than our list
            field.value = text

    def _chosen(self, _: object) -> None:
        with self._lock:
            if not self._filling:
                self._choose()

    def _choose(self) -> None:
        before = self._picker.choices
        gpu = None if self.gpu.value == _NO_GPU else self.gpu.value
        # A count that was one of another type, or of none, is no wish about the step operator's.
        count = 0 if gpu == OF_OPERATOR != before.gpu else self.gpu_count.value
        chosen = replace(
            before,
            gpu=gpu,
            gpu_count=count,
            cloud=self.cloud.value,
            on=self.on.value,
            **{name: field.value for name, field in self.texts.items()},
        )
        fitted = chosen.fitted()
        self._picker.choices = fitted
        fewer = fitted.gpu and fitted.gpu_count < chosen.gpu_count
        self.told.value = ""
        if fewer:
            lowered = f"One sandbox has at most {fitted.gpu_count} {fitted.gpu}: the count is now {fitted.gpu_count}."
            self._messages["gpu_count"].value = message(lowered)
            self.actions.spoken = f"{lowered} {self.actions.spoken}"

    def _preset(self, preset: Preset) -> None:
        self._picker.choices = preset.applied(self._picker.choices)
        self.told.value = message(f"{preset.label}: {preset.meaning}.")

    def _use_as_default(self) -> None:
        try:
            lines = self._picker.use_as_default()
        except InvalidRequestError as error:
            self.told.value = message(str(error))
            self.actions.spoken = str(error)
            return
        shown = (
            "\n".join(each for each in lines if not each.endswith("= None"))
            or "# nothing but our own defaults"
        )
        # Not always %%modal_step alone: options that the form does not show, e.g. --pip, are no defaults.
        line = self._picker.line
        self.told.value = (
            f'<div><code class="zmnb-line">{escape(line)}</code> now means this, until the kernel restarts. '
            f"These lines do the same:</div><pre>{escape(shown)}</pre>"
        )
        self.actions.spoken = f"{line} now means this, until the kernel restarts."

    def _asked(self, _: object, content: Mapping[str, object], __: object) -> None:
        """Hear of the front end's buttons: which line is meant, or that it could not write the cell that is to run."""
        if content.get("kind") == "line":
            # All that the page had sent before has been heard: this is the line of what it shows.
            self.actions.send({**content, "line": self.actions.line})
        elif content.get("kind") == "arm" and not self._picker.problems:
            self._picker.arm()

    def _priced(self, impossible: bool) -> str:
        if impossible:
            return '<div class="zmnb-price">No price: something above has to change first.</div>'
        quote, request = self._picker.price, self._picker.request
        return (
            f'<div class="zmnb-price">{escape(words.total(quote, request))}</div>'
            f"{parts(quote, request)}"
            f'<div class="zmnb-source">Prices: {escape(self._picker.rates.source)}; an estimate.</div>'
        )

    def _spoken(self) -> str:
        return words.total(self._picker.price, self._picker.request)

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """What the kernel fills in is no choice of the user's."""
        before, self._filling = self._filling, True
        try:
            yield
        finally:
            self._filling = before


def _text(name: str) -> Any:
    label, hint, tooltip = _TEXTS[name]
    options = USUAL.get(f"--{name.replace('_', '-')}", ())
    return widgets.Combobox(
        description=label,
        placeholder=hint,
        tooltip=tooltip,
        options=options,
        continuous_update=False,  # a half-written size is no mistake yet
    )


def _row(children: list[Any]) -> Any:
    row = widgets.HBox(children)
    row.add_class("zmnb-row")
    return row
