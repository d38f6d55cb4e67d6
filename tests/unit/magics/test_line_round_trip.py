"""A request written as a magic line is the same request when the line is read."""

import string
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from zenml_modal_nb.errors import InvalidRequestError
from zenml_modal_nb.magics.arguments import format_line, parse
from zenml_modal_nb.magics.defaults import ModalStep
from zenml_modal_nb.pricing.gpus import CATALOGUE
from zenml_modal_nb.request import OF_OPERATORS, StepRequest

names = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=64)
variables = st.from_regex(r"v_[a-z0-9_]{0,8}", fullmatch=True)
values = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=20)
paths = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=20)
gpus = st.one_of(
    st.just((None, 1)),
    st.sampled_from(CATALOGUE).flatmap(
        lambda gpu: st.tuples(st.just(gpu.name), st.integers(1, gpu.max_count))
    ),
)


@st.composite
def requests(draw: st.DrawFn) -> StepRequest:
    gpu, gpu_count = draw(gpus)
    operator = draw(st.none() | variables)
    if operator is not None and gpu is None:
        gpu_count = draw(st.integers(1, 8))  # of the operator's type
    explicit = draw(st.lists(st.sampled_from(OF_OPERATORS), unique=True))
    if gpu_count != 1:
        explicit = [name for name in explicit if name != "gpu"]
    few = {"max_size": 3, "unique": True}
    return StepRequest(
        gpu=gpu,
        gpu_count=gpu_count,
        cpu=draw(st.none() | st.floats(0.125, 256).map(lambda cores: round(cores, 3))),
        memory_mib=draw(st.none() | st.integers(128, 10**7)),
        region=draw(st.sampled_from([None, "us", "eu-west", "us-east-1"])),
        cloud=draw(st.sampled_from([None, "aws", "auto"])),
        timeout=draw(st.integers(1, 86400)),
        modal_environment=draw(st.none() | names),
        workspace=draw(st.none() | names),
        on=draw(st.sampled_from([None, "local", "modal"])),
        name=draw(st.none() | variables),
        inputs=draw(st.none() | st.lists(variables, **few).map(tuple)),
        outputs=draw(st.none() | st.lists(variables, **few).map(tuple)),
        pip=tuple(draw(st.lists(st.sampled_from(["torch==2.9", "a[b] >= 1, < 2", "numpy"]), **few))),
        apt=tuple(draw(st.lists(st.sampled_from(["ffmpeg", "g++", "git"]), **few))),
        image=draw(st.sampled_from([None, "python:3.11-slim"])),
        env=tuple(draw(st.dictionaries(variables, st.none() | values, max_size=3)).items()),
        secrets=tuple(draw(st.lists(names, **few))),
        files=tuple(draw(st.lists(paths, **few))),
        fetch=tuple(
            draw(st.lists(paths.filter(lambda path: path[0] not in "/~" and ".." not in path), **few))
        ),
        volumes=tuple(
            draw(st.lists(st.tuples(names, st.sampled_from(["/data", "/mnt/a b", "/root/x"])), **few))
        ),
        dry_run=draw(st.booleans()),
        cache=draw(st.booleans()),
        define=draw(st.booleans()),
        operator=operator,
        explicit=tuple(explicit),
    )


@settings(max_examples=50)
@given(requests())
def test_a_line_means_the_request_it_was_written_for(request_: StepRequest) -> None:
    assert parse(format_line(request_), ModalStep()) == request_


@settings(max_examples=50)
@given(requests(), requests())
def test_it_means_the_same_on_top_of_a_users_defaults(request_: StepRequest, usual: StepRequest) -> None:
    left = request_.operator is not None and not request_.says("gpu")
    assume(not (left and usual.gpu))  # the default's type would hold: no line asks for that
    defaults = ModalStep(
        gpu=usual.modal_gpu, cpu=usual.cpu, region=usual.region, timeout=usual.timeout, on=usual.on,
        pip=list(usual.pip), env=dict(usual.env), secret=list(usual.secrets), file=list(usual.files),
        fetch=list(usual.fetch), volume=[":".join(each) for each in usual.volumes], dry_run=usual.dry_run,
        cache=usual.cache, define=usual.define, operator=usual.operator,
    )  # fmt: skip
    read = parse(format_line(request_, defaults), defaults)
    assert replace(read, explicit=()) == replace(request_, explicit=())
    assert set(request_.explicit) <= set(read.explicit)
    assert parse(format_line(read, defaults), defaults) == read


@pytest.mark.parametrize(
    "line",
    [
        "--operator g --no-gpu",
        "--operator g --gpu-count 1",
        "--operator g --gpu-count 4",
        "--operator g --no-region --no-timeout",
    ],
)
def test_what_an_operators_own_setting_gives_way_to_stays_on_the_line(line: str) -> None:
    request_ = parse(line, ModalStep())
    words = set(line.split())
    assert set(format_line(request_).split()) == words
    assert parse(format_line(request_), ModalStep()) == request_
    # Without an operator there is nothing that it would drop.
    assert replace(request_, operator=None).explicit == ()


@pytest.mark.parametrize(
    ("request_", "line"),
    [
        (StepRequest(), ""),
        (
            StepRequest(gpu="A100", gpu_count=2, memory_mib=32000, timeout=5400, pip=("torch==2.9",)),
            "--gpu A100 --gpu-count 2 --memory 32GB --timeout 1h30m --pip torch==2.9",
        ),
        (StepRequest(env=(("A", "it's"), ("B", None)), inputs=()), """--env 'A=it'"'"'s' --env B --in ''"""),
    ],
)
def test_the_line_is_what_a_user_would_write(request_: StepRequest, line: str) -> None:
    assert format_line(request_) == line


def test_a_default_that_the_request_does_not_have_is_dropped() -> None:
    defaults = ModalStep(gpu="T4", gpu_count=2, pip=["torch"])
    assert format_line(StepRequest(), defaults) == "--no-gpu --no-pip"
    assert format_line(StepRequest(gpu="T4"), defaults) == "--gpu T4 --gpu-count 1 --no-pip"


@pytest.mark.parametrize("name", ["gpu", "gpu_count"])
def test_no_line_leaves_the_gpu_to_a_step_operator_where_a_default_names_one(name: str) -> None:
    defaults = ModalStep(**{name: {"gpu": "T4", "gpu_count": 2}[name]})
    left = StepRequest(operator="g")
    with pytest.raises(InvalidRequestError, match=f"%config ModalStep.{name} = None"):
        format_line(left, defaults)
    if name == "gpu":
        with pytest.raises(InvalidRequestError, match="leaves the GPU to the step operator"):
            format_line(replace(left, explicit=("gpu_count",)), defaults)
    none = replace(left, explicit=("gpu",))
    assert parse(format_line(none, defaults), defaults) == none
    assert format_line(left) == "--operator g"


@pytest.mark.parametrize("value", ["two\nlines", "two\u2028lines", "end\r"])
def test_a_value_with_a_line_break_is_refused_since_a_line_cannot_hold_it(value: str) -> None:
    with pytest.raises(InvalidRequestError, match="line break"):
        format_line(StepRequest(env=(("A", value),)))
