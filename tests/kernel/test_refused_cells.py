"""What cannot work is refused before anything is created, in one message that says what to do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from frontend import LISTEN, Kernel

REFUSALS = {
    "unknown option": ("%%modal_step --gpus T4\n1", ["--gpus", "--gpu"]),
    "unknown GPU type": ("%%modal_step --gpu A1000\n1", ["A1000", "Did you mean", "A100"]),
    "GPU count without a type": ("%%modal_step --gpu-count 2\n1", ["--gpu-count 2", "--gpu"]),
    "more GPUs than Modal has": ("%%modal_step --gpu H100 --gpu-count 9\n1", ["8"]),
    "bad memory": ("%%modal_step --memory lots\n1", ["'lots' is not a size", "32GB"]),
    "bad timeout": ("%%modal_step --timeout soon\n1", ["'soon' is not understood", "1h30m"]),
    "timeout over a day": ("%%modal_step --timeout 25h\n1", ["25h", "24"]),
    "option of a later version": ("%%modal_step --background\n1", ["--background"]),
    "undefined name": ("%%modal_step\nx = 1\nprint(undefinde)", ["line 3", "undefinde", "not defined"]),
    "syntax error": ("%%modal_step\nx = 1\ny = = 2", ["line 3"]),
    "unknown magic": ("%%modal_step\n%frobnicate now", ["line 2", "%frobnicate"]),
    "input()": ("%%modal_step\nname = input()", ["line 2", "input()"]),
    "--in that does not exist": ("%%modal_step --in nowhere\nprint(nowhere)", ["nowhere"]),
    "--in that leaves out what is read": ("%%modal_step --in known\nprint(known, other)", ["other", "--in"]),
    "--out never bound": (
        "%%modal_step --out modle\nmodel = 1",
        ["modle", "never binds", "Did you mean 'model'"],
    ),
    "a value that cannot travel": ("%%modal_step\nwith lock:\n    print(known)", ["lock", "cannot be sent"]),
    "what cannot travel inside a value": (
        "%%modal_step\nx = 1\nprint(state)",
        ["line 3: state (dict)", 'state["inner"][0].lock: TypeError', "cannot be sent"],
    ),
    "a name that a helper lacks": (
        "%%modal_step\nx = 1\ny = scaled(x)",
        ["line 3: scaled() reads 'MISSING_FACTOR'"],
    ),
    "input() in a helper": ("%%modal_step\ny = answer()", ["line 2: answer() calls input()"]),
    "a helper's file that is broken since": (
        "%%modal_step\nx = broken_since.one()",
        ["'broken_since'", "broken_since.py, line 2", "Correct the file"],
    ),
    "a helper's file that is gone": (
        "%%modal_step\nx = gone_since.one()",
        ["'gone_since'", "gone_since.py is not there", "Put it back"],
    ),
    "an import that nothing provides": (
        "%%modal_step\nimport no_such_module_",
        ["line 2", "'no_such_module_' is not installed here", "--pip no-such-module-"],
    ),
    "another Python by the image's tag": (
        "%%modal_step --image python:3.9-slim\n1",
        ["--image python:3.9-slim has Python 3.9", "the notebook has 3."],
    ),
    "more than may be sent": (
        "%config ModalStep.max_inputs = '2MiB'\nget_ipython().run_cell_magic('modal_step', '', 'len(large + small)')",
        ["more than the limit of 2 MiB: large (3", "small (", "%config ModalStep.max_inputs"],
    ),
    "--file that is not there": (
        "%%modal_step --file work-of-nobody.csv\n1",
        ["'work-of-nobody.csv': there is no such file"],
    ),
    "--file that matches nothing": ("%%modal_step --file 'of-nobody/*.csv'\n1", ["matches nothing"]),
    "--fetch outside": ("%%modal_step --fetch ../x\n1", ["'../x' leads out"]),
    "--volume at a system's path": ("%%modal_step --volume data:/etc\n1", ["cannot be mounted at /etc"]),
    "two volumes at one path": (
        "%%modal_step --volume a:/data --volume b:/data/b\n1",
        ["a and b cannot be mounted at /data and /data/b"],
    ),
    "--cache and files that come back": (
        "%%modal_step --cache --fetch '*.pt'\n1",
        ["no files", "--no-cache"],
    ),
    "a volume at two paths": ("%%modal_step --volume a:/one --volume a:/two\n1", ["at two places"]),
    "--env that is not set": ("%%modal_step --env NO_SUCH_VARIABLE\n1", ["NO_SUCH_VARIABLE", "not set"]),
}

# Two that were imported as they should be, and then changed.
MODULES = """
from pathlib import Path
for name in ("broken_since", "gone_since"):
    Path(f"{name}.py").write_text("def one():\\n    return 1\\n")
