"""What a component is registered with holds for a cell where its line says nothing, and gives way where it does."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from frontend import Kernel
from launches import Launched
from members import Member
from team import IMAGE

# A component of each kind with a machine of its own, and of our flavor two whose token Modal refuses.
REGISTER = """
from zenml.client import Client
from zenml.enums import StackComponentType as Kind
client = Client()
machine = {"gpu": "A100:2", "region": "us-east", "cloud": "aws", "timeout": 600}
wrong = {"token_id": "ak-wrong", "token_secret": "as-wrong"}
for name, flavor, settings in (
    ("g_modal", "modal", machine),
    ("g_own", "modal_notebook", machine),
    ("g_apart", "modal_notebook", {**machine, "execution": "detached"}),
    ("plain_modal", "modal", {}),
    ("b_own", "modal_notebook", wrong),
    ("b_apart", "modal_notebook", {**wrong, "execution": "detached"}),
    ("odd", "modal_notebook", {"gpu": "A100:two", "execution": "detached"}),
):
    _ = client.create_stack_component(name, flavor, Kind.STEP_OPERATOR, configuration=settings)
_ = client.create_stack("machines", {
    Kind.ORCHESTRATOR: "default", Kind.ARTIFACT_STORE: "s3", Kind.CONTAINER_REGISTRY: "registry",
    Kind.IMAGE_BUILDER: "builder",
    Kind.STEP_OPERATOR: ["g_modal", "g_own", "g_apart", "plain_modal", "b_own", "b_apart", "odd"],
})
client.activate_stack("machines")
"""
KINDS = ("g_modal", "g_own", "g_apart")


@pytest.fixture(scope="module")
def user(member: Member) -> Iterator[Kernel]:
    kernel = Kernel(member, "machines")
    try:
        kernel.run("%load_ext zenml_modal_nb")
        kernel.run(REGISTER)
        yield kernel
    finally:
        kernel.run("%config ModalStep.gpu_count = None\nclient.activate_stack('team')")
        kernel.close()


def launch(user: Kernel, member: Member, operator: str, options: str = "") -> Launched:
    """Run a cell, and return what has reached Modal."""
    before = time.time()
    image = f"--image {IMAGE}" if "modal" in operator else ""
    user.run(f"%%modal_step --operator {operator} {options} {image}\none = 1")
    (sandbox,) = member.launched(before)
    return sandbox


@pytest.mark.slow
@pytest.mark.parametrize("operator", KINDS)
def test_a_cell_that_says_nothing_gets_the_components_machine_and_limit(
    user: Kernel, member: Member, operator: str
) -> None:
    sandbox = launch(user, member, operator)
    assert (sandbox.gpu, sandbox.regions, sandbox.cloud, sandbox.timeout) == (
        "A100:2", ("us-east",), "aws", 600,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("operator", KINDS)
def test_what_a_line_drops_is_dropped_also_where_the_component_has_it(
    user: Kernel, member: Member, operator: str
) -> None:
    sandbox = launch(user, member, operator, "--gpu none --no-region --no-cloud --timeout 1h")
    assert (sandbox.gpu, sandbox.regions, sandbox.cloud, sandbox.timeout) == (None, (), "", 3600)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "gpu"),
    [
        ("--no-gpu", None),
        ("--gpu-count 0", None),
        ("--gpu-count 4", "A100:4"),
        ("--gpu-count 1", "A100:1"),
        ("--gpu T4", "T4:1"),
    ],
)
def test_a_type_and_a_count_of_line_and_component_combine(
    user: Kernel, member: Member, options: str, gpu: str | None
) -> None:
    assert launch(user, member, "g_apart", options).gpu == gpu


@pytest.mark.slow
def test_a_cell_has_an_hour_where_neither_line_nor_component_says_more(user: Kernel, member: Member) -> None:
    assert launch(user, member, "plain_modal").timeout == 3600  # not the day of ZenML's own operator


@pytest.mark.slow
def test_a_count_that_finds_no_type_and_a_components_gpu_that_is_none_are_refused(
    user: Kernel, member: Member
) -> None:
    before = time.time()
    typeless = user.attempt("%%modal_step --operator plain_modal --gpu-count 2\none = 1").evalue
    assert "--gpu-count 2 needs a type, and the step operator 'plain_modal' has none" in typeless
    odd = user.attempt("%%modal_step --operator odd\none = 1").evalue
    assert "The step operator 'odd' is registered with gpu='A100:two'" in odd
    assert "zenml step-operator update odd --gpu=TYPE" in odd
    assert member.launched(before) == []
    assert launch(user, member, "odd", "--gpu T4").gpu == "T4:1"


@pytest.mark.slow
@pytest.mark.parametrize("operator", ["b_own", "b_apart"])
def test_on_local_runs_here_also_where_the_component_has_a_token_for_modal(
    user: Kernel, member: Member, operator: str
) -> None:
    before = time.time()
    refused = user.attempt(f"%%modal_step --operator {operator}\none = 1").evalue
    assert "refuses the token" in refused
    assert member.launched(before) == []
    reply = user.run(f"%%modal_step --operator {operator} --on local\nprint('ran here')")
    assert "ran here" in reply.stdout
    assert "this machine (local Modal API), not billed" in reply.panel
    assert len(member.launched(before)) == 1
