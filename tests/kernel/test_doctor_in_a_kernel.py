"""`%modal_doctor`: what a notebook reads of its own installation, and what `--fix` changes."""

from __future__ import annotations

import pytest
from frontend import Gate, Kernel, Reply

NEW_STACK = """
from zenml.client import Client
from zenml.enums import StackComponentType as DoctorKind
def doctor_stack(name, **components):
    _ = Client().create_stack(name, {{"orchestrator": "default", "artifact_store": "default", **components}})
doctor_stack({name!r}, {components})
"""
OPERATORS = (
    "[each.name for each in Client().get_stack({name!r}).components.get(DoctorKind.STEP_OPERATOR, [])]"
)


def found(reply: Reply, name: str) -> list[str]:
    """The lines of the last report about `name`, with what to do."""
    lines = reply.panel.splitlines()
    at = next(number for number, line in enumerate(lines) if line[9:29].strip() == name)
    rest = lines[at + 1 :]
    more = next((number for number, line in enumerate(rest) if "→" not in line[:11]), len(rest))
    return [lines[at], *(line.strip(" →") for line in rest[:more])]


def new_stack(kernel: Kernel, name: str, components: str = "") -> None:
    kernel.run(NEW_STACK.format(name=name, components=components))


def operators(kernel: Kernel, name: str) -> list[str]:
    return list(kernel.ask(OPERATORS.format(name=name)))


def test_all_is_well_where_cells_run(kernel: Kernel) -> None:
    reply = kernel.run("%modal_doctor")
    assert reply.stdout + reply.stderr == ""
    assert reply.panel.splitlines()[-1].startswith("no problems")
    assert "the local Modal API answers in" in found(reply, "reachability")[0]
    assert "registered" in found(reply, "registration")[0]
    assert found(reply, "image")[0].startswith("ok ")
    assert "examining" in reply.panels[0]["data"]["text/plain"]  # it grows while the checks go on
    assert "<table" in reply.panels[-1]["data"]["text/html"]
    assert reply.results == []


def test_the_place_is_the_one_a_cell_would_run_at(kernel: Kernel) -> None:
    kernel.run('%config ModalStep.on = "modal"')
    try:
        reply = kernel.run("%modal_doctor")
    finally:
        kernel.run("%config ModalStep.on = None")
    assert found(reply, "token") == [
        f"{'problem':<9}{'token':<20}none is configured",
        "modal token new",
    ]
    assert found(reply, "reachability")[0].startswith("skipped")
    assert found(reply, "image")[0].startswith("skipped")


def test_each_component_that_a_stock_stack_lacks_is_named_with_its_commands(kernel: Kernel) -> None:
    new_stack(kernel, "lacking")
    reply = kernel.run("%modal_doctor --stack lacking")
    assert found(reply, "server")[1:] == ["zenml login URL"]
    assert found(reply, "step operator")[-1].startswith("zenml stack update lacking --step_operator ")
    assert "'default' of flavor 'local' is on this machine" in found(reply, "artifact store")[0]
    assert found(reply, "artifact store")[-1] == "zenml stack update lacking --artifact-store remote_store"
    assert found(reply, "container registry")[1:] == [
        "zenml container-registry register registry --flavor=default --uri=HOST/PROJECT",
        "zenml stack update lacking --container_registry registry",
    ]
    assert found(reply, "image builder")[-1] == "zenml stack update lacking --image_builder builder"
    assert "5 problems" in reply.panel


def test_what_a_stock_stack_has_is_no_problem_unless_a_sandbox_cannot_reach_it(kernel: Kernel) -> None:
    kernel.run(
        "from zenml.client import Client\n"
        "from zenml.enums import StackComponentType as DoctorKind\n"
        "doctor_add = Client().create_stack_component\n"
        "doctor_path = {'path': 's3://bucket', 'client_kwargs': {'endpoint_url': 'http://127.0.0.1:9000'}}\n"
        "doctor_at = doctor_add('doctor_bucket', 's3', DoctorKind.ARTIFACT_STORE, doctor_path)\n"
        "doctor_at = doctor_add('doctor_images', 'default', DoctorKind.CONTAINER_REGISTRY, {'uri': 'docker.io/acme'})\n"
        "doctor_at = doctor_add('doctor_near', 'default', DoctorKind.CONTAINER_REGISTRY, {'uri': 'localhost:5000'})\n"
        "doctor_at = doctor_add('doctor_gpus', 'modal', DoctorKind.STEP_OPERATOR, {})\n"
        "doctor_at = doctor_add('doctor_docker', 'local', DoctorKind.IMAGE_BUILDER, {})"
    )
    rest = "artifact_store='doctor_bucket', step_operator='doctor_gpus', image_builder='doctor_docker'"
    new_stack(kernel, "whole", f"container_registry='doctor_images', {rest}")
    reply = kernel.run("%modal_doctor --on modal --stack whole")
    for name in ("step operator", "artifact store", "container registry"):
        assert found(reply, name)[0].startswith("ok "), name
    told = found(reply, "addresses")
    assert told[0].startswith("problem")
    assert "artifact store 'doctor_bucket' http://127.0.0.1:9000" in told[0]
    assert "Give it a public address" in told[-1]
    # The very same is fine where sandboxes are processes of this machine.
    assert found(kernel.run("%modal_doctor --stack whole"), "addresses")[0].startswith("ok ")

    new_stack(kernel, "near", f"container_registry='doctor_near', {rest}")
    told = found(kernel.run("%modal_doctor --stack near"), "container registry")
    assert "'doctor_near' of flavor 'default' is on this machine" in told[0]


