"""Our stack for one thread of execution: the user's setting, and everybody else, never notices."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fresh import run_fresh

from zenml_modal_nb.pipelines import scope, stack

pytestmark = pytest.mark.usefixtures("own_zenml")


def active() -> str:
    from zenml.client import Client

    assert Client().active_stack.id == Client().active_stack_model.id
    return str(Client().active_stack_model.name)


def in_a_thread(call: Callable[[], Any]) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(call()))
    thread.start()
    thread.join()
    return found[0]


def test_the_stack_is_active_inside_and_the_users_is_outside() -> None:
    assert active() == "default"
    with scope.using(stack.own_stack()):
        assert active() == stack.NAME
    assert active() == "default"


def test_another_thread_sees_the_users_stack_meanwhile() -> None:
    with scope.using(stack.own_stack()):
        assert in_a_thread(active) == "default"
        assert active() == stack.NAME


def test_the_users_setting_is_not_touched() -> None:
    from zenml.config.global_config import GlobalConfiguration

    with scope.using(stack.own_stack()):
        inside = GlobalConfiguration().active_stack_id
    assert inside == GlobalConfiguration().active_stack_id
    assert "ZENML_ACTIVE_STACK_ID" not in os.environ


def test_an_error_inside_brings_the_users_stack_back() -> None:
    with pytest.raises(ZeroDivisionError), scope.using(stack.own_stack()):
        raise ZeroDivisionError
    assert active() == "default"


def test_a_scope_within_a_scope_ends_first() -> None:
    from zenml.client import Client

    with scope.using(stack.own_stack()):
        with scope.using(Client().get_stack("default")):
            assert active() == "default"
        assert active() == stack.NAME


def test_a_users_own_pipeline_in_another_thread_runs_on_the_users_stack(tmp_path: Path) -> None:
    # In a process of its own: a pipeline needs a main module with a file or a notebook.
    program = """
import threading
from zenml import pipeline, step
from zenml.client import Client
from zenml_modal_nb.pipelines import scope, stack, warmup

warmup.wait()
found = []

@step(enable_cache=False)
def mine() -> str:
    found.append(Client().active_stack_model.name)
    return "x"

@pipeline
def users_own():
    mine()

with scope.using(stack.own_stack()):
    thread = threading.Thread(target=users_own)
    thread.start()
    thread.join()
    found.append(Client().active_stack_model.name)
run = Client().list_pipeline_runs(hydrate=True).items[0]
print(">", found, run.stack.name, run.status.value)
"""
    (tmp_path / "program.py").write_text(program)
    done = run_fresh("import runpy; runpy.run_path('program.py', run_name='__main__')", tmp_path)
    last = [line for line in done.stdout.splitlines() if line.startswith(">")]
    assert last == ["> ['default', 'modal_notebook'] default completed"]


def test_our_stack_is_made_once_and_never_made_the_active_one() -> None:
    from zenml.client import Client

    stacks = [in_a_thread(stack.own_stack) for _ in range(3)]
    assert len({each.id for each in stacks}) == 1
    assert Client().list_stacks(name=stack.NAME).total == 1
    assert active() == "default"


@pytest.mark.filterwarnings("ignore:DELETE statement on table")  # ZenML's own, where a stack is deleted
def test_kernels_that_start_at_once_share_one_stack() -> None:
    from zenml.client import Client

    own = stack.own_stack()
    client = Client()
    client.delete_stack(own.id)
    client.delete_stack_component(stack.NAME, client.get_stack_component("step_operator", stack.NAME).type)
    client.delete_flavor(stack.NAME)
    found: list[Any] = []
    barrier = threading.Barrier(4)

    def start() -> None:
        barrier.wait()
        found.append(stack.own_stack())

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len({each.id for each in found}) == 1


def test_where_zenml_finds_no_source_root_the_working_directory_serves(tmp_path: Path) -> None:
    program = """
import sys
vars(sys.modules["__main__"]).pop("__file__", None)
from zenml_modal_nb.pipelines import warmup
warmup.wait()
from zenml.utils import source_utils
print(source_utils.get_source_root())
"""
    assert run_fresh(program, tmp_path).stdout.splitlines()[-1] == str(tmp_path)


def test_a_distribution_is_looked_up_once_and_a_missing_one_again() -> None:
    from zenml.utils import source_utils

    assert source_utils._get_package_for_module("numpy.linalg") == "numpy"
    assert source_utils._get_package_for_module("numpy") == "numpy"
    assert source_utils._get_package_for_module("no_such_module_zmnb") is None


def test_the_installed_packages_are_listed_again_only_when_they_have_changed(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from zenml.environment import Environment, get_run_environment_dict
from zenml_modal_nb.pipelines import scope

asked = []
list_packages = Environment.get_python_packages
Environment.get_python_packages = staticmethod(lambda: asked.append(1) or list_packages())
scope.remember_package_list()
sys.path.append("more")
first = get_run_environment_dict()["python_packages"]
second = get_run_environment_dict()["python_packages"]
Path("written.csv").touch()  # beside a notebook, whose directory is on the path
get_run_environment_dict()
once = len(asked)
Path("more/some-1.0.dist-info").mkdir(parents=True)
get_run_environment_dict()
print("zenml==" in first, first == second, once, len(asked))
"""
    assert run_fresh(program, tmp_path).stdout.split() == ["True", "True", "1", "2"]
