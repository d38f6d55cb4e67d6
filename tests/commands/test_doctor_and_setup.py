"""`zenml-modal-nb doctor` and `zenml-modal-nb setup`, as a user and a script run them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from frontend import Home
from terminal import Terminal

from zenml_modal_nb.emulator.faults import FaultControl, Refusal

PROGRAM = ("-m", "zenml_modal_nb.cli")
CTRL_C, CTRL_D = "\x03", "\x04"
TOKEN = "as-secret-that-nobody-sees"
# As on a machine where the packages are broken or missing.
WITHOUT = "import sys\nfor name in ('modal', 'zenml'):\n    sys.modules[name] = None\n"
DOCTOR = "from zenml_modal_nb.cli import main\nsys.exit(main(['doctor', '--json']))\n"


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Home]:
    """A home in which nothing has been done yet."""
    home = Home(tmp_path)
    yield home
    home.python("-m", "zenml_modal_nb.emulator", "stop")


def run(home: Home, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command without a terminal."""
    return subprocess.run(
        [sys.executable, *PROGRAM, *words],
        env=home.environment | variables,
        cwd=home.path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def examined(done: subprocess.CompletedProcess[str]) -> Mapping[str, Mapping[str, Any]]:
    """The findings of `doctor --json`, by name."""
    assert "Traceback" not in done.stderr, done.stderr
    return {each["name"]: each for each in json.loads(done.stdout)["findings"]}


def local_server(home: Home) -> dict[str, str]:
    """What the local Modal API of this home is, as a Modal that a token is needed for."""
    record = json.loads((home.path / "emulator" / "server.json").read_text("utf-8"))
    return {name: record[name] for name in ("url", "token_id", "token_secret")}


def test_a_wrong_token_and_a_broken_zenml_are_told_in_one_go_without_a_traceback(
    home: Home, tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text("store: [")
    done = run(
        home,
        "doctor",
        MODAL_TOKEN_ID="ak-wrong",
        MODAL_TOKEN_SECRET=TOKEN,
        MODAL_SERVER_URL=local_server(home)["url"],
        ZENML_CONFIG_PATH=str(tmp_path),
    )
    assert done.returncode == 1
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert any(line.startswith("problem  reachability") and "modal token set" in line for line in lines)
    assert any(line.startswith("problem  zenml store") for line in lines)
    assert any("zenml status" in line for line in lines)
    assert lines[-1] == "2 problems, no warnings"
    assert TOKEN not in done.stdout
    assert "ak-wrong" not in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("setup", "--local", "--token"),
        ("setup", "--flavor", "modal"),
        ("setup", "--token"),
        ("doctor", "--on", "mars"),
        ("doctor", "now"),
    ],
)
def test_what_cannot_be_meant_or_asked_ends_with_two(home: Home, words: tuple[str, ...]) -> None:
    done = run(home, *words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


@pytest.mark.slow  # fast: test_all_is_well and test_fix_where_everything_is_there in a kernel
def test_a_fresh_home_is_examined_set_up_and_then_without_a_warning(fresh: Home) -> None:
    first = run(fresh, "doctor", "--json")
    assert first.returncode == 0
    assert first.stderr == ""
    assert examined(first)["registration"]["verdict"] == "warning"
    assert examined(first)["registration"]["advice"] == ["zenml-modal-nb setup"]
    done = run(fresh, "setup")
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.count("registered") == 3
    done = run(fresh, "setup", "--local")
    assert done.returncode == 0
    assert done.stdout.count("is there") == 3
    assert "everything was there, nothing was changed" in done.stdout.splitlines()[-1]
    again = examined(run(fresh, "doctor", "--json"))
    assert {each["verdict"] for each in again.values()} == {"ok", "skipped"}
    assert "'default', active" in str(again["stack"]["found"])


@pytest.mark.slow  # fast: a broken configuration, above
@pytest.mark.parametrize("broken", ["server", "database", "modal.toml", "packages"])
def test_whatever_is_broken_is_one_problem_and_no_traceback(fresh: Home, broken: str) -> None:
    name = "zenml store"
    match broken:
        case "server":
            done = run(fresh, "doctor", "--json", ZENML_STORE_URL="http://127.0.0.1:9")
        case "database":
            stores = fresh.path / "zenml" / "local_stores" / "default_zen_store"
            stores.mkdir(parents=True)
            (stores / "zenml.db").write_text("no database")
            done = run(fresh, "doctor", "--json")
        case "modal.toml":
            (fresh.path / "modal.toml").write_text("[[")
            done = run(fresh, "doctor", "--json")
            name = "place"
        case _:
            done = fresh.python("-c", WITHOUT + DOCTOR)
            assert examined(done)["zenml store"]["verdict"] == "problem"
            name = "place"
    assert done.returncode == 1
    assert examined(done)[name]["verdict"] == "problem"
    assert done.stderr == ""
    others = [each for each in examined(done).values() if each["verdict"] == "skipped"]
    assert len(others) >= 3  # what rests on it is not tried


# As on a machine with a Python that Modal has no image of, an old SDK, a full disk and half a token.
MEAGRE = """
import importlib.metadata as metadata, os, shutil, sys
from modal import _image
_image.SUPPORTED_PYTHON_SERIES = {_image.LATEST_IMAGE_BUILDER_VERSION: ["3.8", "3.9"]}
found = metadata.version
metadata.version = lambda name: "1.0.0" if name == "modal" else found(name)
shutil.disk_usage = lambda place: shutil._ntuple_diskusage(10**11, 10**11 - 10**7, 10**7)
os.environ["MODAL_TOKEN_ID"] = "ak-half"
"""


@pytest.mark.slow  # fast: each by itself in tests/unit/doctor, the exit code above
def test_each_lack_of_the_machine_is_a_problem_by_itself_and_the_exit_code_says_so(home: Home) -> None:
    done = home.python("-c", MEAGRE + DOCTOR.replace("'--json'", "'--json', '--on', 'modal'"))
    told = examined(done)
    assert done.returncode == 1
    for name, found, advice in (
        ("python", "Modal's images have 3.8, 3.9", "Make an environment"),
        ("modal", "1.0.0, needs", "pip install"),
        ("token", "has no token secret", "modal token set"),
        ("disk", "0.0 GiB free", "Make room"),
    ):
        assert told[name]["verdict"] == "problem", name
        assert found in told[name]["found"]
        assert advice in told[name]["advice"][0]
    assert told["reachability"]["verdict"] == "skipped"
    assert "ak-half" not in done.stdout


@pytest.mark.slow  # fast: what a stock stack lacks, and whichever check raises, in a kernel and in tests/unit/doctor
def test_an_image_that_cannot_be_built_and_a_stack_that_is_not_there_are_problems(fresh: Home) -> None:
    with fresh.local_modal():
        server = local_server(fresh)
        refusal = Refusal("ImageGetOrCreate", "No builds today.", times=100)
        FaultControl(server["url"], server["token_id"], server["token_secret"]).add(refusal)
        done = run(fresh, "doctor", "--json", "--stack", "nowhere")
    told = examined(done)
    assert done.returncode == 1
    assert told["image"]["verdict"] == "problem"
    assert "No builds today" in told["image"]["found"]
    assert told["stack"]["verdict"] == "problem"
    assert "nowhere" in told["stack"]["found"]


@pytest.mark.slow  # fast: test_each_component_that_a_stock_stack_lacks in a kernel
def test_what_a_stock_stack_lacks_makes_the_exit_code_one(fresh: Home) -> None:
    done = run(fresh, "doctor", "--json", "--stack", "default")
    told = examined(done)
    assert done.returncode == 1
    lacking = ("server", "step operator", "artifact store", "container registry", "image builder")
    assert [told[name]["verdict"] for name in lacking] == ["problem"] * len(lacking)


@pytest.mark.slow  # fast: the token that is refused, above
def test_a_workspace_that_is_not_the_tokens_is_told_apart_from_a_server_that_does_not_answer(
    home: Home,
) -> None:
    server = local_server(home)
    token = {
        "MODAL_TOKEN_ID": server["token_id"],
        "MODAL_TOKEN_SECRET": server["token_secret"],
        "MODAL_SERVER_URL": server["url"],
    }
    done = run(home, "doctor", "--json", "--workspace", "acme", **token)
    told = examined(done)
    assert done.returncode == 1
    assert told["reachability"]["verdict"] == "ok"
    assert told["workspace"]["verdict"] == "problem"
    assert "not 'acme'" in str(told["workspace"]["found"])
    assert server["token_secret"] not in done.stdout

    done = run(home, "doctor", "--json", **token | {"MODAL_SERVER_URL": "http://127.0.0.1:9"})
    told = examined(done)
    assert told["reachability"]["verdict"] == "problem"
    assert "takes no connection" in str(told["reachability"]["found"])


@pytest.mark.slow  # fast: setup without a terminal, above, and without a token
def test_a_token_is_asked_for_without_echo_verified_and_kept_by_modal(fresh: Home) -> None:
    with fresh.local_modal():
        server = local_server(fresh)
        environment = fresh.environment | {"MODAL_SERVER_URL": server["url"]}
        kept = fresh.path / "modal.toml"
        with Terminal([*PROGRAM, "setup", "--token"], environment, fresh.path) as terminal:
            terminal.answer("Token ID:", "ak-wrong")
            terminal.answer("Token secret:", TOKEN)
            assert terminal.wait() == 1
        assert "nothing was registered" in terminal.text
        assert TOKEN not in terminal.text
        assert not kept.exists()
        with Terminal([*PROGRAM, "setup", "--token"], environment, fresh.path) as terminal:
            terminal.answer("Token ID:", server["token_id"])
            terminal.answer("Token secret:", server["token_secret"])
            assert terminal.wait() == 0, terminal.text
        assert server["token_secret"] not in terminal.text
        assert server["token_secret"] in kept.read_text("utf-8")
        assert "stack 'modal_notebook' registered" in terminal.text
        # Cells find it from now on, and a second setup asks for nothing.
        again = run(fresh, "setup", "--token")
        assert again.returncode == 0, again.stdout + again.stderr
        assert "nothing was changed" in again.stdout


@pytest.mark.slow  # fast: test_fix_asks_before_it_touches_a_stack in a kernel
@pytest.mark.timeout(400)
def test_a_stack_of_the_users_is_touched_only_after_a_yes(fresh: Home) -> None:
    zenml(fresh, "zenml stack copy default team")
    words = ("setup", "--local", "--stack", "team")
    done = run(fresh, *words)
    assert done.returncode == 2
    assert "Add --yes" in done.stderr
    for answer, code in (("n", 1), (CTRL_D, 1), (CTRL_C, 130), ("y", 0)):
        with Terminal([*PROGRAM, *words], fresh.environment, fresh.path) as terminal:
            terminal.answer("to the stack 'team' (step operators now: none)? [y/N]", answer)
            assert terminal.wait() == code, terminal.text
        assert "Traceback" not in terminal.text
        assert "Error" not in terminal.text
    assert "modal_notebook" in zenml(fresh, "zenml stack describe team")
    done = run(fresh, *words)
    assert done.returncode == 0
    assert "nothing was changed" in done.stdout


@pytest.mark.slow  # fast: test_each_component_that_a_stock_stack_lacks in a kernel compares their text
@pytest.mark.timeout(400)
def test_the_commands_that_the_doctor_names_do_what_it_says(fresh: Home) -> None:
    told = examined(run(fresh, "doctor", "--json", "--stack", "default"))
    named = [line for each in told.values() for line in each["advice"] if line.startswith("zenml ")]
    named.remove("zenml login URL")
    assert len(named) == 9
    named.sort(key=lambda line: "stack update" in line)  # the user registers, then updates
    zenml(
        fresh, *(line.replace("HOST/PROJECT", "docker.io/acme").replace("BUCKET", "acme") for line in named)
    )
    told = examined(run(fresh, "doctor", "--json", "--stack", "my_stack"))
    assert [name for name, each in told.items() if each["verdict"] == "problem"] == ["server"]


# What an earlier version, another package or a user may have left under our names.
LEFT = """
from zenml.client import Client
from zenml.enums import StackComponentType as Kind
from zenml_modal_nb.pipelines import inventory
from zenml_modal_nb.pipelines.flavor import ModalNotebookFlavor
client = Client()
flavor = ModalNotebookFlavor().to_model(integration="custom")
flavor.source = "old_package.flavor.ModalNotebookFlavor"
client.zen_store.create_flavor(flavor)
client.create_stack_component("modal_notebook", "modal", Kind.STEP_OPERATOR, {})
client.create_stack("modal_notebook", {"orchestrator": "default", "artifact_store": "default"})
"""


@pytest.mark.slow  # fast: the questions of `--fix` in a kernel
@pytest.mark.timeout(400)
def test_what_stands_under_our_names_is_told_and_mended_after_a_question(fresh: Home) -> None:
    (fresh.path / "left.py").write_text(LEFT)
    left = fresh.python("left.py")
    assert left.returncode == 0, left.stderr
    stands = run(fresh, "setup", "--yes")
    assert stands.returncode == 1
    command = "zenml step-operator rename modal_notebook NEW_NAME"
    assert f"`{command}`" in stands.stderr
    zenml(fresh, command)

    told = examined(run(fresh, "doctor", "--json"))["registration"]
    assert told["verdict"] == "problem"
    asked = run(fresh, "setup")
    assert asked.returncode == 2
    assert "old_package.flavor.ModalNotebookFlavor. Replace it" in asked.stderr
    done = run(fresh, "setup", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "flavor 'modal_notebook' replaced" in done.stdout
    assert "stack 'modal_notebook' has the step operator 'modal_notebook' now" in done.stdout
    assert examined(run(fresh, "doctor", "--json"))["registration"]["verdict"] == "ok"


# One process for several commands: each would import ZenML's integrations anew.
ZENML = """
import shlex, sys
from zenml.cli.cli import cli
for line in sys.argv[1:]:
    cli(shlex.split(line)[1:], prog_name="zenml", standalone_mode=False)
"""


def zenml(home: Home, *lines: str) -> str:
    """Run commands of ZenML's own; returns what they print."""
    done = home.python("-c", ZENML, *lines)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_who_reads_no_more_gets_no_traceback(home: Home) -> None:
    with subprocess.Popen(
        [sys.executable, *PROGRAM, "doctor", "--on", "local"],
        env=home.environment,
        cwd=home.path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as doctor:
        assert doctor.stdout is not None
        assert doctor.stderr is not None
        doctor.stdout.close()
        assert doctor.stderr.read() == ""
    assert doctor.returncode == 128 + signal.SIGPIPE