import broken_since, gone_since
Path("broken_since.py").write_text("def one():\\n    return = 1\\n")
Path("gone_since.py").unlink()
"""


@pytest.fixture
def counted(kernel: Kernel) -> Iterator[Kernel]:
    """A kernel in which the test must create nothing, at Modal or in ZenML."""
    kernel.run(
        "import threading, types\nlock = threading.Lock()\nknown, other = 1, 2\n"
        "state = {'inner': [types.SimpleNamespace(lock=lock)]}\nlarge, small = b'x' * 3_200_000, b'y'\n"
        "def scaled(x): return x * MISSING_FACTOR\ndef answer(): return input()"
    )
    kernel.run(MODULES)
    runs = "__import__('zenml.client').client.Client().list_pipeline_runs().total"
    before = kernel.ask(runs, given=LISTEN)
    yield kernel
    kernel.run("%config ModalStep.max_inputs = None")
    assert kernel.ask(runs) == before
    assert kernel.created() == []


@pytest.mark.parametrize("refused", REFUSALS)
def test_a_cell_is_refused_with_one_message_and_nothing_is_created(counted: Kernel, refused: str) -> None:
    cell, words = REFUSALS[refused]
    reply = counted.attempt(cell)
    assert not reply.ok
    for word in words:
        assert word in reply.traceback
    assert [each["msg_type"] for each in reply.messages] == ["error"]
    for internal in ("zenml_modal_nb", "site-packages", "Traceback"):
        assert internal not in reply.traceback


def test_a_dry_run_creates_nothing(counted: Kernel) -> None:
    options = "--gpu T4 --pip humanize --volume data:/data --env MODE=fast --dry-run"
    (plan,) = counted.run(f"%%modal_step {options}\nnever_there = known + len(large)").results
    assert "would cost" in plan
    assert counted.ask("'never_there' in dir()") is False


@pytest.mark.parametrize("gpu", ["", "--gpu A100 --gpu-count 2"])
def test_what_is_asked_for_is_what_reaches_modal(kernel: Kernel, gpu: str) -> None:
    """With a GPU the SDK makes a V1 sandbox, without one a V2 sandbox."""
    kernel.ask("0", given=LISTEN)
    kernel.run(f"%%modal_step {gpu} --cpu 3 --memory 32GiB --timeout 10m --env PLAIN=1\nasked = 1")
    (created,) = kernel.ask(
        "[[type(m).__name__, m.definition.resources.memory_mb, m.definition.resources.milli_cpu,"
        " m.definition.resources.gpu_config.gpu_type, m.definition.resources.gpu_config.count,"
        " m.definition.timeout_secs, sorted(t.tag_name for t in m.tags)]"
        " for m in sent if type(m).__name__.startswith('SandboxCreate')]"
    )
    kind, memory, milli_cpu, gpu_type, count, timeout, tags = created
    assert (memory, milli_cpu, timeout) == (32768, 3000, 600)
    assert (kind, gpu_type, count) == (
        ("SandboxCreateRequest", "A100", 2) if gpu else ("SandboxCreateV2Request", "", 0)
    )
    assert {"zenml_modal_nb_run", "zenml_modal_nb_user", "zenml_modal_nb_machine"} <= set(tags)


def test_a_variable_of_the_notebook_arrives_and_is_recorded_nowhere(kernel: Kernel) -> None:
    kernel.run("import os\nos.environ['OWN_TOKEN'] = 'very-secret-value'")
    kernel.run(
        "%%modal_step --env OWN_TOKEN --env PLAIN=shown\n"
        "import os\n"
        "length = len(os.environ['OWN_TOKEN'] + os.environ['PLAIN'])"
    )
    assert kernel.ask("length") == len("very-secret-value" + "shown")
    recorded = kernel.ask(
        "run.model_dump_json() + run.steps['length'].model_dump_json()",
        given="from zenml.client import Client\nrun = Client().get_pipeline_run(_modal_run.id)\nrun.steps",
    )
    assert "very-secret-value" not in recorded


@pytest.mark.parametrize("gpu", ["", "--gpu T4"], ids=["V2", "V1"])
def test_a_variable_of_the_notebook_is_a_secret_without_a_name(kernel: Kernel, gpu: str) -> None:
    """A V2 sandbox's is in its creation, a V1 sandbox's is made before, for the app alone."""
    kernel.ask("0", given=LISTEN)
    kernel.run("import os\nos.environ['OWN_TOKEN'] = 'very-secret-value'")
    kernel.run(f"%%modal_step {gpu} --env OWN_TOKEN\nimport os\ntold = os.environ['OWN_TOKEN'][:4]")
    (holds,) = kernel.ask("[str(each) for each in sent if 'very-secret-value' in str(each)]")
    wanted = (
        "object_creation_type: OBJECT_CREATION_TYPE_ANONYMOUS_OWNED_BY_APP\nenv_dict {"
        if gpu
        else "secret_sources {"
    )
    assert wanted in holds