def test_fix_where_everything_is_there_changes_nothing_and_says_so(kernel: Kernel) -> None:
    reply = kernel.run("%modal_doctor --fix")
    first = [panel["data"]["text/plain"] for panel in reply.panels if "setup" in panel["data"]["text/plain"]]
    assert first[-1].count("is there") == 3
    assert "everything was there, nothing was changed" in first[-1]
    assert reply.panel.splitlines()[-1].startswith("no problems")


def test_fix_asks_before_it_touches_a_stack_and_does_nothing_twice(kernel: Kernel) -> None:
    new_stack(kernel, "touched")
    asked = kernel.send("%modal_doctor --fix --stack touched")
    assert "'modal_notebook' to the stack 'touched' (step operators now: none)?" in kernel.reply_to_input("n")
    reply = kernel.finish(asked)
    assert "nothing was changed" in reply.panel
    assert operators(kernel, "touched") == []

    asked = kernel.send("%modal_doctor --fix --stack touched")
    kernel.reply_to_input("y")
    assert kernel.finish(asked).ok
    assert operators(kernel, "touched") == ["modal_notebook"]

    again = kernel.run("%modal_doctor --fix --stack touched")
    assert operators(kernel, "touched") == ["modal_notebook"]
    assert any("nothing was changed" in str(panel) for panel in again.panels)
    assert kernel.ask("Client().active_stack_model.name") == "default"


def test_fix_adds_the_stock_operator_behind_those_that_are_there(kernel: Kernel) -> None:
    new_stack(kernel, "several", "step_operator='modal_notebook'")
    kernel.run("%modal_doctor --fix --stack several --flavor modal --yes")
    assert operators(kernel, "several")[0] == "modal_notebook"
    kinds = (
        "[each.flavor_name for each in Client().get_stack('several').components[DoctorKind.STEP_OPERATOR]]"
    )
    assert kernel.ask(kinds) == ["modal_notebook", "modal"]


# As an earlier version that kept its flavor in another module has left it, with a component and a stack of it.
MOVED = """
from zenml.models import FlavorUpdate
doctor_flavor = Client().get_flavor_by_name_and_type("modal_notebook", DoctorKind.STEP_OPERATOR)
doctor_update = FlavorUpdate(source="old_package.flavor.ModalNotebookFlavor")
doctor_flavor = Client().zen_store.update_flavor(doctor_flavor.id, doctor_update)
"""


def test_fix_replaces_a_flavor_that_step_operators_are_of_and_they_stay(kernel: Kernel) -> None:
    new_stack(kernel, "used", "step_operator='modal_notebook'")
    kernel.run(MOVED)
    told = found(kernel.run("%modal_doctor"), "registration")
    assert told[0].startswith("problem")
    assert told[1] == "zenml-modal-nb setup"
    asked = kernel.send("%modal_doctor --fix")
    question = kernel.reply_to_input("n")
    assert "also for the step operators that are of it (modal_notebook" in question
    assert kernel.finish(asked).ok
    reply = kernel.run("%modal_doctor --fix --yes")
    assert any("flavor 'modal_notebook' replaced" in str(panel) for panel in reply.panels)
    assert found(reply, "registration")[0].startswith("ok ")
    assert operators(kernel, "used") == ["modal_notebook"]
    assert "in it" in kernel.run("%%modal_step\nprint('in it')").stdout


@pytest.mark.slow
def test_what_zenml_itself_raises_is_one_message(new_kernel: Kernel) -> None:
    new_kernel.run(
        "import os, pathlib\n_ = pathlib.Path('config.yaml').write_text('store: [')\n"
        "os.environ['ZENML_CONFIG_PATH'] = os.getcwd()"
    )
    new_kernel.run("%load_ext zenml_modal_nb")
    reply = new_kernel.attempt("%modal_doctor --fix --yes")
    assert "ZenML cannot be used" in reply.evalue
    assert "`zenml-modal-nb doctor` says what to do" in reply.evalue
    assert "File" not in reply.traceback


@pytest.mark.slow
def test_a_command_that_names_a_stack_quotes_it(kernel: Kernel) -> None:
    new_stack(kernel, "of two words")
    reply = kernel.run("%modal_doctor --fix --stack 'of two words' --flavor modal --yes")
    told = [panel["data"]["text/plain"] for panel in reply.panels]
    assert any("`zenml-modal-nb doctor --stack 'of two words'`" in each for each in told)


