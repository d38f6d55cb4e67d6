"""What an image's reference tells before anything is created."""

from __future__ import annotations

import sys

import pytest

from zenml_modal_nb.errors import InvalidRequestError
from zenml_modal_nb.sandboxes.image import refuse_other_python

OWN = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.mark.parametrize(
    "reference",
    [
        "python:3.9-slim",
        "docker.io/library/python:3.9",
        "mirror.gcr.io:443/library/python:3.9.1-slim-bookworm",
    ],
)
def test_an_image_of_another_python_is_refused(reference: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        refuse_other_python(reference)
    assert f"--image {reference} has Python 3.9, the notebook has {OWN}" in str(refused.value)
    assert f"--image python:{OWN}-slim" in str(refused.value)


@pytest.mark.parametrize(
    "reference",
    [f"python:{OWN}-slim", f"python:{OWN}.1", "python:3", "python", "python:latest", "me/cpython:3.9",
     "pytorch/pytorch:2.9.0-cuda12.6", "nvcr.io/nvidia/pytorch:24.01-py3", "python@sha256:39ab"],
)  # fmt: skip
def test_an_image_that_may_have_the_notebooks_python_is_not(reference: str) -> None:
    refuse_other_python(reference)
