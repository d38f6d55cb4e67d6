"""`zenml-modal-nb doctor` on a team's stack whose server and store are on this machine."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from members import Member


@pytest.mark.slow
def test_addresses_that_a_sandbox_at_modal_cannot_reach_are_problems_and_make_the_exit_code_one(
    member: Member,
) -> None:
    def examine(*words: str) -> tuple[int, list[str]]:
        done = subprocess.run(
            [sys.executable, "-m", "zenml_modal_nb.cli", "doctor", "--json", "--stack", "team", *words],
            env=member.environment, cwd=member.path, capture_output=True, text=True, timeout=150, check=False,
        )  # fmt: skip
        findings = json.loads(done.stdout)["findings"]
        return done.returncode, [
            f"{each['name']}: {each['found']}" for each in findings if each["verdict"] == "problem"
        ]

    code, problems = examine("--on", "modal")
    assert code == 1
    assert len(problems) == 2
    assert f"addresses: the ZenML server {member.server}: a sandbox cannot reach it" in problems[0]
    assert "addresses: artifact store 's3' http://127.0.0.1:" in problems[1]
    # Where sandboxes are processes of this machine, they reach what it reaches.
    assert examine("--on", "local") == (0, [])
