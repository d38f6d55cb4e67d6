"""Ordinary steps of scripts and modules on ZenML's local stack: run detached by an operator of our flavor."""

from __future__ import annotations

import ast
import sys
import time
from pathlib import Path

import pytest
from frontend import Home
from launches import NOTE_BUILDS, launched

HELPERS = """
SCALE = 10

def scaled(n):
    return n * SCALE
"""
STEPS = """
from typing import Annotated

import helpers
from helpers import scaled
from zenml import step
from zenml.config import ResourceSettings
from zenml_modal_nb.pipelines.flavor import ModalNotebookSettings

BIAS = 1

def biased(n):
    return n + BIAS

@step
def load() -> Annotated[list, "numbers"]:
    return [1, 2, 3]

@step(step_operator="modal_notebook", enable_cache=True, settings={
    "step_operator": ModalNotebookSettings(gpu="A100", region="us-east", cloud="aws", timeout=600),
    "resources": ResourceSettings(gpu_count=2, cpu_count=4, memory="32GiB"),
})
def train(numbers: list, factor: int = 2) -> tuple[Annotated[int, "total"], Annotated[list, "each"]]:
    print("in the sandbox", numbers)
    return sum(biased(scaled(n)) for n in numbers) * factor, numbers

@step
def show(total: int, each: list) -> None:
    print("the total is", total, each)
"""
PIPELINE = """
from zenml import pipeline
from zenml.client import Client
from zenml_modal_nb.pipelines.stack import own_stack
from steps import load, show, train

@pipeline
def plain():
    show(*train(load()))

if __name__ == "__main__":
    own_stack()
    Client().activate_stack("modal_notebook")
    ran = [{name: each.status.value for name, each in plain().steps.items()} for _ in range(2)]
    step = Client().get_pipeline("plain").runs[-1].steps["train"]
    (log,) = [each for each in Client().get_run_step(step.id).log_collection if each.source == "step"]
    lines = [entry.message for entry in Client().active_stack.log_store.fetch(log, limit=100).items]
    print("FACTS", repr([ran, "in the sandbox [1, 2, 3]" in lines]))
"""


def run(home: Home, name: str, **files: str) -> tuple[int, str]:
    place = home.path / "scripts" / name
    place.mkdir(parents=True, exist_ok=True)
    for module, text in files.items():
        (place / f"{module}.py").write_text(text, encoding="utf-8")
    done = home.python(str(place / "main.py"), timeout=170)
    return done.returncode, done.stdout + done.stderr


def facts(printed: str) -> list:
    (line,) = [line for line in printed.splitlines() if line.startswith("FACTS ")]
    return ast.literal_eval(line.removeprefix("FACTS "))


def state(home: Home) -> Path:
    return Path(home.environment["ZENML_MODAL_NB_STATE_DIR"])


def test_a_step_of_a_module_runs_in_a_sandbox_of_the_size_it_asks_for_and_is_cached_the_second_time(
    home: Home,
) -> None:
    before = time.time()
    code, printed = run(home, "plain", main=PIPELINE, steps=STEPS, helpers=HELPERS)
    assert code == 0, printed
    assert "the total is 126 [1, 2, 3]" in printed
    ran, logged = facts(printed)
    assert ran == [
        {"load": "completed", "train": "completed", "show": "completed"},
        {"load": "cached", "train": "cached", "show": "cached"},
    ]
    assert logged
    (sandbox,) = launched(state(home), before)
    assert (sandbox.gpu, sandbox.cores, sandbox.memory_mib) == ("A100:2", 4.0, 32768)
    assert (sandbox.regions, sandbox.cloud, sandbox.timeout) == (("us-east",), "aws", 600)


