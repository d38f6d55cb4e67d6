"""From the magic line to a request, and back.

The line must arrive as the user typed it: the cell magic is decorated with IPython's `@no_var_expand`, else
`{x}` and `$x` in a value, e.g. `--env PATTERN={a}`, would be replaced by the notebook's variables.
"""

from __future__ import annotations

import shlex
import textwrap
import warnings
from typing import Any

from zenml_modal_nb.errors import InvalidRequestError
from zenml_modal_nb.magics import quantities, words
from zenml_modal_nb.magics.defaults import ModalStep
from zenml_modal_nb.magics.options import BY_FLAG, NOT_YET, SUPPORTED, Option, unsupported
from zenml_modal_nb.request import OF_OPERATORS, StepRequest

_GPU, _GPU_COUNT = BY_FLAG["--gpu"], BY_FLAG["--gpu-count"]  # checked as a pair
_ALONE = tuple(option for option in SUPPORTED if option not in (_GPU, _GPU_COUNT))


def parse(line: str, defaults: ModalStep) -> StepRequest:
    """Return the request that the magic line makes, on top of the user's defaults.

    Raises `InvalidRequestError` with one message; prints nothing. Values that repeat, such as --pip, add to
    the defaults unless --no-pip drops those; any other value replaces its default.
    """
    given = words.read(line)
    for option in NOT_YET:
        if option.has_default and defaults.texts(option):
            raise unsupported(f"%config ModalStep.{option.trait}")
    values: dict[str, Any] = {}
    said: list[str] = []
    for option in _ALONE:
        items = tuple(option.parse(text) for text in given.texts.get(option.flag, ()))
        if option.flag not in given.dropped and (option.repeatable or not items):
            items = _usual(option, defaults) + items
        if items:
            values[option.field] = _merged(option, items) if option.repeatable else items[0]
        if option.field in OF_OPERATORS and (items or option.flag in given.dropped):
            said.append(option.field)
    gpu, gpu_count, of_gpus = _gpus(given, defaults, with_operator="operator" in values)
    if defaults.max_inputs:
        values["max_inputs_mib"] = quantities.size(str(defaults.max_inputs), "%config ModalStep.max_inputs")
    return StepRequest(gpu=gpu, gpu_count=gpu_count, explicit=(*of_gpus, *said), **values)


def format_line(request: StepRequest, defaults: ModalStep | None = None) -> str:
    """Return the shortest line that `parse` reads as `request`, given the same defaults.

    Raises `InvalidRequestError` for what no line can say: a value with a line break, which only %config can hold, and a
    GPU that is left to the step operator where a default of the user's names one.
    """
    defaults = defaults or ModalStep()
    usual = parse("", defaults)
    line = _written_gpus(request, usual, defaults)
    for option in _ALONE:
        value, default = getattr(request, option.field), getattr(usual, option.field)
        if value != default:
            line += _written(option, value, default)
        elif option.field in request.explicit and option.field not in usual.explicit:
            line.append(option.negation)  # else the operator's own setting would hold
    if any(word.splitlines() not in ([], [word]) for word in line):  # as IPython splits a cell
        raise InvalidRequestError(
            "A value holds a line break, which the magic's line cannot hold. "
            'Set it with %config, as in %config ModalStep.env = {"NAME": text}.'
        )
    return shlex.join(line)


def help_text() -> str:
    """Return what `%%modal_step?` shows: the options in groups, with their meaning and examples."""
    lines = [
        "Run this cell in a Modal sandbox, as a tracked ZenML step.",
        "",
        "    %%modal_step --gpu A100 --gpu-count 2 --memory 32GB --timeout 1h",
        "    model = train(X, y)",
        "",
        "%modal_pick opens a form that shows prices and writes this line.",
        "Variables the cell reads are sent, variables it binds come back. Options are --option VALUE or",
        "--option=VALUE, quoted as in a shell; {x} and $x stay as they are.",
    ]
    for group in dict.fromkeys(option.group for option in SUPPORTED):
        lines += ["", f"{group}:"]
        for option in SUPPORTED:
            if option.group == group:
                shown = f"{option.flag} {option.metavar or ''}"
                lines.append(f"  {shown:<26} {option.meaning}")
    lines += ["", *_gpu_types()]
    missing = ["several GPU types in order", *(option.flag for option in NOT_YET)]
    lines += [
        "",
        'Defaults for every cell: %config ModalStep.gpu = "T4", %config ModalStep.pip = ["torch", "pandas"].',
        "An option on the line replaces its default; --pip, --apt, --env, --secret, --file,",
        "--fetch and --volume add to theirs.",
        "--no-gpu, --no-region, --no-pip and so on drop a default. %config ModalStep lists them all.",
        "",
        *textwrap.wrap(f"Not in this version yet: {', '.join(missing)}.", width=100, break_on_hyphens=False),
    ]
    return "\n".join(lines)


def _gpu_types() -> list[str]:
    """Return all GPU types with memory and price, a few in a line."""
    # Here, so that importing this module reads no price list. The dated one: help must not depend on a file.
    from zenml_modal_nb.pricing import gpus, rates

    prices = rates.snapshot({})
    cells = [
        f"{gpu.name:<13}{gpu.memory_gib:>4} GiB  ${prices.gpu_hour[gpu.name]:>5.2f}/h"
        for gpu in gpus.CATALOGUE
    ]
    others = ", ".join(f"{alias} is {name}" for alias, name in gpus.ALIASES.items())
    return [
        f"GPU types, each with its memory and price ({prices.source}):",
        *("  " + "    ".join(cells[at : at + 3]) for at in range(0, len(cells), 3)),
        f"  {others}",
    ]


