"""The demo: the quickstart notebook, executed and written as a notebook and as a page."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import nbformat

from zenml_modal_nb.errors import ModalStepError
from zenml_modal_nb.notebooks.execution import Echo, execute
from zenml_modal_nb.request import Place

_NAME = "quickstart.ipynb"
_DEFAULT = '%config ModalStep.on = "{on}"'


class DemoError(ModalStepError):
    """The demo did not get to its end."""


@dataclass(frozen=True, slots=True)
class Pages:
    """What the demo wrote."""

    notebook: Path
    page: Path


def run_demo(directory: Path, *, on: Place, echo: Echo) -> Pages:
    """Execute the quickstart and write it into `directory`.

    Raises:
        DemoError: a cell failed; notebook and page are written all the same and show where.
    """
    from jupyter_client.kernelspec import NoSuchKernel
    from nbclient.exceptions import CellControlSignal, CellExecutionError
    from nbconvert import HTMLExporter

    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DemoError(
            f"{directory} cannot be made: {error.strerror}. Choose another place with --directory."
        ) from None
    notebook = nbformat.read(_quickstart(), as_version=4)
    # A demo must not bill anybody who did not ask for it.
    notebook.cells.insert(2, nbformat.v4.new_code_cell(_DEFAULT.format(on=on)))
    pages = Pages(directory / _NAME, directory / "quickstart.html")
    failure: DemoError | None = None
    try:
        execute(notebook, directory=directory, echo=echo)
    except CellExecutionError as error:
        failure = DemoError(f"A cell failed with {error.ename}: {error.evalue}. {pages.page} shows where.")
    except (CellControlSignal, RuntimeError) as error:  # nbclient's own, e.g. DeadKernelError
        failure = DemoError(
            f"The kernel that runs the notebook has ended or does not answer ({type(error).__name__}: {error}). "
            f"{pages.page} shows how far it came. If memory was short, close other programs and try again."
        )
    except (NoSuchKernel, OSError) as error:
        failure = DemoError(
            f"No kernel could be started ({type(error).__name__}: {error}). "
            "`jupyter kernelspec list` says which there are; one named python3 belongs to this Python."
        )
    nbformat.write(notebook, pages.notebook)
    page, _ = HTMLExporter().from_notebook_node(notebook)
    pages.page.write_text(page, "utf-8")
    if failure is not None:
        raise failure
    return pages


def _quickstart() -> Path:
    """The notebook, from the installed package or from the checkout beside it."""
    packaged = Path(str(resources.files("zenml_modal_nb"))) / "notebooks" / _NAME
    return packaged if packaged.exists() else Path(__file__).parents[2] / "notebooks" / _NAME