RETRIED = """
import os
from pathlib import Path
from typing import Annotated

from zenml import log_metadata, pipeline, step
from zenml.client import Client
from zenml.config import ResourceSettings
from zenml.config.retry_config import StepRetryConfig
from zenml_modal_nb.pipelines.flavor import ModalNotebookSettings
from zenml_modal_nb.pipelines.stack import own_stack

NOTES = Path(__file__).with_name("notes.txt")

def note(text):
    with NOTES.open("a") as file:
        file.write(text + "\\n")

def at_start():
    note("start")

def at_failure(error: BaseException):
    note(f"failure {type(error).__name__}")

def at_success():
    note("success")

@step(step_operator=True, on_failure=at_failure, on_success=at_success, on_start=at_start,
      retry=StepRetryConfig(max_retries=1, delay=0), environment={"COLOR": "red"}, secrets=["own"])
def breaks(n: int) -> int:
    print("color", os.environ["COLOR"], "secret", len(os.environ["PASSWORD"]), "ZENML_STORE_URL" in os.environ)
    return n // (n - n)

@step(step_operator="modal_notebook")
def logs() -> None:
    log_metadata({"a": 1})

@step(step_operator="modal_notebook", settings={"resources": ResourceSettings(gpu_count=2)})
def typeless() -> None: ...

@step(step_operator="modal_notebook", settings={
    "step_operator": ModalNotebookSettings(gpu="A100:2"), "resources": ResourceSettings(gpu_count=2)})
def twice() -> None: ...

@step(step_operator="modal_notebook", settings={"step_operator": ModalNotebookSettings(workspace="other")})
def elsewhere() -> None: ...

@step(step_operator="modal_notebook", settings={"step_operator": ModalNotebookSettings(execution="connected")})
def connected() -> None: ...

@step(step_operator="modal_notebook", settings={"step_operator": ModalNotebookSettings(region="us-nowhere")})
def nowhere() -> None: ...

@step(step_operator="modal_notebook", settings={"docker": {"dockerfile": "Dockerfile"}})
def docker() -> None: ...

@step(step_operator="modal_notebook", settings={
    "step_operator": ModalNotebookSettings(gpu="T4"), "resources": ResourceSettings(gpu_count=0)})
def on_cpu() -> int:
    return 1

def ends(called):
    @pipeline(enable_cache=False, name="p_" + called.name, execution_mode="fail_fast")
    def one():
        called(4) if called.name == "breaks" else called()
    try:
        return one().status.value
    except Exception as error:
        return f"{type(error).__name__}: {error}"

if __name__ == "__main__":
    own_stack()
    Client().activate_stack("modal_notebook")
    Client().create_secret("own", {"PASSWORD": "hidden"})
    steps = [breaks, logs, typeless, twice, elsewhere, connected, nowhere, docker, on_cpu]
    print("FACTS", repr([{each.name: ends(each) for each in steps}, NOTES.read_text().split("\\n")]))
"""


@pytest.mark.slow
def test_retries_hooks_and_what_is_refused_before_anything_is_created(home: Home) -> None:
    before = time.time()
    code, printed = run(home, "retried", main=RETRIED)
    assert code == 0, printed
    ended, notes = facts(printed)
    assert "ZeroDivisionError" in ended["breaks"]
    assert "color red secret 6 False" in printed
    assert "hidden" not in printed
    assert "in breaks\n    return n // (n - n)\nZeroDivisionError" in printed
    assert notes == ["start", "start", "failure ZeroDivisionError", ""]
    assert "uses log_metadata of ZenML, and runs detached" in ended["logs"]
    assert "no GPU type was specified" in ended["typeless"]
    assert "both give a count" in ended["twice"]
    assert "The token belongs to workspace 'local', not 'other'" in ended["elsewhere"]
    assert "ZenML's store is a database on this machine" in ended["connected"]
    assert "Unknown region 'us-nowhere'" in ended["nowhere"]
    assert "DockerSettings.dockerfile needs a build by Docker" in ended["docker"]
    assert ended["on_cpu"] == "completed"
    assert "gpu_count is 0. Ignoring the GPU type" in " ".join(printed.split())
    sandboxes = launched(state(home), before)
    assert [each.gpu for each in sandboxes] == [None, None, None]  # two attempts, and the one on a CPU
    assert not any("hidden" in each.record for each in sandboxes)


IMAGES = f"""
NOTE_BUILDS = {NOTE_BUILDS!r}
"""
IMAGES += """
import os
import sys
from typing import Annotated

from zenml import pipeline, step
from zenml.client import Client
from zenml.config import DockerSettings
from zenml_modal_nb.pipelines.stack import own_stack

SERIES = f"{sys.version_info.major}.{sys.version_info.minor}"
MORE = {"requirements": ["six"], "apt_packages": ["ffmpeg"], "environment": {"SHAPE": "round"}}

def shape() -> str:
    return os.environ["SHAPE"]

@step(step_operator=True, settings={"docker": DockerSettings(parent_image=f"python:{SERIES}-slim", **MORE)})
def slim() -> str:
    return shape()

@step(step_operator=True, settings={"docker": DockerSettings(parent_image="ubuntu:24.04", **MORE)})
def ubuntu() -> str:
    return shape()

@step(step_operator=True, settings={
    "docker": DockerSettings(parent_image="nvidia/cuda:12.8.0-runtime-ubuntu24.04", **MORE)})
def cuda() -> str:
    return shape()

@step(step_operator=True, settings={"docker": DockerSettings(parent_image="python:3.9-slim")})
def other() -> str:
    return shape()

@pipeline(enable_cache=False)
def images():
    slim()
    ubuntu()
    cuda()

@pipeline(enable_cache=False, execution_mode="fail_fast")
def refused():
    other()

if __name__ == "__main__":
    own_stack()
    Client().activate_stack("modal_notebook")
    exec(NOTE_BUILDS)
    found = [each.output.load() for each in images().steps.values()]
    try:
        refused()
    except Exception as error:
        print("FACTS", repr([found, str(error), built]))
"""


