"""`%config ModalStep`: a user's defaults under the magic line, set through IPython's own magic."""

from collections.abc import Iterator

import pytest
from IPython.core.interactiveshell import InteractiveShell

from zenml_modal_nb.errors import InvalidRequestError
from zenml_modal_nb.magics.arguments import parse
from zenml_modal_nb.magics.defaults import ModalStep
from zenml_modal_nb.magics.options import OPTIONS
from zenml_modal_nb.request import StepRequest


def set_(**values: object) -> ModalStep:
    defaults = ModalStep()
    for name, value in values.items():
        setattr(defaults, name, value)
    return defaults


@pytest.mark.parametrize(
    ("values", "line", "request_"),
    [
        ({"gpu": "t4"}, "", StepRequest(gpu="T4")),
        ({"gpu": "T4"}, "--gpu A100", StepRequest(gpu="A100")),
        ({"gpu": "T4"}, "--gpu none", StepRequest()),
        ({"gpu": "T4"}, "--no-gpu", StepRequest()),
        ({"gpu": "T4"}, "--gpu-count 2", StepRequest(gpu="T4", gpu_count=2)),
        ({"gpu": "A100:2"}, "", StepRequest(gpu="A100", gpu_count=2)),
        ({"gpu": "A100:2"}, "--gpu T4", StepRequest(gpu="T4")),
        ({"gpu": "A100:2"}, "--gpu-count 4", StepRequest(gpu="A100", gpu_count=4)),
        ({"gpu": "A100", "gpu_count": 2}, "", StepRequest(gpu="A100", gpu_count=2)),
        ({"gpu": "A100", "gpu_count": "2"}, "--no-gpu-count", StepRequest(gpu="A100")),
        ({"gpu": "A100", "gpu_count": 2}, "--no-gpu", StepRequest()),
        ({"gpu_count": 2}, "", StepRequest()),
        ({"gpu_count": 2}, "--gpu T4", StepRequest(gpu="T4", gpu_count=2)),
        ({"gpu_count": 2}, "--gpu T4:4", StepRequest(gpu="T4", gpu_count=4)),
        ({"cpu": 4}, "", StepRequest(cpu=4.0)),
        ({"cpu": 0.5}, "", StepRequest(cpu=0.5)),
        ({"memory": "32GiB"}, "", StepRequest(memory_mib=32768)),
        ({"memory": "32GiB"}, "--no-memory", StepRequest()),
        ({"memory": "32"}, "--memory 1GiB", StepRequest(memory_mib=1024)),  # the wrong default is not used
        ({"timeout": 7200}, "", StepRequest(timeout=7200)),
        ({"timeout": "2h"}, "--no-timeout", StepRequest(timeout=3600)),
        ({"region": "eu"}, "--no-region", StepRequest()),
        ({"region": ""}, "", StepRequest()),
        ({"region": None}, "", StepRequest()),
        ({"on": "local"}, "--on modal", StepRequest(on="modal")),
        ({"pip": ["torch", "pandas"]}, "--pip numpy", StepRequest(pip=("torch", "pandas", "numpy"))),
        ({"pip": "torch"}, "--pip torch", StepRequest(pip=("torch",))),
        ({"pip": ("torch",)}, "--no-pip", StepRequest()),
        ({"pip": ["torch"]}, "--pip numpy --no-pip", StepRequest(pip=("numpy",))),
        ({"env": {"A": 1, "B": None}}, "--env A=2", StepRequest(env=(("A", "2"), ("B", None)))),
        ({"env": ["A=1"]}, "--no-env --env B=2", StepRequest(env=(("B", "2"),))),
        ({"env": {"KEY": "two\nlines"}}, "", StepRequest(env=(("KEY", "two\nlines"),))),
        ({"file": "a"}, "--file b", StepRequest(files=("a", "b"))),
        ({"fetch": ["a"]}, "--no-fetch --fetch b", StepRequest(fetch=("b",))),
        ({"volume": ["a:/a"]}, "--no-volume", StepRequest()),
        ({"secret": ["hf"]}, "--secret wandb", StepRequest(secrets=("hf", "wandb"))),
        ({"max_inputs": "2GiB"}, "", StepRequest(max_inputs_mib=2048)),
        ({"dry_run": True}, "", StepRequest(dry_run=True)),
        ({"dry_run": True}, "--no-dry-run", StepRequest()),
        ({"cache": True}, "", StepRequest(cache=True)),
        ({"cache": True}, "--no-cache", StepRequest()),
    ],
)
def test_a_default_holds_until_the_line_says_otherwise(
    values: dict[str, object], line: str, request_: StepRequest
) -> None:
    assert parse(line, set_(**values)) == request_


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"gpu": "A1000"}, ["'A1000' is unknown to Modal", "%config ModalStep.gpu"]),
        ({"memory": 32}, ["'32' has no unit", "%config ModalStep.memory"]),
        ({"cpu": True}, ["'True' is not a number", "%config ModalStep.cpu"]),
        ({"gpu": "A100:2", "gpu_count": 2}, ["%config ModalStep.gpu_count", "both give a count"]),
        ({"pip": ["torch numpy"]}, ["is not one package", "%config ModalStep.pip"]),
        ({"max_cost": 2.5}, ["does not support %config ModalStep.max_cost yet"]),
    ],
)
def test_a_wrong_default_is_refused_when_used_and_says_where_it_was_set(
    values: dict[str, object], words: list[str]
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse("", set_(**values))
    for word in words:
        assert word in str(caught.value)


def test_every_option_that_may_have_a_default_has_a_trait() -> None:
    traits = {option.trait for option in OPTIONS if option.has_default}
    assert set(ModalStep.class_trait_names(config=True)) == traits | {"max_inputs"}  # no option of the line


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    shell = InteractiveShell()
    yield shell
    shell.history_manager.end_session()


def test_config_sets_shows_and_describes_the_defaults(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    defaults = ModalStep(parent=shell)
    shell.configurables.append(defaults)
    shell.user_ns["kind"] = "T4"
    shell.run_line_magic("config", "ModalStep.gpu = kind")
    shell.run_line_magic("config", "ModalStep.gpu_count = 2")
    shell.run_line_magic("config", "ModalStep.pip = ['torch']")
    shell.run_line_magic("config", "ModalStep.env = {'A': '1'}")
    assert parse("", defaults) == StepRequest(gpu="T4", gpu_count=2, pip=("torch",), env=(("A", "1"),))
    assert shell.run_line_magic("config", "ModalStep.gpu") == "T4"
    shell.run_line_magic("config", "ModalStep.gpu = None")
    assert parse("", defaults).gpu is None
    shell.run_line_magic("config", "ModalStep")
    shown = capsys.readouterr().out
    assert "ModalStep.memory" in shown
    assert "as in --memory 32GB" in shown
    assert "not supported by this version" in shown
