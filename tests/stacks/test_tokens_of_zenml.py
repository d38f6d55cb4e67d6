"""ZenML's own tokens: a connected sandbox gets one of its run, and nothing that is recorded, told or shown holds it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from frontend import STRICT, Kernel
from members import Member
from team import IMAGE, SEARCH, team

PASSWORD = "password-that-nobody-sees"
# Notes, in a file of this machine's that no record knows, the token that a process has, and what its command line is.
NOTE = """
import os
from pathlib import Path

def note(where):
    for process in (os.getpid(), os.getppid()):
        variables = Path(f"/proc/{process}/environ").read_text().split("\\0")
        tokens = [each.partition("=")[2] for each in variables if each.startswith("ZENML_STORE_API_TOKEN=")]
        with open(where, "a") as file:
            file.writelines(f"{token}\\n" for token in tokens)
        with open(where + ".commands", "a") as file:
            file.write(Path(f"/proc/{process}/cmdline").read_text() + "\\n")
"""
SCRIPT = f"""
from notes import note
from zenml import pipeline, step
from zenml.client import Client
from zenml.config import DockerSettings

@step(step_operator=True)
def noted(where: str) -> int:
    note(where)
    return 42

@pipeline(enable_cache=False, settings={{"docker": DockerSettings(parent_image="{IMAGE}", skip_build=True)}})
def tokens(where: str):
    noted(where)

if __name__ == "__main__":
    for stack, operator in (("team", "modal"), ("light", "own")):
        Client().activate_stack(stack)
        run = tokens(where=WHERE + operator)
        print("ENDED", operator, run.steps["noted"].output.load())
"""


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Member]:
    """A member of a team whose ZenML server asks who they are."""
    with team(tmp_path_factory.mktemp("known"), PASSWORD) as home:
        user = Member(home.path, home.server, PASSWORD)
        with user.local_modal(*STRICT):
            yield user


def noted_in(where: Path) -> str:
    """The one token that was noted; the command lines beside it do not have it."""
    (token,) = set(where.read_text(encoding="utf-8").split())
    assert len(token) > 100
    assert token not in Path(f"{where}.commands").read_text(encoding="utf-8")
    return token


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_a_runs_token_reaches_its_sandbox_and_no_log_record_metadata_or_command_line(
    known: Member, tmp_path: Path
) -> None:
    done = known.script("tokens", f"WHERE = {str(tmp_path / 'of_')!r}\n{SCRIPT}", notes=NOTE, seconds=300)
    assert "ENDED modal 42" in done.stdout, done.stdout + done.stderr
    assert "ENDED own 42" in done.stdout, done.stdout + done.stderr
    shown = [done.stdout, done.stderr]

    kernel = Kernel(known, "tokens")
    try:
        kernel.run("%load_ext zenml_modal_nb\nfrom zenml.client import Client")
        kernel.run("Client().activate_stack('light')")
        kernel.run(NOTE)
        reply = kernel.run(
            f"%%modal_step --operator own --name cell\nnote({str(tmp_path / 'of_cell')!r})\nfound = 42"
        )
        shown += [reply.stdout, reply.stderr, str(reply.messages), str(reply.panels)]
        secrets = [noted_in(tmp_path / f"of_{name}") for name in ("modal", "own", "cell")] + [PASSWORD]
        found, read = kernel.ask(f"holding({secrets!r})", given=SEARCH)
    finally:
        kernel.close()
    assert found == []
    assert read > 5  # archives, logs and values

    shown += [(known.path / "kernel-tokens.log").read_text(errors="replace")]
    shown += [each.record for each in known.launched()]
    for directory in (known.state / "logs", known.path / "zenml"):
        for path in directory.rglob("*"):
            if path.is_file() and path.name != "credentials.yaml":  # where ZenML itself keeps this user's
                with suppress(OSError):
                    shown.append(path.read_text(errors="replace"))
    database = b"".join(path.read_bytes() for path in known.path.glob("server.db*"))
    assert b"noted" in database  # the runs are there
    assert len(known.launched()) == 3
    for secret in secrets:
        assert not [each[:200] for each in shown if secret in each]
        assert secret.encode() not in database
