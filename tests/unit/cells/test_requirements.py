"""Imports become pins of what is installed here; what only this machine has travels by value."""

from __future__ import annotations

import importlib
import io
import sys
import zipfile
from importlib import metadata
from pathlib import Path
from shutil import rmtree

import pytest

from zenml_modal_nb.cells.asked import asked
from zenml_modal_nb.cells.distributions import installed
from zenml_modal_nb.cells.requirements import PROVIDED_OF_IPYTHON, find_requirements
from zenml_modal_nb.errors import CellError
from zenml_modal_nb.packaging.archive import runner_archive
from zenml_modal_nb.runner import clocks


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of `sys.path` to install made-up distributions into."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def install(site: Path, name: str, version: str, module: str, *, origin: str = "", files: str = "") -> None:
    """Lay down what pip lays down: a module, METADATA, RECORD, top_level.txt and perhaps direct_url.json."""
    package = site / module.replace(".", "/")
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text(f"{module.replace('.', '/')}/__init__.py,,\n")
    (info / "top_level.txt").write_text(module.partition(".")[0] + "\n")
    if origin:
        (info / "direct_url.json").write_text(origin)


def test_installed_modules_are_pinned_by_the_name_of_their_distribution() -> None:
    found = find_requirements(["numpy", "sklearn.linear_model", "json", "os"], gpu=False)
    assert found.pinned == (
        f"numpy=={metadata.version('numpy')}",
        f"scikit-learn=={metadata.version('scikit-learn')}",
    )
    assert (found.by_value_modules, found.not_installed) == ((), ())


def test_what_the_runner_provides_needs_no_image() -> None:
    found = find_requirements(["IPython.display", "__main__", "builtins", "zenml_modal_nb.cells"], gpu=False)
    assert (found.pinned, found.by_value_modules, found.not_installed) == ((), (), ())