@pytest.mark.slow
def test_docker_settings_are_honoured_without_docker_also_by_images_without_python(home: Home) -> None:
    before = time.time()
    code, printed = run(home, "images", main=IMAGES)
    assert code == 0, printed
    found, refusal, built = facts(printed)
    assert found == ["round"] * 3
    series = f"{sys.version_info.major}.{sys.version_info.minor}"
    for image in (f"python:{series}-slim", "ubuntu:24.04", "nvidia/cuda:12.8.0-runtime-ubuntu24.04"):
        assert f"FROM {image}" in built
    assert sum("apt-get install" in each and "ffmpeg" in each for each in built) == 3
    assert "DockerSettings.parent_image python:3.9-slim has Python 3.9" in refusal
    assert "Nothing was created" in refusal
    sandboxes = launched(state(home), before)
    assert len(sandboxes) == 3
    assert all("six" in each.packages for each in sandboxes)


NOTES = """
from zenml import log_metadata

def note():
    log_metadata({"a": 1})

def maybe_note(live):
    if live:
        note()
"""
USES = """
import notes
from zenml import log_metadata, pipeline, step
from zenml.client import Client
from zenml_modal_nb.pipelines.stack import own_stack

class Optimizer:
    log_metadata = 1

    def step(self) -> int:
        return 42

def remember():
    log_metadata({"a": 1})

def through():
    remember()

def lazily():
    from zenml import get_step_context
    return get_step_context()

@step(step_operator=True)
def trains(live: bool = False) -> int:
    notes.maybe_note(live)
    optimizer = Optimizer()
    return optimizer.step() * optimizer.log_metadata

@step(step_operator=True)
def imports() -> None:
    from zenml import get_step_context
    get_step_context()

@step(step_operator=True)
def by_helper() -> None:
    through()

@step(step_operator=True)
def by_import() -> None:
    lazily()

@step(step_operator=True)
def by_module() -> None:
    notes.note()

def ends(called):
    @pipeline(enable_cache=False, name="p_" + called.name, execution_mode="fail_fast")
    def one():
        called()
    try:
        return one().steps[called.name].output.load()
    except Exception as error:
        return str(error)

if __name__ == "__main__":
    own_stack()
    Client().activate_stack("modal_notebook")
    print("FACTS", repr({each.name: ends(each) for each in (trains, imports, by_helper, by_import, by_module)}))
"""


@pytest.mark.slow
def test_a_method_named_as_something_of_zenml_runs_and_what_surely_needs_zenml_is_refused(home: Home) -> None:
    before = time.time()
    code, printed = run(home, "uses", main=USES, notes=NOTES)
    assert code == 0, printed
    ended = facts(printed)
    assert ended.pop("trains") == 42
    for name, uses in {
        "imports": "imports zenml",
        "by_helper": "calls through(), which calls remember(), which uses log_metadata of ZenML",
        "by_import": "calls lazily(), which imports zenml",
        "by_module": "calls notes.note(), which uses log_metadata of ZenML",
    }.items():
        assert f"The step '{name}' {uses}, and runs detached" in ended[name]
        assert "Nothing was created." in ended[name]
    assert len(launched(state(home), before)) == 1  # that of `trains`


