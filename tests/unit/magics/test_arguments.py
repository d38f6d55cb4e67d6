"""The magic line: what it asks for, and what a user reads when it is wrong."""

import re

import pytest

from zenml_modal_nb.errors import InvalidRequestError
from zenml_modal_nb.magics.arguments import help_text, parse
from zenml_modal_nb.magics.defaults import ModalStep
from zenml_modal_nb.magics.options import NOT_YET, OPTIONS, SUPPORTED
from zenml_modal_nb.pricing import gpus
from zenml_modal_nb.request import StepRequest


def refusal(line: str) -> str:
    with pytest.raises(InvalidRequestError) as caught:
        parse(line, ModalStep())
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        ("", StepRequest()),
        ("--gpu A100 --gpu-count 2", StepRequest(gpu="A100", gpu_count=2)),
        ("--gpu=a100", StepRequest(gpu="A100")),
        ("--gpu A100:2", StepRequest(gpu="A100", gpu_count=2)),
        ("--gpu H100!", StepRequest(gpu="H100!")),
        ("--gpu none", StepRequest()),
        ("--no-gpu", StepRequest()),
        ("--cpu 4", StepRequest(cpu=4.0)),
        ("--cpu 0.125", StepRequest(cpu=0.125)),
        ("--memory 32GiB", StepRequest(memory_mib=32768)),
        ("--memory 32GB", StepRequest(memory_mib=32000)),
        ('--memory "1.5 gb"', StepRequest(memory_mib=1500)),
        ("--region us-east", StepRequest(region="us-east")),
        ("--region us-east-1", StepRequest(region="us-east-1")),
        ("--region europe-west4", StepRequest(region="europe-west4")),
        ("--region EU", StepRequest(region="eu")),
        ("--region il", StepRequest(region="il")),
        ("--cloud GCP", StepRequest(cloud="gcp")),
        ("--cloud hetzner", StepRequest(cloud="hetzner")),
        ("--timeout 1h30m", StepRequest(timeout=5400)),
        ("--timeout=3600", StepRequest(timeout=3600)),
        (
            "--modal-environment dev --workspace my-team",
            StepRequest(modal_environment="dev", workspace="my-team"),
        ),
        ("--on local", StepRequest(on="local")),
        ("--on Modal", StepRequest(on="modal")),
        ("--name train", StepRequest(name="train")),
        ("--in a,b --out model", StepRequest(inputs=("a", "b"), outputs=("model",))),
        ('--in "a, b, a"', StepRequest(inputs=("a", "b"))),
        ("--in= --out ''", StepRequest(inputs=(), outputs=())),
        ('--pip "torch==2.9" --pip numpy', StepRequest(pip=("torch==2.9", "numpy"))),
        ("--pip 'torch >= 2, < 3'", StepRequest(pip=("torch >= 2, < 3",))),
        ("--pip 'uvicorn[standard]'", StepRequest(pip=("uvicorn[standard]",))),
        (
            "--pip git+https://example.org/a.git#egg=a",
            StepRequest(pip=("git+https://example.org/a.git#egg=a",)),
        ),
        ("--pip numpy --pip numpy", StepRequest(pip=("numpy",))),
        ("--apt ffmpeg --apt g++ --apt git=1:2.39", StepRequest(apt=("ffmpeg", "g++", "git=1:2.39"))),
        ("--image python:3.11-slim", StepRequest(image="python:3.11-slim")),
        ("--image example.org:5000/a/b@sha256:0123", StepRequest(image="example.org:5000/a/b@sha256:0123")),
        ("--env A=b=c --env B= --env C", StepRequest(env=(("A", "b=c"), ("B", ""), ("C", None)))),
        ("--env A=1 --env A=2", StepRequest(env=(("A", "2"),))),
        ("--env 'A=two words'", StepRequest(env=(("A", "two words"),))),
        ("--secret hf --secret wandb", StepRequest(secrets=("hf", "wandb"))),
        ("--file data.csv --file 'a dir/*.csv'", StepRequest(files=("data.csv", "a dir/*.csv"))),
        ("--file /data/x --file ../y --file ~/z", StepRequest(files=("/data/x", "../y", "~/z"))),
        ('--fetch "out/*.pt" --fetch out', StepRequest(fetch=("out/*.pt", "out"))),
        ("--volume data:/data", StepRequest(volumes=(("data", "/data"),))),
        (
            "--volume a:/mnt/a/ --volume b.c:/root/b",
            StepRequest(volumes=(("a", "/mnt/a"), ("b.c", "/root/b"))),
        ),
        ("--dry-run", StepRequest(dry_run=True)),
        ("--cache", StepRequest(cache=True)),
        ("--define --name train", StepRequest(define=True, name="train")),
        ("   --gpu\tT4   ", StepRequest(gpu="T4")),
    ],
)
def test_a_line_asks_for_what_it_says(line: str, request_: StepRequest) -> None:
    assert parse(line, ModalStep()) == request_


