"""What a user finds in ZenML after a cell: the run as it ended, its artifacts, its metadata, its log."""

from __future__ import annotations

import pytest
from frontend import Kernel

RECORD = """
from zenml.client import Client
from zenml.artifacts.utils import load_artifact_from_response as _load
run = Client().get_pipeline_run(_modal_run.id)
(step_run,) = run.steps.values()
inputs = {name: [_load(each) for each in found] for name, found in step_run.inputs.items()}
outputs = {name: [_load(each) for each in found] for name, found in step_run.outputs.items()}
"""
LOG = """
from zenml.client import Client
client = Client()
(step_run,) = client.get_pipeline_run(_modal_run.id).steps.values()
found = [each for each in client.get_run_step(step_run.id).log_collection if each.source == "step"]
store = client.active_stack.log_store
entries = [entry.message for each in found for entry in store.fetch(each, limit=1000).items]
"""


def test_a_run_is_complete_with_inputs_and_outputs_named_after_the_variables(kernel: Kernel) -> None:
    kernel.run("weights = [1, 2, 3]\ndef scale(x):\n    return x * 10")
    kernel.run("%%modal_step --name weigh\nheavy = [scale(w) for w in weights]\nlightest = min(heavy)")
    assert kernel.ask("[run.status.value, step_run.name, step_run.status.value]", given=RECORD) == [
        "completed",
        "weigh",
        "completed",
    ]
    assert kernel.ask("inputs") == {"weights": [[1, 2, 3]]}
    assert kernel.ask("outputs") == {"heavy": [[10, 20, 30]], "lightest": [10]}
    assert kernel.ask("sorted({each.name for found in step_run.outputs.values() for each in found})") == [
        "heavy",
        "lightest",
    ]


def test_what_is_bound_on_some_paths_is_an_artifact_when_it_was_bound(kernel: Kernel) -> None:
    kernel.run("flag = True")
    kernel.run("%%modal_step\nsure = 1\nif flag:\n    perhaps = 2\nelse:\n    rather_not = 3")
    assert kernel.ask("outputs", given=RECORD) == {"sure": [1], "perhaps": [2]}
    # What a later look-up of the results needs.
    assert kernel.ask("step_run.run_metadata['run']['outputs']") == ["sure", "perhaps", "rather_not"]


def test_the_metadata_tells_sandbox_resources_duration_and_cost(kernel: Kernel) -> None:
    reply = kernel.run("%%modal_step --gpu A100 --gpu-count 2 --memory 32GiB\nmetered = sum(range(10**6))")
    metadata = kernel.ask("dict(step_run.run_metadata)", given=RECORD)
    assert metadata["gpu"] == "A100:2"
    assert metadata["memory_mib"] == 32768
    assert metadata["sandbox_id"] in reply.panel
    assert 0 < metadata["cell_seconds"] <= metadata["duration_seconds"] < 60
    assert metadata["hourly_rate_usd"] > 4
    assert 0 < metadata["estimated_cost_usd"] < 1
    assert metadata["billed"] is False


def test_the_steps_log_is_the_cells_log(kernel: Kernel) -> None:
    kernel.run(
        "%%modal_step\nprint()\nfor n in range(300):\n    print('line', n)\nprint('  \\n')\nprint('end\\n\\n')"
    )
    entries = kernel.ask("entries", given=LOG)
    logged = [
        line.rstrip() for line in kernel.ask("_modal_run.logs()").split("\n")
    ]  # ZenML keeps no spaces at ends
    assert [*"\n".join(entries).split("\n"), ""] == logged


def test_a_flood_is_whole_in_the_steps_log_and_few_entries(kernel: Kernel) -> None:
    kernel.run(
        "%%modal_step\nfor n in range(20_000):\n    print('line', n)\n    if n % 1000 == 7:\n"
        "        print('\\n\x1b[31m\x1b[0m')\nprint('\\n' * 40)"
    )
    entries = kernel.ask("entries", given=LOG)
    logged = [
        line.rstrip() for line in kernel.ask("_modal_run.logs()").replace("\x1b[31m\x1b[0m", "").split("\n")
    ]
    assert [*"\n".join(entries).split("\n"), ""] == logged
    assert len(entries) < 2000


def test_both_streams_are_in_the_steps_log(kernel: Kernel) -> None:
    kernel.run("%%modal_step\nimport sys\nprint('good')\nprint('\\nbad', file=sys.stderr)")
    assert sorted(kernel.ask("'\\n'.join(entries)", given=LOG).split("\n")) == ["", "bad", "good"]


def test_a_failed_cell_is_a_failed_run_with_its_error(kernel: Kernel) -> None:
    kernel.attempt("%%modal_step\nbound_first = 5\nprint('before')\nraise LookupError('not there')")
    statuses = kernel.ask("[run.status.value, step_run.status.value, outputs]", given=RECORD)
    assert statuses[:2] == ["failed", "failed"]
    told = kernel.ask("step_run.exception_info.traceback")
    assert "LookupError: not there" in told
    assert "before" in kernel.ask("entries", given=LOG)


def test_the_handle_tells_what_the_run_is(kernel: Kernel) -> None:
    kernel.run("%%modal_step\nprint('told')\nhandled = [1]")
    assert kernel.ask("[_modal_run.status, _modal_run.outputs, _modal_run.logs()]") == [
        "finished",
        {"handled": [1]},
        "told\n",
    ]
    assert kernel.ask("[_modal_run.cost > 0, _modal_run.result(), _modal_run.url]") == [True, None, None]
    assert kernel.ask("run.id.hex == __import__('uuid').UUID(_modal_run.id).hex", given=RECORD)


def test_a_log_whose_file_was_removed_says_where_it_is(kernel: Kernel) -> None:
    kernel.run("%%modal_step\nprint('told')")
    kernel.run("_modal_run.log_file.unlink()")
    reply = kernel.attempt("_modal_run.logs()")
    assert reply.ename == "ModalStepError"
    assert "ZenML has it" in reply.evalue


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["%%modal_step\nstep = 1", "%%modal_step --name len\nsize = len('abc')"])
def test_names_that_zenml_or_python_use_are_no_trouble(kernel: Kernel, cell: str) -> None:
    kernel.run(cell)
    assert kernel.ask("run.status.value", given=RECORD) == "completed"


@pytest.mark.slow
def test_a_cell_without_inputs_or_outputs_is_a_run_too(kernel: Kernel) -> None:
    kernel.run("%%modal_step\nprint('only this')")
    assert kernel.ask("[run.status.value, inputs, outputs]", given=RECORD) == ["completed", {}, {}]