def test_of_ipython_the_image_needs_what_the_runner_does_not_provide() -> None:
    with zipfile.ZipFile(io.BytesIO(runner_archive())) as archive:
        files = {name for name in archive.namelist() if name.startswith("stand_in/") and name.endswith(".py")}
    provided = {
        name.removeprefix("stand_in/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for name in files
    }
    assert {*provided, *clocks.modules()} == PROVIDED_OF_IPYTHON
    found = find_requirements(["IPython.display", "IPython.core.magic"], gpu=False)
    assert found.pinned == (f"ipython=={metadata.version('ipython')}",)


@pytest.mark.parametrize("gpu", [False, True])
def test_a_local_version_label_is_not_pinned(site: Path, gpu: bool) -> None:
    install(site, "tensors", "2.9.0+cpu", "tensors")
    assert find_requirements(["tensors"], gpu=gpu).pinned == ("tensors==2.9.0",)


def test_an_editable_distribution_travels_by_value_with_what_it_imports(site: Path) -> None:
    origin = f'{{"url": "{site.as_uri()}", "dir_info": {{"editable": true}}}}'
    install(site, "mine", "0.1", "mine", origin=origin)
    (site / "mine" / "part.py").write_text("import numpy\nfrom . import other\nimport json")
    found = find_requirements(["mine.part"], gpu=False)
    assert found.by_value_modules == ("mine",)
    assert found.pinned == (f"numpy=={metadata.version('numpy')}",)


def test_a_module_next_to_the_notebook_travels_by_value_and_edits_are_seen(site: Path) -> None:
    (site / "cleaning_.py").write_text("import steps_")
    (site / "steps_.py").write_text("import numpy")
    found = find_requirements(["cleaning_"], gpu=False)
    assert found.by_value_modules == ("cleaning_", "steps_")
    assert found.pinned == (f"numpy=={metadata.version('numpy')}",)
    (site / "cleaning_.py").write_text("import sklearn  # no steps any more")
    found = find_requirements(["cleaning_"], gpu=False)
    assert found.by_value_modules == ("cleaning_",)
    assert found.pinned == (f"scikit-learn=={metadata.version('scikit-learn')}",)


def test_a_local_file_that_cannot_be_read_as_python_is_named_with_its_line(site: Path) -> None:
    (site / "mistyped_.py").write_text("import numpy\ndef f(:\n    pass\n")
    with pytest.raises(
        CellError, match=r"'mistyped_'.*mistyped_\.py, line 2: .*[Cc]orrect.*Nothing was created"
    ):
        find_requirements(["mistyped_"], gpu=False)


@pytest.mark.parametrize("place", ["vanished_.py", "vanished_/__init__.py"])
def test_a_local_module_whose_file_is_gone_is_named(site: Path, place: str) -> None:
    file = site / place
    file.parent.mkdir(exist_ok=True)
    file.write_text("")
    importlib.invalidate_caches()
    importlib.import_module("vanished_")
    try:
        file.unlink()
        if file.parent != site:
            rmtree(file.parent)
        with pytest.raises(CellError, match=r"'vanished_'.*vanished_.* is not there.*Nothing was created"):
            find_requirements(["vanished_"], gpu=False)
    finally:
        del sys.modules["vanished_"]


def test_of_a_local_package_only_what_is_imported_must_be_python(site: Path) -> None:
    package = site / "templated_"
    package.mkdir()
    (package / "__init__.py").write_text("import numpy")
    (package / "template.py").write_text("{{ name }} = = 1")
    assert find_requirements(["templated_"], gpu=False).by_value_modules == ("templated_",)
    with pytest.raises(CellError, match=r"template\.py, line 1"):
        find_requirements(["templated_.template"], gpu=False)
    (package / "__init__.py").write_text("import = 1")
    with pytest.raises(CellError, match=r"__init__\.py, line 1"):
        find_requirements(["templated_"], gpu=False)


def test_a_distribution_from_a_repository_keeps_its_commit(site: Path) -> None:
    origin = '{"url": "https://example.org/x.git", "vcs_info": {"vcs": "git", "commit_id": "abc123"}}'
    install(site, "fromgit", "1.0", "fromgit", origin=origin)
    assert find_requirements(["fromgit"], gpu=False).pinned == (
        "fromgit @ git+https://example.org/x.git@abc123",
    )


def test_a_distribution_built_by_conda_elsewhere_is_an_ordinary_release(site: Path) -> None:
    install(site, "built", "1.0", "built", origin='{"url": "file:///no/such/build/dir", "dir_info": {}}')
    assert find_requirements(["built"], gpu=False).pinned == ("built==1.0",)


def test_of_distributions_that_share_a_namespace_only_the_needed_one_is_taken(site: Path) -> None:
    install(site, "cloud-a", "1.0", "vendor_.a")
    install(site, "cloud-b", "2.0", "vendor_.b")
    assert find_requirements(["vendor_.b.thing"], gpu=False).pinned == ("cloud-b==2.0",)
    assert find_requirements(["vendor_"], gpu=False).pinned == ("cloud-a==1.0", "cloud-b==2.0")


def test_a_module_that_is_nowhere_is_named() -> None:
    assert find_requirements(["no_such_module_.x"], gpu=False).not_installed == ("no_such_module_",)


def test_a_distribution_installed_meanwhile_is_found(site: Path) -> None:
    assert find_requirements(["newcomer_"], gpu=False).not_installed == ("newcomer_",)
    install(site, "newcomer", "3.1", "newcomer_")
    assert find_requirements(["newcomer_"], gpu=False).pinned == ("newcomer==3.1",)


def test_a_file_saved_beside_the_notebook_does_not_have_everything_read_again(site: Path) -> None:
    before = installed()
    (site / "notebook.ipynb").write_text("{}")
    assert installed() is before
    install(site, "newcomer", "3.2", "newcomer2_")
    assert installed() is not before


def test_a_gpu_image_gets_the_cuda_build(site: Path) -> None:
    install(site, "jax", "0.8.0", "jax")
    assert find_requirements(["jax"], gpu=False).pinned == ("jax==0.8.0",)
    assert find_requirements(["jax"], gpu=True).pinned == ("jax[cuda12]==0.8.0",)


def test_a_build_for_another_kind_of_machine_is_replaced(site: Path) -> None:
    install(site, "tensorflow-macos", "2.16.1", "tensorflow")
    assert find_requirements(["tensorflow"], gpu=False).pinned == ("tensorflow==2.16.1",)


def test_what_pandas_imports_on_demand_is_added_if_it_is_here() -> None:
    pandas = f"pandas=={metadata.version('pandas')}"
    matplotlib = f"matplotlib=={metadata.version('matplotlib')}"
    # pandas keeps text in pyarrow's arrays where that is installed: without it, a table would be another one there.
    pyarrow = f"pyarrow=={metadata.version('pyarrow')}"
    assert find_requirements(["pandas"], gpu=False).pinned == (pandas, pyarrow)
    assert find_requirements(["pandas"], gpu=False, attributes=["plot"]).pinned == (
        matplotlib,
        pandas,
        pyarrow,
    )
    assert find_requirements(["numpy"], gpu=False, attributes=["plot"]).pinned[0].startswith("numpy")


def test_a_module_made_by_hand_is_not_looked_for_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    import types

    monkeypatch.setitem(sys.modules, "handmade_", types.ModuleType("handmade_"))
    assert find_requirements(["handmade_"], gpu=False).not_installed == ("handmade_",)


def pins(modules: list[str], *wanted: str, gpu: bool = False) -> tuple[str, ...]:
    return find_requirements(modules, gpu=gpu, wanted=[asked(text) for text in wanted]).pinned


@pytest.mark.parametrize(
    ("wanted", "pinned"),
    [
        (("my.tensors==1.0",), ("my.tensors==1.0",)),
        (("MY_Tensors>=1,<2",), ("MY_Tensors>=1,<2",)),
        (("my-tensors>=1", "my-tensors<2"), ("my-tensors<2", "my-tensors>=1")),
        (("my-tensors",), ("My_Tensors==2.9.0",)),  # the version that the values were pickled with
        (("my-tensors[viz]",), ("My_Tensors[viz]==2.9.0",)),
        (("my-tensors[viz]==1.0",), ("my-tensors[viz]==1.0",)),
        (("my-tensors @ https://x.org/a.zip",), ("my-tensors @ https://x.org/a.zip",)),
        (
            ("https://x.org/my_tensors-3.0-py3-none-any.whl",),
            ("https://x.org/my_tensors-3.0-py3-none-any.whl",),
        ),
        (("https://x.org/my_tensors-3.0.tar.gz",), ("https://x.org/my_tensors-3.0.tar.gz",)),
        (("git+https://x.org/me/my-tensors.git@main",), ("git+https://x.org/me/my-tensors.git@main",)),
        (("git+https://x.org/me/fork#egg=my-tensors",), ("git+https://x.org/me/fork#egg=my-tensors",)),
        (("https://x.org/download",), ("https://x.org/download", "My_Tensors==2.9.0")),
        (('my-tensors==1.0; sys_platform == "linux"',), ('my-tensors==1.0; sys_platform == "linux"',)),
        (
            ('my-tensors==1.0; sys_platform == "win32"',),  # does not hold in the image
            ('my-tensors==1.0; sys_platform == "win32"', "My_Tensors==2.9.0"),
        ),
        (("other==1",), ("My_Tensors==2.9.0", "other==1")),
    ],
)
def test_what_the_user_asks_for_takes_the_place_of_the_pin(
    site: Path, wanted: tuple[str, ...], pinned: tuple[str, ...]
) -> None:
    install(site, "My_Tensors", "2.9.0+cpu", "tensors")
    assert pins(["tensors"], *wanted) == pinned


def test_another_version_for_a_gpu_keeps_its_cuda(site: Path) -> None:
    install(site, "jax", "0.8.0", "jax")
    assert pins(["jax"], "jax==0.7", gpu=True) == ("jax[cuda12]==0.7",)
    install(site, "onnxruntime", "1.20", "onnxruntime")
    assert pins(["onnxruntime"], gpu=True) == ("onnxruntime-gpu==1.20",)
    assert pins(["onnxruntime"], "onnxruntime==1.19", gpu=True) == ("onnxruntime==1.19",)


def test_a_requirement_that_pip_would_refuse_is_refused() -> None:
    with pytest.raises(ValueError, match="Expected"):
        asked("torch=2.9")