def test_a_type_with_a_count_of_nothing_runs_without_a_gpu_and_says_so() -> None:
    with pytest.warns(
        UserWarning, match="GPU type A100 comes with a count of 0: the cell runs without a GPU"
    ) as told:
        assert parse("--gpu A100 --gpu-count 0", ModalStep()) == StepRequest()
    (one,) = told
    assert (one.filename, one.lineno) == ("%%modal_step", 1)  # not a file of ours, whose line would be shown


@pytest.mark.parametrize("name", ["azure", "Microsoft"])
def test_a_cloud_that_modal_does_not_run_on_is_refused_before_anything_is_recorded(name: str) -> None:
    with pytest.raises(
        InvalidRequestError, match=f"'{name}' is unknown to Modal. It has aws, gcp, oci, auto"
    ):
        parse(f"--cloud {name}", ModalStep())


def test_braces_and_dollars_stay_as_they_are() -> None:
    assert parse("--env A={x} --env B=$y --env 'C=$(z)'", ModalStep()).env == (
        ("A", "{x}"),
        ("B", "$y"),
        ("C", "$(z)"),
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--gpus A100", ["Unknown option --gpus. Did you mean --gpu?"]),
        ("--gpu_count 2", ["Did you mean --gpu-count?"]),
        ("-gpu A100", ["Did you mean --gpu?"]),
        ("—memory 32GB", ["Did you mean --memory?"]),
        ("--GPU T4", ["Did you mean --gpu?"]),
        ("--time-out 1h", ["Did you mean --timeout?"]),
        ("--no-gpus", ["Did you mean --no-gpu?"]),
        ("--frobnicate", ["Unknown option --frobnicate", "%%modal_step?"]),
        ("--no-name", ["--no-name", "no default"]),
        ("--help", ["%%modal_step?"]),
        ("gpu=A100", ["What is this: 'gpu=A100'", "Did you mean --gpu?"]),
        ("--memory 32 GB", ["What is this: 'GB'", "quotes"]),
        ("--in a, b", ["What is this: 'b'", "quotes"]),
        ("x = 1", ["What is this: 'x'", "below the magic's line"]),
        ("--gpu", ["--gpu needs a value", "--gpu A100"]),
        ("--gpu --memory 32GB", ["--gpu needs a value"]),
        ("--dry-run=yes", ["--dry-run takes no value"]),
        ("--no-gpu=1", ["--no-gpu takes no value"]),
        ("--gpu A100 --gpu T4", ["--gpu is given twice (A100 and T4)"]),
        ("--gpu A100 --no-gpu", ["--gpu and --no-gpu contradict"]),
        ("--no-dry-run --dry-run", ["--dry-run and --no-dry-run contradict"]),
        ('--pip "torch', ["A quote is opened and not closed"]),
        ("--gpu T4 \\", ["ends in a backslash", "one line"]),
        ("--gpu A1000", ["'A1000' is unknown to Modal", "'A100'"]),
        ("--gpu V100", ["not offered", "T4"]),
        ("--gpu H100,A100-80GB", ["does not support several GPU types", "Nothing was created"]),
        ("--gpu A100:2 --gpu-count 2", ["--gpu A100:2 and --gpu-count 2 both give a count"]),
        ("--gpu A100:two", ["'two' is not a whole number"]),
        ("--gpu-count 2", ["--gpu-count 2 needs a type", "--gpu A100"]),
        ("--gpu none --gpu-count 2", ["--gpu none and --gpu-count 2 contradict each other", "Keep one"]),
        ("--gpu-count 2 --gpu none", ["--gpu none and --gpu-count 2 contradict each other", "Keep one"]),
        ("--no-gpu --gpu-count 2", ["--no-gpu and --gpu-count 2 contradict each other", "Keep one"]),
        ("--gpu A10 --gpu-count 8", ["4"]),
        ("--gpu T4:9", ["8"]),
        ("--gpu T4 --gpu-count 1.5", ["'1.5' is not a whole number"]),
        ("--gpu T4 --gpu-count -1", ["'-1' is not a whole number"]),
        ("--cpu 0", ["too small", "0.125"]),
        ("--cpu -1", ["'-1' is not a number of cores"]),
        ("--cpu four", ["'four' is not a number of cores"]),
        ("--cpu nan", ["not a number of cores"]),
        ("--memory 32", ["no unit", "32GB", "32GiB"]),
        ("--memory 32G", ["unknown unit", "GB, GiB"]),
        ("--memory lots", ["not a size", "32GB"]),
        ("--memory 64MiB", ["too small", "128MiB"]),
        ("--memory 0GB", ["too small"]),
        ("--timeout 0", ["1 second to 24 hours"]),
        ("--timeout 25h", ["1 second to 24 hours"]),
        ("--timeout 1h30", ["'1h30' is not understood", "1h30m"]),
        ("--timeout soon", ["not understood", "90m"]),
        ("--region us-est", ["Did you mean 'us-east' or 'us-west'?"]),
        ("--region useast", ["Did you mean 'us-east'?"]),
        ("--region europe", ["unknown to Modal", "eu-west", "us-east-1"]),
        ("--region us,eu", ["'us,eu' is unknown"]),
        ("--cloud asw", ["Did you mean 'aws'?"]),
        ("--cloud google", ["Did you mean 'gcp'?"]),
        ("--cloud 'my cloud'", ["aws, gcp, oci, auto"]),
        ("--on remote", ["'remote' is not a place", "--on local", "--on modal"]),
        ("--name train-model", ["'train-model' is not a Python name", "--name train_model."]),
        ("--name 'Modèle 2'", ["--name Modele_2."]),
        ("--name 2nd", ["--name step_2nd."]),
        ("--name class", ["--name class_."]),
        ("--name ''", ["--name step."]),
        ("--in a.b", ["'a.b' is not the name of a variable"]),
        ("--out model,for", ["'for' is not the name of a variable"]),
        ("--file ''", ["--file needs a path"]),
        ("--fetch ''", ["--fetch needs a pattern"]),
        ("--fetch /tmp/x", ["'/tmp/x' leads out of the sandbox's working directory"]),
        ("--fetch ../x", ["'../x' leads out"]),
        ("--fetch a/../../x", ["leads out"]),
        ("--fetch '~/x'", ["leads out"]),
        ("--volume data", ["--volume data:/data"]),
        ("--volume data:", ["not understood"]),
        ("--volume data:data", ["not mounted at an absolute path", "--volume data:/data"]),
        ("--volume data:/a/../b", ["not mounted at an absolute path"]),
        ("--volume data://a", ["not mounted at an absolute path"]),
        ("--volume data:/", ["cannot be mounted at /,"]),
        ("--volume data:/root", ["cannot be mounted at /root"]),
        ("--volume data:/usr/lib/x", ["cannot be mounted at /usr/lib/x"]),
        ("--volume data:/proc", ["cannot be mounted at /proc"]),
        ("--volume 'my data:/data'", ["Volume 'my data' is not a name in Modal"]),
        ("--volume :/data", ["Volume '' is not a name in Modal"]),
        ("--pip 'torch numpy'", ["is not one package", "--pip torch --pip numpy"]),
        ("--pip=--pre", ["an option of pip"]),
        ("--pip ''", ["is not one package"]),
        ("--apt 'git curl'", ["is not one Debian package", "--apt git --apt curl"]),
        ("--image 'python 3.11'", ["is not a reference", "python:3.11-slim"]),
        ("--env MY-VAR=1", ["'MY-VAR' is no name of an environment variable"]),
        ("--env =1", ["no name of an environment variable"]),
        ("--workspace 'my team'", ["Workspace 'my team' is not a name in Modal"]),
        ("--modal-environment a/b", ["Modal environment 'a/b' is not a name in Modal"]),
        ("--secret ''", ["Secret '' is not a name in Modal"]),
    ],
)
def test_a_wrong_line_is_refused_with_what_to_do(line: str, words: list[str]) -> None:
    message = refusal(line)
    for word in words:
        assert word in message


