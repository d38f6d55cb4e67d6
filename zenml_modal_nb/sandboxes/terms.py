"""How whoever asks for a sandbox says what is asked for: a cell by options of its magic line, a step by settings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Terms:
    """Words for what to change; chosen by who makes the launch, used where an end or a refusal is told."""

    what: str
    again: str  # "Run … again"
    outside: str  # from where a sandbox is ended that nobody here has ended
    timeout: str  # a sentence, as are the next ones
    memory: str
    gpu: str
    place: str
    packages: str
    image: str
    options: str
    environment: str


OF_CELL = Terms(
    what="cell",
    again="Run the cell again",
    outside="outside this notebook",
    timeout="Give it more with --timeout.",
    memory="Ask for more, e.g. --memory 32GiB.",
    gpu="Try another --gpu, or no --region.",
    place="Leave out --region and --cloud (--no-region drops a default), or change the plan.",
    packages="Check the names and versions of --pip and --apt, and --image.",
    image="Choose one that has the notebook's Python, e.g. --image python:3.11-slim, or leave out --image.",
    options="Correct the options of the magic line; %modal_pick shows the types and sizes there are.",
    environment="Check that --modal-environment and what the cell names there exist, then run it again.",
)
OF_STEP = Terms(
    what="step",
    again="Run the pipeline again",
    outside="outside",
    timeout="Raise the step operator's setting `timeout`.",
    memory="Ask for more with ResourceSettings(memory=...).",
    gpu="Try another `gpu` in the step operator's settings, or no `region`.",
    place="Leave `region` and `cloud` out of the step operator's settings and its component, or change the plan.",
    packages="Check the names and versions in DockerSettings: requirements, apt_packages and parent_image.",
    image="Choose one that has this Python, e.g. DockerSettings(parent_image='python:3.11-slim'), or leave it out.",
    options="Correct the step operator's settings and the step's ResourceSettings.",
    environment="Check that the setting `modal_environment` and what the step names there exist, then run it again.",
)
