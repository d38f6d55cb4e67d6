"""A cell from its request to its record in ZenML, where something goes wrong between the two."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import modal
import pytest
from followed import Modal, strict_modal
from zenml_home import warm_zenml

from zenml_modal_nb.errors import ModalStepError, ResultError
from zenml_modal_nb.events import Event, Failed, Finished, Queued, Reason, Stopped, Waiting
from zenml_modal_nb.pipelines import facts
from zenml_modal_nb.request import StepRequest
from zenml_modal_nb.run.cell_run import CellRun
from zenml_modal_nb.run.failure import Tracebacks
from zenml_modal_nb.run.preparation import Cell, prepare

pytestmark = pytest.mark.filterwarnings("default")  # ZenML's own, e.g. on the artifacts it pickles


@pytest.fixture(scope="module")
def strict() -> Iterator[Modal]:
    warm_zenml()
    with strict_modal() as place, pytest.MonkeyPatch.context() as patch:
        for name, value in place.server.environment.items():
            patch.setenv(name, value)
        yield place


class Run:
    """One cell, run to its end as the magic does; what was shown and raised is kept."""

    def __init__(self, body: str, namespace: dict[str, Any] | None = None, **request: Any) -> None:
        self.namespace = {"__name__": "__main__", **(namespace or {})}
        cell = Cell(body, "Cell In[5]", "<cell 5>", "notebook")
        prepared = prepare(StepRequest(on="modal", **request), cell, self.namespace)
        self.events: list[Event] = []
        self.app = f"zenml-modal-nb-{prepared.job.notebook}"
        self.run = CellRun(
            prepared, self.namespace, self, Tracebacks(cell, body.splitlines(), lambda _: None)
        )
        self.value: object = None
        self.raised: BaseException | None = None
        try:
            self.value = self.run.follow()
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - looked at by the test
            self.raised = error

    def show(self, event: Event) -> None:
        self.events.append(event)

    @property
    def last(self) -> Event:
        return self.events[-1]

    @property
    def step(self) -> Any:
        from zenml.client import Client

        (step,) = Client().get_pipeline_run(self.run.id).steps.values()
        return step


def left_at(strict: Modal) -> list[str]:
    app = modal.App.lookup("zenml-modal-nb-notebook", client=strict.client, environment_name="local")
    return [each.object_id for each in modal.Sandbox.list(app_id=app.app_id, client=strict.client)]


def log_of(step: Any) -> str:
    """What ZenML shows as the step's log."""
    from zenml.client import Client

    client = Client()
    (logs,) = [each for each in client.get_run_step(step.id).log_collection if each.source == "step"]
    return "\n".join(entry.message for entry in client.active_stack.log_store.fetch(logs, limit=1000).items)


def test_a_cell_is_recorded_with_its_values_log_and_figures(strict: Modal) -> None:
    run = Run("print('hello')\nb = a + 1\nb * 2", {"a": 1}, gpu="T4", name="train")
    assert (run.value, run.raised) == (4, None)
    assert run.namespace["b"] == 2
    assert isinstance(run.last, Finished)
    step = run.step
    assert (step.name, step.status.value) == ("train", "completed")
    assert step.outputs["b"][0].load() == 2
    assert "hello" in log_of(step)
    figures = next(iter(step.run_metadata.values())) if "gpu" not in step.run_metadata else step.run_metadata
    assert {"sandbox_id", "gpu", "duration_seconds", "estimated_cost_usd"} <= set(figures)
    assert left_at(strict) == []


def test_a_result_asked_for_that_cannot_be_restored_here_leaves_log_and_figures(strict: Modal) -> None:
    run = Run(
        "import sys, types\n"
        "print('hello')\n"
        "there = sys.modules['only_there_zmnb'] = types.ModuleType('only_there_zmnb')\n"
        "exec('class Thing: pass', vars(there))\n"
        "there.Thing.__module__ = 'only_there_zmnb'\n"
        "thing = there.Thing()\n"
        "del there",
        outputs=("thing",),
    )
    assert isinstance(run.raised, ResultError)
    assert isinstance(run.last, Failed)
    assert run.step.status.value == "failed"
    assert "hello" in log_of(run.step)
    assert "duration_seconds" in str(run.step.run_metadata)
    assert left_at(strict) == []


def test_an_environment_that_does_not_exist_is_told_and_recorded(strict: Modal) -> None:
    run = Run("1", modal_environment="no-such-environment")
    assert isinstance(run.raised, ModalStepError)
    assert isinstance(run.last, Failed)
    assert run.last.reason is Reason.NOT_STARTED
    assert run.step.status.value == "failed"


def test_zenmls_failure_after_the_creation_leaves_no_sandbox(
    strict: Modal, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = facts.publish_step_run_metadata

    def full(step_run_id: Any, metadata: Any) -> None:
        if any("sandbox_id" in values for values in metadata.values()):
            raise OSError("database or disk is full")
        publish(step_run_id, metadata)

    monkeypatch.setattr(facts, "publish_step_run_metadata", full)
    run = Run("import time\nwhile True: time.sleep(1)")
    assert "disk is full" in str(run.raised)
    assert left_at(strict) == []


def test_a_stop_from_another_thread_is_recorded_as_stopped(strict: Modal) -> None:
    class Stopping(Run):
        def show(self, event: Event) -> None:
            super().show(event)
            if "begun" in self.run.logs():
                threading.Thread(target=self.run.cancel).start()

    run = Stopping("import time\nprint('begun')\nwhile True: time.sleep(1)")
    assert isinstance(run.raised, KeyboardInterrupt)
    assert isinstance(run.last, Stopped)
    assert run.step.status.value == "stopped"
    assert left_at(strict) == []


def test_a_run_stopped_before_its_sandbox_was_asked_for_has_none(strict: Modal) -> None:
    class StoppedAtOnce(Run):
        def show(self, event: Event) -> None:
            super().show(event)
            if isinstance(event, Queued):
                self.run.cancel()

    run = StoppedAtOnce("while True: pass")
    assert isinstance(run.raised, KeyboardInterrupt)
    assert isinstance(run.last, Stopped)
    assert run.last.usd in (None, 0)
    assert not any(isinstance(event, Waiting) for event in run.events)
    assert run.run.id is None  # nor is there anything to record


def test_a_secret_value_reaches_the_cell_and_no_record(
    strict: Modal, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zenml.client import Client

    monkeypatch.setenv("ZMNB_TOKEN", "s3cret-value")
    run = Run("import os\nlength = len(os.environ['ZMNB_TOKEN'])", env=(("ZMNB_TOKEN", None),))
    assert run.namespace["length"] == len("s3cret-value")
    whole = Client().get_pipeline_run(run.run.id)
    told = [step.model_dump_json() for step in (run.step, whole)]
    assert not any("s3cret" in text for text in told)
    assert "s3cret" not in repr(run.run._prepared)


def test_the_cost_stands_still_when_the_run_is_over(strict: Modal) -> None:
    run = Run("pass", gpu="T4")
    assert isinstance(run.last, Finished)
    assert run.last.usd is not None
    assert run.last.usd > 0
    assert run.run.cost == run.run.cost == run.last.usd
