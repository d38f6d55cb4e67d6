"""What the image of a cell holds is what its values need too, not only what its text imports."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from frontend import Home, Kernel

FRAME = """
import pandas
table_of_words = pandas.DataFrame({"word": ["one", None, "three"], "number": [1, 2, 3]})
"""


def test_packages_that_only_a_values_insides_need_are_in_the_image(kernel: Kernel) -> None:
    kernel.run(FRAME)
    (plan,) = kernel.run("%%modal_step --dry-run\nlength = len(table_of_words)").results
    assert f"pyarrow=={metadata.version('pyarrow')}" in plan
    (plan,) = kernel.run("%%modal_step --dry-run\nlength = len(str(1))").results
    assert "pyarrow" not in plan


def test_a_stream_in_a_value_needs_no_package_of_the_kernels(kernel: Kernel) -> None:
    kernel.run("import sys\nstream_holder = {'stream': sys.stdout}")
    (plan,) = kernel.run("%%modal_step --dry-run\nlength = len(stream_holder)").results
    assert "ipykernel" not in plan


@pytest.fixture
def building_kernel(tmp_path: Path) -> Iterator[Kernel]:
    """A kernel whose local Modal API installs what an image declares, and nothing else."""
    home = Home(tmp_path)
    with home.local_modal("--images", "venv"):
        kernel = Kernel(home, "building")
        try:
            kernel.run("%load_ext zenml_modal_nb")
            yield kernel
        finally:
            kernel.close()


def test_a_local_modal_api_that_installs_packages_is_not_said_to_leave_them_out(
    building_kernel: Kernel,
) -> None:
    (plan,) = building_kernel.run("%%modal_step --dry-run --pip humanize\n1").results
    assert "not installed here" not in plan
    (plan,) = building_kernel.run("%%modal_step --dry-run --pip humanize --apt ffmpeg\n1").results
    assert "not installed here" in plan


@pytest.mark.slow  # installs pandas and pyarrow
def test_a_table_of_words_is_restored_where_only_the_image_is_installed(building_kernel: Kernel) -> None:
    building_kernel.run(FRAME)
    reply = building_kernel.run(
        "%%modal_step\nimport importlib.util\nprint(importlib.util.find_spec('zenml'))\n"
        "table_of_words['long'] = table_of_words.word + '!'\ntable_of_words.word.tolist()"
    )
    assert reply.stdout == "None\n"
    assert "three" in reply.results[0]
    assert building_kernel.ask("table_of_words['long'].tolist()[::2]") == ["one!", "three!"]


def test_a_base_image_that_comes_without_python_gets_the_notebooks(kernel: Kernel, home: Home) -> None:
    kernel.run("%%modal_step --image nvidia/cuda:12.8.0-runtime-ubuntu24.04\nfrom_a_bare_image = 1")
    records = Path(home.environment["ZENML_MODAL_NB_STATE_DIR"]) / "records-1" / "images-host"
    series = f"{sys.version_info.major}.{sys.version_info.minor}"
    recipes = [json.loads(path.read_text("utf-8"))["recipe"] for path in records.glob("*.json")]
    # A variable that Modal sets for the Python that it adds.
    added = {each["python"] for each in recipes if "TERMINFO_DIRS" in dict(each["environment"])}
    assert added == {series}