def _usual(option: Option, defaults: ModalStep) -> tuple[Any, ...]:
    """Return an option's default, checked as the line is; the message says that %config set it."""
    if not option.has_default:
        return ()
    try:
        return tuple(option.parse(text) for text in defaults.texts(option))
    except InvalidRequestError as error:
        raise InvalidRequestError(f"{error} It was set with %config ModalStep.{option.trait}.") from None


def _gpus(
    given: words.Given, defaults: ModalStep, *, with_operator: bool
) -> tuple[str | None, int, tuple[str, ...]]:
    """Return the GPU type and count, (None, 1) for a run on CPU, and which of the two were said.

    The line wins over the defaults, whether a count stands alone or in "A100:2"; both in one place is an
    error. With an operator a count may stand without a type, which is the operator's then.
    """
    from zenml_modal_nb.pricing import gpus  # here, so that loading the extension reads no price list

    here = given.text(_GPU.flag)
    gpu: str | None = None
    own: int | None = None  # the 2 of "A100:2"
    said = here is not None or _GPU.flag in given.dropped
    if here is not None:
        gpu, own = _GPU.parse(here)
    elif not said and (usual_gpu := _usual(_GPU, defaults)):
        ((gpu, own),), said = usual_gpu, True
    asked = given.text(_GPU_COUNT.flag)
    if asked is not None:
        count: int | None = _GPU_COUNT.parse(asked)
        if here is not None and own is not None:
            raise InvalidRequestError(f"--gpu {here} and --gpu-count {asked} both give a count. Keep one.")
        without = f"{_GPU.flag} {here}" if here is not None else _GPU.negation
        if gpu is None and count and (here is not None or _GPU.flag in given.dropped):
            raise InvalidRequestError(f"{without} and --gpu-count {asked} contradict each other. Keep one.")
        if gpu is None and count and (said or not with_operator):
            raise InvalidRequestError(
                f"--gpu-count {asked} needs a type. Write, for example, --gpu A100 as well."
            )
    elif here is not None and own is not None:
        count = own
    else:
        usual = () if _GPU_COUNT.flag in given.dropped else _usual(_GPU_COUNT, defaults)
        if usual and own is not None:
            raise InvalidRequestError(
                "%config ModalStep.gpu and %config ModalStep.gpu_count both give a count. Keep one."
            )
        count = next(iter(usual), own)
    if gpu is not None and count == 0:
        warnings.warn_explicit(
            f"The GPU type {gpu} comes with a count of 0: the cell runs without a GPU. Give a count, or leave the "
            "type out.",
            UserWarning,
            filename="%%modal_step",  # what it is about; a line of ours would be shown otherwise
            lineno=1,
        )
    if count == 0 or (said and gpu is None):
        return None, 1, ("gpu",)
    if gpu is not None:
        return gpu, gpus.check_count(gpu, 1 if count is None else count), ()
    if count is None or not with_operator:
        return None, 1, ("gpu_count",) if _GPU_COUNT.flag in given.dropped else ()
    return None, count, ("gpu_count",)  # of the operator's type


def _written_gpus(request: StepRequest, usual: StepRequest, defaults: ModalStep) -> list[str]:
    of_gpus = ("gpu", "gpu_count")
    here, there = (
        (each.gpu, each.gpu_count, [name for name in of_gpus if name in each.explicit])
        for each in (request, usual)
    )
    if request.operator is not None and not request.says("gpu"):  # as the step operator has it
        for option, missing in ((_GPU, True), (_GPU_COUNT, not request.says("gpu_count"))):
            if missing and defaults.texts(option):
                raise InvalidRequestError(
                    f"No line leaves the GPU to the step operator while %config ModalStep.{option.trait} is set. "
                    f"Choose a type, or drop the default with %config ModalStep.{option.trait} = None."
                )
    if here == there:
        return []
    count = [_GPU_COUNT.flag, str(request.gpu_count)]
    if request.gpu is not None:
        more = request.gpu_count != 1 or defaults.texts(_GPU_COUNT)
        return [_GPU.flag, request.gpu, *(count if more else [])]
    if (request.operator is not None and request.gpu_count != 1) or "gpu_count" in request.explicit:
        return count
    return [_GPU.negation] if usual.gpu is not None or "gpu" in request.explicit else []


def _merged(option: Option, items: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return each item once; the last value of an environment variable wins."""
    return tuple(dict(items).items()) if option.field == "env" else tuple(dict.fromkeys(items))


def _written(option: Option, value: Any, default: Any) -> list[str]:
    if option.repeatable:
        line = [option.negation] if default else []
        for item in value:
            line += _with_value(option, item)
        return line
    if option.has_default and value == getattr(StepRequest(), option.field):
        return [option.negation]
    return _with_value(option, value) if option.metavar is not None else [option.flag]


def _with_value(option: Option, value: Any) -> list[str]:
    text = option.write(value)
    # After a space, `--` would begin the next option.
    return [f"{option.flag}={text}"] if text.startswith("--") else [option.flag, text]
