"""Why a step of our flavor has ended, connected and detached: in what the user reads and in ZenML's record."""

from __future__ import annotations

import ast
import time
from typing import Any

import pytest
from members import Member

ENDS = """
import subprocess
import sys
import threading
from pathlib import Path

from zenml import pipeline, step
from zenml.client import Client
from zenml.config.retry_config import StepRetryConfig

NOTES = Path(NOTES_FILE)

def note(text):
    with NOTES.open("a") as file:
        file.write(text + "\\n")

def at_start():
    note("start")

def at_failure(error: BaseException):
    note(f"failure {error}")

def at_success():
    note("success")

HOOKS = {"on_start": at_start, "on_failure": at_failure, "on_success": at_success}

@step(step_operator="OPERATOR", retry=StepRetryConfig(max_retries=1, delay=0), **HOOKS)
def again() -> int:
    return 42

@step(step_operator="OPERATOR", **HOOKS)
def raises() -> None:
    raise LookupError("not there")

@step(step_operator="OPERATOR")
def ended() -> None:
    import time
    time.sleep(600)

@step(step_operator="OPERATOR", settings={"step_operator:OPERATOR": {"timeout": 1}})
def late() -> None:
    import time
    time.sleep(600)

@step(step_operator="OPERATOR")
def exits() -> None:
    import os
    os._exit(3)

def ends(called):
    @pipeline(enable_cache=False, name="OPERATOR_" + called.name, execution_mode="fail_fast")
    def one():
        called()
    try:
        told = one().status.value
    except Exception as error:
        told = str(error)
    run = Client().get_pipeline("OPERATOR_" + called.name).last_run
    attempts = Client().list_run_steps(pipeline_run_id=run.id, sort_by="asc:version", exclude_retried=False).items
    recorded = [Client().get_run_step(each.id) for each in attempts]
    return told, run.status.value, [(each.status.value, reason(each)) for each in recorded]

def reason(step):
    return step.exception_info and (step.exception_info.message, step.exception_info.traceback)

def run_out_of_memory():
    subprocess.run([sys.executable, "-m", "zenml_modal_nb.emulator", "fault", "add", "out-of-memory"], check=True)

def terminate_from_outside():
    import modal
    while True:  # there is no event for a sandbox of somebody else's
        apps = [each for each in ("local", "main") if terminated(modal, each)]
        if apps:
            return

def terminated(modal, environment):
    try:
        app = modal.App.lookup("zenml-modal-nb-OPERATOR_ended", environment_name=environment)
    except modal.exception.NotFoundError:
        return False
    found = list(modal.Sandbox.list(app_id=app.app_id))
    for each in found:
        each.terminate()
    return bool(found)

if __name__ == "__main__":
    Client().activate_stack("light")
    try:
        run_out_of_memory()
        told = {"again": ends(again)}
        threading.Thread(target=terminate_from_outside, daemon=True).start()
        told |= {each.name: ends(each) for each in (ended, raises, late, exits)}
        print("FACTS", repr([told, NOTES.read_text().splitlines()]))
    finally:
        Client().activate_stack("team")
"""


def facts_of(printed: str) -> Any:
    (line,) = [line for line in printed.splitlines() if line.startswith("FACTS ")]
    return ast.literal_eval(line.removeprefix("FACTS "))


@pytest.mark.slow
@pytest.mark.timeout(500)
@pytest.mark.parametrize("operator", ["own", "apart"])
def test_each_end_is_told_apart_in_words_and_in_the_record(member: Member, operator: str) -> None:
    before = time.time()
    notes = member.path / f"notes_{operator}.txt"
    text = ENDS.replace("OPERATOR", operator).replace("NOTES_FILE", repr(str(notes)))
    done = member.script(f"ends_{operator}", text, seconds=480)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Exception in thread" not in done.stderr
    ends, noted = facts_of(done.stdout)

    memory = (
        "The sandbox's process was killed (exit code 137), most likely because it ran out of memory. "
        "Ask for more with ResourceSettings(memory=...)."
    )
    told, run, attempts = ends["again"]
    assert (told, run) == ("completed", "completed")  # the second time
    assert attempts == [("retried", (memory, f"SandboxError: {memory}\n")), ("completed", None)]

    assert ends["ended"][0] == "The sandbox was terminated by Modal or from outside. Run the pipeline again."
    assert ends["late"][0] == (
        "The step did not end within its timeout and the sandbox was stopped. "
        "Raise the step operator's setting `timeout`."
    )
    assert ends["exits"][0].startswith("The sandbox's process ended with exit code 3 before")
    for name in ("ended", "late", "exits"):
        told, run, (attempt,) = ends[name]
        assert (run, attempt) == ("failed", ("failed", (told, f"SandboxError: {told}\n")))

    told, run, ((status, (message, traceback)),) = ends["raises"]
    assert "not there" in told
    assert (run, status, message) == ("failed", "failed", "not there")
    assert 'raise LookupError("not there")' in traceback
    assert "LookupError: not there" in traceback
    assert "/pipelines/" not in traceback  # of ours, or ZenML's

    # Called here at submission, or by the step's own process, if it gets that far.
    assert noted.count("start") in ([3] if operator == "apart" else [2, 3])
    assert [each for each in noted if each != "start"] == ["success", "failure not there"]
    finished = "EXITED" if operator == "own" else "TERMINATED"  # detached, when the results have arrived
    assert [each.end for each in member.launched(before)] == [
        "OUT_OF_MEMORY", finished, "TERMINATED", finished, "TIMED_OUT", "EXITED",
    ]  # fmt: skip


# No time passes for the thread that runs the pipeline, nor for those that wait for its steps: what waits wakes up by
# an event or never.
UNTIMED = """
import threading
import time

from zenml import pipeline, step
from zenml.client import Client

sleep, wait = time.sleep, threading.Condition.wait

def is_untimed(seconds):
    name = threading.current_thread().name
    return seconds is not None and seconds >= 1 and name.startswith(("MainThread", "zenml-modal-nb"))

def sleep_for_ever(seconds):
    if is_untimed(seconds):
        threading.Event().wait()
    sleep(seconds)

def wait_for_the_event(self, timeout=None):
    return wait(self, None if is_untimed(timeout) else timeout)

@step(step_operator="OPERATOR")
def answers() -> int:
    return 42

@pipeline(enable_cache=False)
def untimed_OPERATOR():
    answers()

if __name__ == "__main__":
    Client().activate_stack("light")
    time.sleep, threading.Condition.wait = sleep_for_ever, wait_for_the_event
    try:
        print("FACTS", repr(untimed_OPERATOR().status.value))
    finally:
        time.sleep, threading.Condition.wait = sleep, wait
        Client().activate_stack("team")
"""


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("operator", ["own", "apart"])
def test_the_end_of_a_step_is_an_event_that_no_time_has_to_pass_for(member: Member, operator: str) -> None:
    done = member.script(f"untimed_{operator}", UNTIMED.replace("OPERATOR", operator))
    assert done.returncode == 0, done.stdout + done.stderr
    assert facts_of(done.stdout) == "completed"
