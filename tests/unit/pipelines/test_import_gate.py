"""While the warm-up runs, an import of zenml waits for it; of every other import nothing can be noticed."""

from __future__ import annotations

import builtins
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from zenml_modal_nb.pipelines.import_gate import ImportGate


class Held(BaseException):
    """Raised in place of waiting; no error, so that nothing on the way takes it for one."""


def hold() -> None:
    raise Held


@pytest.fixture
def gate() -> Iterator[ImportGate]:
    gate = ImportGate(hold)
    yield gate
    gate.open()


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory of `sys.path`; what is imported from it is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


@pytest.mark.usefixtures("gate")
@pytest.mark.parametrize(
    "text",
    [
        "import zenml",
        "import zenml.client as client",
        "from zenml.client import Client",
        "__import__('zenml')",
        "\n".join(f"name_{at} = {at}" for at in range(700)) + "\nimport zenml",
    ],
    ids=["import", "import as", "from", "called", "after many names"],
)
@pytest.mark.parametrize("present", [False, True], ids=["not imported", "half imported"])
def test_an_import_of_zenml_waits(monkeypatch: pytest.MonkeyPatch, text: str, present: bool) -> None:
    for name in ("zenml", "zenml.client"):
        if present:
            monkeypatch.setitem(sys.modules, name, type(sys)(name))
        else:
            monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(Held):
        exec(text, {})


@pytest.mark.usefixtures("gate")
def test_an_import_in_another_thread_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    module = type(sys)("zenml")
    monkeypatch.setitem(sys.modules, "zenml", module)
    names: dict[str, object] = {}
    thread = threading.Thread(target=exec, args=("import zenml", names))
    thread.start()
    thread.join()
    assert names["zenml"] is module


@pytest.mark.usefixtures("gate")
def test_a_failing_import_has_the_users_frames_only(beside: Path) -> None:
    (beside / "failing_.py").write_text("import inner_failing_\n")
    (beside / "inner_failing_.py").write_text("1 / 0\n")
    with pytest.raises(ZeroDivisionError) as raised:
        exec(compile("import failing_", "cell", "exec"), {})
    files = [Path(frame.filename).name for frame in traceback.extract_tb(raised.value.__traceback__)]
    assert files == [Path(__file__).name, "cell", "failing_.py", "inner_failing_.py"]
    with pytest.raises(ModuleNotFoundError) as missing:
        exec(compile("from no_such_module_ import x", "cell", "exec"), {})
    assert len(traceback.extract_tb(missing.value.__traceback__)) == 2


@pytest.mark.usefixtures("gate")
def test_a_modules_warning_names_the_line_that_imports_it(beside: Path) -> None:
    (beside / "outdated_.py").write_text(
        "import warnings\nwarnings.warn('old', FutureWarning, stacklevel=2)\n"
    )
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        exec(compile("\n\nimport outdated_", "cell", "exec"), {})
    assert [(each.filename, each.lineno) for each in seen] == [("cell", 3)]


def test_once_open_nothing_waits_and_import_is_pythons_own(monkeypatch: pytest.MonkeyPatch) -> None:
    before = builtins.__import__
    gate = ImportGate(hold)
    assert builtins.__import__ is gate
    kept = builtins.__import__  # by somebody who stands in front of it
    gate.open()
    assert builtins.__import__ is before
    monkeypatch.setitem(sys.modules, "zenml", type(sys)("zenml"))
    assert kept("zenml") is sys.modules["zenml"]