def test_values_given_where_a_name_belongs_are_not_repeated_in_the_message() -> None:
    assert "hunter2" not in refusal("--secret TOKEN=hunter2")
    assert "hunter2" not in refusal("--env MY-TOKEN=hunter2")


@pytest.mark.parametrize("option", NOT_YET, ids=lambda option: option.flag)
def test_an_option_of_the_contract_that_is_not_built_is_refused_by_name(option) -> None:
    lines = [f"{option.flag} x" if option.metavar else option.flag, f"{option.flag}=x"]
    lines += [option.negation] if option.has_default else []
    for line in lines:
        message = refusal(line)
        assert (
            f"does not support {option.negation if line == option.negation else option.flag} yet" in message
        )
        assert "Nothing was created" in message


def test_every_option_of_the_contract_is_known() -> None:
    contract = (
        "gpu gpu-count cpu memory region cloud timeout modal-environment workspace on operator name in out "
        "pip apt image env secret file fetch volume keep-warm on-disconnect gpu-wait max-cost cache "
        "background as define dry-run"
    )
    assert {option.flag for option in OPTIONS} == {f"--{name}" for name in contract.split()}


def test_the_help_shows_every_option_with_its_meaning() -> None:
    text = help_text()
    for option in SUPPORTED:
        assert f"  {option.flag} " in text
        assert option.meaning in text
    for option in NOT_YET:
        assert option.flag in text.partition("Not in this version yet")[2]
    assert max(map(len, text.splitlines())) <= 110


def test_the_help_lists_every_gpu_type_with_memory_and_price() -> None:
    text = help_text()
    for gpu in gpus.CATALOGUE:
        assert re.search(rf"{gpu.name} +{gpu.memory_gib} GiB  \$ *\d+\.\d\d/h", text)


def test_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    refusal("--gpus A100")
    parse("--gpu A100", ModalStep())
    assert capsys.readouterr() == ("", "")
