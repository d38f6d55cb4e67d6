"""Where the active stack lacks the step operator: the commands that are told add it, and take nothing away."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from frontend import Home, Kernel

SETUP = """
from zenml import pipeline
from zenml.client import Client
from zenml.enums import StackComponentType as Kind
client = Client()
_ = client.create_stack_component("team gpus", "modal_notebook", Kind.STEP_OPERATOR, configuration={})
_ = client.create_stack("a team", {
    Kind.ORCHESTRATOR: "default", Kind.ARTIFACT_STORE: "default", Kind.STEP_OPERATOR: "team gpus",
})
def operators(stack):
    return [each.name for each in Client().get_stack(stack).components.get(Kind.STEP_OPERATOR, [])]
"""
# One process for several commands: each would import ZenML's integrations anew.
ZENML = """
import shlex, sys
from zenml.cli.cli import cli
for line in sys.argv[1:]:
    cli(shlex.split(line)[1:], prog_name="zenml", standalone_mode=False)
"""


@pytest.fixture(scope="module")
def user(home: Home) -> Iterator[Kernel]:
    kernel = Kernel(home, "lacking")
    try:
        kernel.run("%load_ext zenml_modal_nb")
        kernel.run("%%modal_step\none = 1")  # registers ours
        kernel.run(SETUP)
        yield kernel
    finally:
        kernel.run("Client().activate_stack('default')")
        kernel.close()


def obey(home: Home, told: str) -> None:
    """Run the commands that change a stack, as a message has them."""
    commands = re.findall(r"`(zenml stack (?:copy|update)[^`]*)`", told)
    done = home.python("-c", ZENML, *commands)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_a_cell_and_a_defined_step_tell_keeps_the_operators_that_are_there(
    user: Kernel, home: Home
) -> None:
    user.run("client.activate_stack('a team')")
    refused = user.attempt("%%modal_step --operator modal_notebook\none = 1").evalue
    obey(home, refused)
    assert user.ask("operators('a team')") == ["team gpus", "modal_notebook"]

    user.run("%%modal_step --define --name defined\nfound = 1")
    user.run("_ = client.update_stack('a team', component_updates={Kind.STEP_OPERATOR: ['team gpus']})")
    called = user.attempt("@pipeline\ndef early():\n    defined()\nearly()").evalue
    assert "or add it to yours" in called
    obey(home, called)
    assert user.ask("operators('a team')") == ["team gpus", "modal_notebook"]


def test_zenmls_own_stack_which_cannot_be_changed_is_copied(user: Kernel, home: Home) -> None:
    user.run("client.activate_stack('default')")
    obey(home, user.attempt("%%modal_step --operator 'team gpus'\none = 1").evalue)
    assert user.ask("operators('my_stack')") == ["team gpus"]
