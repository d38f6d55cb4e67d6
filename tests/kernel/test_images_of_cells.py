"""What the image of a cell holds is what its values need too, not only what its text imports."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from frontend import LISTEN, Home, Kernel

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


def test_the_image_has_the_notebooks_python_and_what_is_asked_for_in_layers_of_their_own(
    kernel: Kernel,
) -> None:
    kernel.ask("0", given=LISTEN)
    kernel.run("%%modal_step --pip isodate --apt jq\nlayered = 1")
    sent = "[list(each.image.dockerfile_commands) for each in sent if type(each).__name__ == 'ImageGetOrCreateRequest']"
    layers = ["\n".join(each) for each in kernel.ask(sent)]
    series = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert re.match(rf"FROM python:{re.escape(series)}\.\d+-slim", layers[0])
    added = [each for each in layers if each.startswith("FROM base")]
    assert [("jq" in each, "isodate" in each) for each in added] == [(True, False), (False, True)]
    assert not re.search("zenml|cloudpickle", "\n".join(layers))


@pytest.mark.parametrize("gpu", ["", "--gpu A100"])
def test_a_build_for_the_processor_is_not_what_the_image_gets(
    kernel: Kernel, tmp_path: Path, gpu: str
) -> None:
    (tmp_path / "tensors_").mkdir()
    (tmp_path / "tensors_" / "__init__.py").touch()
    facts = tmp_path / "tensors-2.9.0+cpu.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: tensors\nVersion: 2.9.0+cpu\n")
    (facts / "RECORD").write_text("tensors_/__init__.py,,\n")
    kernel.run(f"import sys\nsys.path.append({str(tmp_path)!r})\nimport tensors_")
    try:
        (plan,) = kernel.run(f"%%modal_step {gpu} --dry-run\nname = tensors_.__name__").results
    finally:
        kernel.run(f"sys.path.remove({str(tmp_path)!r})\ndel sys.modules['tensors_'], tensors_")
    assert re.search(r"\btensors==2\.9\.0(?![+\w])", plan)


@pytest.mark.slow
def test_an_editable_package_travels_by_value_as_it_is_now_with_what_it_imports(
    kernel: Kernel, tmp_path: Path
) -> None:
    source = tmp_path / "source" / "mine_editable_"
    source.mkdir(parents=True)
    (source / "__init__.py").write_text("import tqdm\nVERSION = 1\n")
    facts = tmp_path / "site" / "mine_editable-0.1.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: mine-editable\nVersion: 0.1\n")
    (facts / "RECORD").write_text("")
    (facts / "top_level.txt").write_text("mine_editable_\n")
    origin = {"url": source.parent.as_uri(), "dir_info": {"editable": True}}
    (facts / "direct_url.json").write_text(json.dumps(origin))
    kernel.run(f"import sys\nsys.path += {[str(source.parent), str(facts.parent)]!r}\nimport mine_editable_")
    try:
        (plan,) = kernel.run("%%modal_step --dry-run\nversion = mine_editable_.VERSION").results
        (source / "__init__.py").write_text("import tqdm\nVERSION = 'edited'\n")
        kernel.run("%%modal_step\nversion = mine_editable_.VERSION")
    finally:
        kernel.run("del sys.path[-2:], sys.modules['mine_editable_'], mine_editable_")
    rows = {line.partition("  ")[0]: line.partition("  ")[2].strip() for line in plan.splitlines()}
    assert rows["files in"] == "mine_editable_/"
    assert "mine-editable" not in plan
    assert f"tqdm=={metadata.version('tqdm')}" in plan
    assert kernel.ask("version") == "edited"


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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_base_image_that_comes_without_python_gets_the_notebooks(kernel: Kernel, home: Home) -> None:
    kernel.run("%%modal_step --image nvidia/cuda:12.8.0-runtime-ubuntu24.04\nfrom_a_bare_image = 1")
    records = Path(home.environment["ZENML_MODAL_NB_STATE_DIR"]) / "records-1" / "images-host"
    series = f"{sys.version_info.major}.{sys.version_info.minor}"
    recipes = [json.loads(path.read_text("utf-8"))["recipe"] for path in records.glob("*.json")]
    # A variable that Modal sets for the Python that it adds.
    added = {each["python"] for each in recipes if "TERMINFO_DIRS" in dict(each["environment"])}
    assert added == {series}
