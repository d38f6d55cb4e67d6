"""A component's own token leads its cells to Modal; neither it nor any secret can be read anywhere afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from frontend import Kernel
from members import Member, Outsider
from team import IMAGE, SEARCH

OWN, STEPS = "own-value-that-nobody-sees", "step-value-that-nobody-sees"

REGISTER = f"""
import json, os
from pathlib import Path
from zenml.client import Client
from zenml.enums import StackComponentType as Kind
client = Client()
record = json.loads((Path(os.environ["ZENML_MODAL_NB_STATE_DIR"]) / "server.json").read_text())
_ = client.create_secret("cells_token", {{"id": record["token_id"], "secret": record["token_secret"]}})
_ = client.create_secret("of_a_step", {{"PASSWORD": {STEPS!r}}})
token = {{"token_id": "{{{{cells_token.id}}}}", "token_secret": "{{{{cells_token.secret}}}}"}}
for name, flavor, more in (("t_modal", "modal", {{}}), ("t_own", "modal_notebook", {{}}),
                           ("t_apart", "modal_notebook", {{"execution": "detached"}})):
    _ = client.create_stack_component(name, flavor, Kind.STEP_OPERATOR, configuration={{**token, **more}})
_ = client.create_stack("with_tokens", {{
    Kind.ORCHESTRATOR: "default", Kind.ARTIFACT_STORE: "s3", Kind.CONTAINER_REGISTRY: "registry",
    Kind.IMAGE_BUILDER: "builder", Kind.STEP_OPERATOR: ["t_modal", "t_own", "t_apart"],
}})
client.activate_stack("with_tokens")
"""

SCRIPT = """
import os
from zenml import pipeline, step
from zenml.client import Client

def length() -> int:
    print("a secret of", len(os.environ["PASSWORD"]))
    return len(os.environ["PASSWORD"])

@step(step_operator="t_own", secrets=["of_a_step"])
def connected() -> int:
    return length()

@step(step_operator="t_apart", secrets=["of_a_step"])
def detached() -> int:
    return length()

@pipeline(enable_cache=False)
def with_secrets():
    connected()
    detached()

if __name__ == "__main__":
    Client().activate_stack("with_tokens")
    try:
        run = with_secrets()
        print("LENGTHS", [run.steps[name].output.load() for name in ("connected", "detached")])
    finally:
        Client().activate_stack("team")
"""


@dataclass(frozen=True)
class Secretive(Outsider):
    """An outsider with a secret of their own."""

    @property
    def environment(self) -> dict[str, str]:
        """With that secret."""
        return super().environment | {"OWN_SECRET": OWN}


@pytest.fixture(scope="module")
def outsider(member: Member) -> Outsider:
    return Secretive(member.path, member.server)


@pytest.fixture(scope="module")
def user(outsider: Outsider) -> Iterator[Kernel]:
    kernel = Kernel(outsider, "outsider")
    try:
        kernel.run("%load_ext zenml_modal_nb")
        kernel.run(REGISTER)
        yield kernel
    finally:
        kernel.run("Client().activate_stack('team')")
        kernel.close()


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_a_components_own_token_is_used_and_no_secret_is_left_anywhere(
    user: Kernel, outsider: Outsider
) -> None:
    before, shown = time.time(), []
    for operator in ("t_modal", "t_own", "t_apart"):
        more = f"--image {IMAGE}" if operator == "t_modal" else "--env OWN_SECRET"
        reply = user.run(
            f"%%modal_step --operator {operator} {more} --name of_{operator}\n"
            "import os\nsize = len(os.environ.get('OWN_SECRET', ''))\n"
            "commands = [open(f'/proc/{pid}/cmdline').read() for pid in (os.getpid(), os.getppid())]\n"
            "print('sized', size)"
        )
        assert f"sized {0 if operator == 't_modal' else len(OWN)}" in reply.stdout
        shown += [reply.stdout, reply.stderr, str(reply.panels), *user.ask("commands")]
    done = outsider.script("with_secrets", SCRIPT, seconds=300)
    assert f"LENGTHS {[len(STEPS)] * 2}" in done.stdout, done.stdout + done.stderr
    assert done.stdout.count("a secret of") >= 1  # of the detached step, whose log this process has

    secrets = [outsider.server_record["token_secret"], OWN, STEPS]
    shown += [done.stdout, done.stderr, (outsider.path / "kernel-outsider.log").read_text()]
    shown += [each.record for each in outsider.launched(before)]
    shown += [
        path.read_text(errors="replace") for path in (outsider.state / "logs").rglob("*") if path.is_file()
    ]
    database = b"".join(path.read_bytes() for path in outsider.path.glob("server.db*"))
    assert b"of_t_modal" in database  # the runs are there
    for secret in secrets:
        assert not [each for each in shown if secret in each]
        assert secret.encode() not in database
    # The cells' module and values, the steps' code and logs among them.
    found, read = user.ask(f"holding({secrets!r})", given=SEARCH)
    assert found == []
    assert read > 20


@pytest.mark.slow
def test_without_a_components_token_the_users_own_is_taken_and_refused(
    user: Kernel, outsider: Outsider
) -> None:
    before = time.time()
    user.run("client.activate_stack('team')")
    reply = user.attempt("%%modal_step --operator modal\none = 1")
    user.run("client.activate_stack('with_tokens')")
    assert "token" in reply.evalue
    assert "as-wrong" not in reply.evalue
    assert outsider.launched(before) == []
