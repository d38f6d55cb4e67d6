"""Step operators registered with ZenML's own command line, of its own flavor and of ours; tokens as ZenML secrets."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from members import Member, Outsider

PIPELINE = """
from zenml import pipeline, step
from zenml.client import Client

@step(step_operator="token_op", settings={"step_operator": {"workspace": "local"}})
def answers() -> int:
    return 42

@pipeline(enable_cache=False)
def with_a_token():
    answers()

if __name__ == "__main__":
    Client().activate_stack("tokens")
    try:
        run = with_a_token()
        print("STATUS", run.steps["answers"].status.value, run.steps["answers"].output.load())
        print(run.steps["answers"].run_metadata)
    finally:
        Client().activate_stack("team")
"""


def zenml(member: Member, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("zenml")
    return subprocess.run(
        [str(program), *arguments],
        env=member.environment | {"COLUMNS": "300"},
        cwd=member.path / "scripts",
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def registering(member: Member) -> Member:
    (member.path / "scripts").mkdir(exist_ok=True)
    return member


def register(member: Member, name: str, *options: str) -> str:
    """Register an operator; returns what the user reads, with a leading "ok" where it succeeded."""
    done = zenml(member, "step-operator", "register", name, *options)
    told = " ".join(f"{done.stdout} {done.stderr}".split())
    return f"{'ok' if done.returncode == 0 else 'no'} {told}"


@pytest.mark.slow
@pytest.mark.parametrize("flavor", ["modal", "modal_notebook"])
def test_options_are_spelled_with_underscores_and_a_token_needs_both_halves(
    registering: Member, flavor: str
) -> None:
    half = register(registering, f"half_{flavor}", f"--flavor={flavor}", "--token_id=ak-1")
    assert half.startswith("no")
    assert "token_id and token_secret must be configured together" in half
    dashes = register(registering, f"dash_{flavor}", f"--flavor={flavor}", "--token-id=ak-1")
    assert dashes.startswith("no")
    whole = register(
        registering, f"whole_{flavor}", f"--flavor={flavor}", "--token_id=ak-1", "--token_secret=as-1",
        "--modal_environment=main", "--gpu=T4",
    )  # fmt: skip
    assert whole.startswith("ok"), whole


@pytest.mark.slow
def test_only_our_flavor_takes_a_workspace(registering: Member) -> None:
    refused = register(registering, "stock_workspace", "--flavor=modal", "--workspace=acme")
    assert refused.startswith("no")
    assert register(registering, "own_workspace", "--flavor=modal_notebook", "--workspace=acme").startswith(
        "ok"
    )


@pytest.mark.slow
def test_a_token_that_is_a_secret_of_zenmls_is_used_and_shown_nowhere(registering: Member) -> None:
    record = json.loads((registering.state / "server.json").read_text(encoding="utf-8"))
    token_id, token_secret = record["token_id"], record["token_secret"]
    made = zenml(
        registering, "secret", "create", "modal_token", f"--id={token_id}", f"--secret={token_secret}"
    )
    assert made.returncode == 0, made.stderr
    told = register(
        registering, "token_op", "--flavor=modal_notebook", "--execution=detached",
        "--token_id={{modal_token.id}}", "--token_secret={{modal_token.secret}}",
    )  # fmt: skip
    assert told.startswith("ok"), told
    stack = zenml(registering, "stack", "register", "tokens", "-o", "default", "-a", "s3", "-s", "token_op")
    assert stack.returncode == 0, stack.stderr
    shown = zenml(registering, "step-operator", "describe", "token_op")
    # Its user's own token is refused: without the component's nothing would run.
    before = time.time()
    done = Outsider(registering.path, registering.server).script("tokens", PIPELINE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "STATUS completed 42" in done.stdout
    (sandbox,) = registering.launched(before)
    for text in (shown.stdout, done.stdout, done.stderr, told, sandbox.record):
        assert token_secret not in text