DOCKER = f"""
NOTE_BUILDS = {NOTE_BUILDS!r}
"""
DOCKER += """
import os
from pathlib import Path

from zenml import pipeline, step
from zenml.client import Client
from zenml.config import DockerSettings
from zenml_modal_nb.pipelines.stack import own_stack

HERE = Path(__file__).parent
(HERE / "packages.txt").write_text(
    "# what this step needs\\nsix==1.17.0  # pinned for old code\\n\\n"
    "idna >= 3, \\\\\\n  < 4\\ncertifi @ https://example.com/certifi-2024.7.4-py3-none-any.whl#sha256=0\\n"
)
(HERE / "others.txt").write_text("six\\n-r base.txt\\n")

def settings(**docker):
    return {"docker": DockerSettings(**docker)}

@step(step_operator=True, settings=settings(
    environment={"EARLY": "build", "LATE": "build"}, runtime_environment={"LATE": "run"},
    requirements=str(HERE / "packages.txt"), install_stack_requirements=False))
def honoured() -> str:
    return os.environ["EARLY"] + " " + os.environ["LATE"]

@step(step_operator=True, settings=settings(requirements="absent.txt"))
def absent() -> None: ...

@step(step_operator=True, settings=settings(requirements=str(HERE / "others.txt")))
def optional() -> None: ...

@step(step_operator=True, settings=settings(requirements=["two words"]))
def worded() -> None: ...

@step(step_operator=True, settings=settings(disable_automatic_requirements_detection=False))
def detecting() -> None: ...

@step(step_operator=True, settings={"step_operator": {"gpu": "A100:two"}})
def odd() -> None: ...

def ends(called):
    @pipeline(enable_cache=False, name="run of " + called.name, execution_mode="fail_fast")
    def one():
        called()
    try:
        return one().steps[called.name].output.load()
    except Exception as error:
        return f"{type(error).__name__}: {error}"

if __name__ == "__main__":
    own_stack()
    Client().activate_stack("modal_notebook")
    exec(NOTE_BUILDS)
    found = {each.name: ends(each) for each in (honoured, absent, optional, worded, detecting, odd)}
    print("FACTS", repr([found, built]))
"""


@pytest.mark.slow
def test_docker_settings_hold_or_are_refused_by_name_and_a_pipelines_name_may_have_spaces(home: Home) -> None:
    before = time.time()
    code, printed = run(home, "docker", main=DOCKER)
    assert code == 0, printed
    ended, built = facts(printed)
    assert ended["honoured"] == "build run"
    (installed,) = [each for each in built if "pip install" in each and "six" in each]
    for wanted in (
        "six==1.17.0",
        "idna",
        "certifi @ https://example.com/certifi-2024.7.4-py3-none-any.whl#sha256=0",
    ):
        assert wanted in installed
    assert "pinned" not in installed
    for name, told in {
        "absent": "The file absent.txt of DockerSettings.requirements cannot be read",
        "optional": "The line '-r base.txt'",
        "worded": "The line 'two words' in DockerSettings.requirements is no package",
        "detecting": "DockerSettings.disable_automatic_requirements_detection=False needs a build by Docker",
        "odd": "The step 'odd' has gpu='A100:two', and 'two' is no number of GPUs",
    }.items():
        assert f"StackComponentInterfaceError: {told}" in ended[name], ended[name]
    (sandbox,) = launched(state(home), before)
    assert sandbox.app == "zenml-modal-nb-run-of-honoured"


LOGS = """
from zenml import pipeline, step
from zenml.client import Client
from zenml_modal_nb.pipelines.stack import own_stack

@step
def here() -> int:
    print("said")
    return 1

@step(step_operator="modal_notebook")
def there() -> int:
    print("said")
    print("and", "more")
    return 1

@step(step_operator="modal_notebook")
def fails() -> int:
    print("said")
    raise LookupError("not there")

def logs(called, on_step=None, on_pipeline=None):
    @pipeline(enable_cache=False, enable_step_logs=on_pipeline, execution_mode="fail_fast")
    def logged():
        called.with_options(enable_step_logs=on_step)()
    try:
        logged()
    except LookupError:
        pass
    (run,) = Client().list_pipeline_runs(pipeline="logged", sort_by="desc:created", size=1, hydrate=True).items
    (ran,) = run.steps.values()
    return ran.status.value, sorted(each.source for each in ran.log_collection or [])

if __name__ == "__main__":
    own_stack()
    Client().activate_stack("modal_notebook")
    ways = ((None, None), (False, None), (None, False), (True, False))
    print("FACTS", repr([[logs(each, *way) for way in ways] for each in (here, there)] + [logs(fails, False)]))
"""


@pytest.mark.slow
def test_a_step_whose_log_is_switched_off_is_told_here_and_has_none_in_zenml(home: Home) -> None:
    code, printed = run(home, "logs", main=LOGS)
    assert code == 0, printed
    local, detached, failed = facts(printed)
    assert ["step" in sources for _, sources in local] == [True, False, False, True]
    assert detached == local
    assert failed == ("failed", [])
    assert printed.splitlines().count("and more") == 4  # what a sandbox prints is shown all the same