# The profile of a workspace that is not the active one.
PROFILE = """
import json, os, pathlib
record = json.loads((pathlib.Path(os.environ["ZENML_MODAL_NB_STATE_DIR"]) / "server.json").read_text())
halves = "".join(f"{key} = '{record[key]}'\\n" for key in ("token_id", "token_secret"))
_ = pathlib.Path("profiles.toml").write_text(f"[local]\\nserver_url = '{record['url']}'\\n{halves}")
os.environ["MODAL_CONFIG_PATH"] = str(pathlib.Path("profiles.toml").resolve())
"""


@pytest.mark.slow
def test_the_workspace_that_cells_run_in_is_verified_by_fix_and_known_to_the_picker(
    new_kernel: Kernel,
) -> None:
    new_kernel.run(PROFILE)
    new_kernel.run("%load_ext zenml_modal_nb")
    new_kernel.run("%config ModalStep.on = 'modal'\n%config ModalStep.workspace = 'local'")
    assert new_kernel.run("%%modal_step\n6 * 7").results == ["42"]
    assert "No Modal token" not in new_kernel.run("%modal_pick").results[0]
    reply = new_kernel.run("%modal_doctor --fix")
    told = [panel["data"]["text/plain"] for panel in reply.panels]
    assert any("everything was there, nothing was changed" in each for each in told), told[-1]


# A flavor of somebody's whose module is not installed here.
FOREIGN = """
from zenml.client import Client
from zenml.enums import StackComponentType as DoctorKind
from zenml.models import ComponentRequest, FlavorRequest, StackRequest
doctor_of = {"type": DoctorKind.CONTAINER_REGISTRY}
doctor_flavor = FlavorRequest(
    name="foreign", source="not_installed.Flavor", integration="custom", config_schema={}, **doctor_of
)
doctor_made = Client().zen_store.create_flavor(doctor_flavor)
doctor_registry = ComponentRequest(
    name="foreign", flavor="foreign", configuration={"uri": "images.acme.com/team"}, **doctor_of
)
doctor_registry = Client().zen_store.create_stack_component(doctor_registry)
# Beside the client, which loads every flavor: it was registered where that is installed.
doctor_parts = {kind: [each.id for each in models] for kind, models in Client().get_stack("default").components.items()}
doctor_parts[DoctorKind.CONTAINER_REGISTRY] = [doctor_registry.id]
doctor_made = Client().zen_store.create_stack(StackRequest(name="foreign", components=doctor_parts))
"""


@pytest.mark.slow
def test_a_registry_whose_flavor_is_not_installed_here_is_not_taken_for_this_machines(kernel: Kernel) -> None:
    kernel.run(FOREIGN)
    told = found(kernel.run("%modal_doctor --stack foreign"), "container registry")
    assert told[0].startswith("ok "), told


@pytest.mark.slow
def test_where_nobody_can_be_asked_fix_changes_nothing_and_says_so(kernel: Kernel) -> None:
    new_stack(kernel, "headless")
    reply = kernel.finish(kernel.send("%modal_doctor --fix --stack headless", allow_stdin=False))
    assert reply.ename == "QuestionRefusedError"
    assert "Add --yes" in reply.evalue
    assert "File" not in reply.traceback
    assert operators(kernel, "headless") == []


@pytest.mark.slow
def test_an_interrupt_is_one_line_and_the_report_says_it_is_not_finished(
    new_kernel: Kernel, silent_modal: str
) -> None:
    new_kernel.run(silent_modal)
    new_kernel.run("%load_ext zenml_modal_nb")
    cell = new_kernel.send("%modal_doctor --on modal")
    new_kernel.wait_for_state(cell, "configured by")  # next it asks the server, in vain
    new_kernel.interrupt()
    reply = new_kernel.finish(cell)
    assert reply.panel.splitlines()[-1] == "not finished"
    assert reply.ename == "KeyboardInterrupt"
    assert len(reply.traceback.splitlines()) == 1
    assert "not finished" in reply.traceback


UNWOKEN = """
import signal, threading
def signal_at_gate():
    {}
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)  # wakes no other thread
threading.Thread(target=signal_at_gate, daemon=True).start()
"""


@pytest.mark.slow
def test_an_interrupt_that_wakes_nobody_is_heard_within_a_second(
    new_kernel: Kernel, silent_modal: str, gate: Gate
) -> None:
    new_kernel.run(silent_modal)
    new_kernel.run("%load_ext zenml_modal_nb")
    new_kernel.run(UNWOKEN.format(gate.wait))
    cell = new_kernel.send("%modal_doctor --on modal")
    new_kernel.wait_for_state(cell, "configured by")
    gate.open()
    assert new_kernel.finish(cell).ename == "KeyboardInterrupt"  # long before the 90 s of this check


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--fxi", "unrecognized arguments: --fxi"),
        ("--on mars", "--on"),
        ("--yes", "belong to --fix"),
        ("--fix --flavor modal", "add --stack NAME"),
        ("--stack 'a", "quote"),
        ("--fix --stack default", "zenml stack copy default NEW_NAME"),
        ("--fix --stack nowhere", "There is no stack 'nowhere'"),
    ],
)
def test_what_the_line_cannot_mean_is_refused_in_one_message(kernel: Kernel, line: str, words: str) -> None:
    reply = kernel.attempt(f"%modal_doctor {line}")
    assert words in reply.evalue
    assert "File" not in reply.traceback
