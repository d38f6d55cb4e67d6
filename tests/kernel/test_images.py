"""What is built for a notebook's cells, counted in the images of the local Modal API that installs for real."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import pytest
from frontend import Home, Kernel

TQDM = metadata.version("tqdm")


@dataclass
class Notebook:
    """One user's notebook, and the layers that have been built for it."""

    home: Home
    kernel: Kernel
    _layers: set[str] = field(default_factory=set)
    _installed: set[int] = field(default_factory=set)

    def run(self, cell: str) -> list[list[str]]:
        """Run a cell; returns what each layer that was built meanwhile has installed."""
        self.kernel.run(f"%%modal_step\n{cell}" if not cell.startswith("%%") else cell)
        return self.built()

    def built(self) -> list[list[str]]:
        images = Path(self.home.environment["ZENML_MODAL_NB_STATE_DIR"]) / "images" / "venv"
        new = [path for path in images.glob("im-*") if path.name not in self._layers]
        self._layers |= {path.name for path in new}
        # A layer starts as a copy of the one below, by hard links: what it installs itself is written anew.
        marks = [{mark.stat().st_ino: mark for mark in path.glob(MARKS)} for path in sorted(new, key=_time)]
        layers = []
        for layer in marks:
            own = [mark for inode, mark in layer.items() if inode not in self._installed]
            self._installed |= layer.keys()
            layers.append(sorted(mark.parent.name.partition("-")[0] for mark in own))
        return layers


def _time(path: Path) -> float:
    return path.stat().st_mtime


MARKS = "venv/lib/python*/site-packages/*.dist-info/INSTALLER"


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    home = Home(tmp_path_factory.mktemp("venv-home"))
    with home.local_modal("--images", "venv"):
        kernel = started(home, "first")
        try:
            notebook = Notebook(home, kernel)
            notebook.run("nothing = 0")  # brings what every image of Modal's has
            yield notebook
        finally:
            kernel.close()


def started(home: Home, name: str) -> Kernel:
    kernel = Kernel(home, name)
    kernel.run("%load_ext zenml_modal_nb")
    kernel.run("from zenml.client import Client\nstack = Client().active_stack")
    return kernel


def test_an_edited_cell_builds_nothing_and_a_package_more_one_layer(notebook: Notebook) -> None:
    run = notebook.run
    assert run("import tqdm\none = tqdm.__version__") == [["tqdm"]]
    assert run("import tqdm\ntwo = tqdm.__version__  # edited") == []
    assert run("import tqdm, distro\nthree = distro.__version__") == [["distro"]]
    assert run("import tqdm\nfour = 4") == []
    assert run("import distro\nfive = 5") == []  # with an import less, too
    assert run("%%modal_step --pip six\nimport distro, six\nsix_ = 6") == [["six"]]
    assert run("%%modal_step --pip six --pip isodate\nimport six, isodate\nseven = 7") == [["isodate"]]
    # A layer that the local Modal API records only.
    assert run("%%modal_step --apt jq\nimport tqdm, distro\neight = 8") in ([], [[]])


def test_a_version_of_the_users_own_replaces_the_one_that_is_here(notebook: Notebook) -> None:
    assert notebook.run("%%modal_step --pip tqdm==4.66.1\nimport tqdm, distro\nown = tqdm.__version__") == [
        ["tqdm"]
    ]
    assert notebook.kernel.ask("own") == "4.66.1"
    cell = "%pip install tqdm==4.66.1\nimport tqdm, distro\nagain = tqdm.__version__"
    assert notebook.run(cell) == []
    assert notebook.run("import tqdm, distro\nusual = tqdm.__version__") == []
    assert notebook.kernel.ask("[again, usual]") == ["4.66.1", TQDM]


def test_nothing_of_ours_is_in_an_image(notebook: Notebook) -> None:
    notebook.run(
        "import tqdm, importlib.metadata as found\nthere = [each.name.lower() for each in found.distributions()]"
    )
    there = set(notebook.kernel.ask("there"))
    assert "tqdm" in there
    assert not there & {"zenml", "cloudpickle", "zenml-modal-nb", "modal", "ipython", "ipykernel", "blake3"}


def test_what_only_another_cell_asks_for_is_not_there(notebook: Notebook) -> None:
    notebook.run("import distro, importlib.util\nfound = importlib.util.find_spec('six')")
    assert notebook.kernel.ask("found") is None


def test_a_new_kernel_finds_the_images_of_its_notebook(notebook: Notebook) -> None:
    kernel = started(notebook.home, "second")
    try:
        kernel.run("%%modal_step\nimport tqdm, distro\none = 1")
        kernel.run("%%modal_step --pip six --pip isodate\nimport six, isodate\ntwo = 2")
    finally:
        kernel.close()
    assert notebook.built() == []


def test_why_an_image_is_built_is_said(notebook: Notebook) -> None:
    slow = (
        "-m",
        "zenml_modal_nb.emulator",
        "fault",
        "add",
        "latency",
        "--milliseconds",
        "1500",
        "--call",
        "ImageGetOrCreate",
    )
    assert notebook.home.python(*slow).returncode == 0
    reply = notebook.kernel.run("%%modal_step --pip tqdm==4.66.2\nimport tqdm, distro, idna\nx = 1")
    states = [panel["data"]["text/plain"] for panel in reply.panels]
    why = f"tqdm changed from {TQDM} to 4.66.2; idna added"
    assert any(f"building image ({why})" in state for state in states), states
    assert any(f"building image ({why})" in panel["data"]["text/html"] for panel in reply.panels)
    assert notebook.built() == [["idna", "tqdm"]]


def test_an_image_that_could_not_be_built_is_not_built_upon(notebook: Notebook) -> None:
    reply = notebook.kernel.attempt("%%modal_step --pip tqdm==0.0.0.1\nimport tqdm\nx = 1")
    assert not reply.ok
    notebook.built()  # whatever it left
    assert notebook.run("import tqdm\ny = 1") == []
