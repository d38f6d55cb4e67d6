"""A failing cell shows the user's own error, with the user's own lines, as if it had run here."""

from __future__ import annotations

import pytest
from frontend import Gate, Kernel


def test_the_error_has_its_type_and_the_cells_lines_as_the_notebook_counts_them(kernel: Kernel) -> None:
    reply = kernel.attempt("%%modal_step\nnumerator = 1\n\nratio = numerator / 0\nprint('never')")
    assert (reply.ename, reply.evalue) == ("ZeroDivisionError", "division by zero")
    number = reply.content["execution_count"]
    assert f"Cell In[{number}], line 4" in reply.traceback
    assert "----> 4 ratio = numerator / 0" in reply.traceback
    for internal in ("zenml_modal_nb", "runner", "cell_run.py", "site-packages"):
        assert internal not in reply.traceback
    assert "failed" in reply.panel


@pytest.mark.parametrize(
    ("cell", "bound"),
    [
        ("%%modal_step\nbound_before_it_failed = 3\nbound_before_it_failed / 0", 3),
        ("%%modal_step\nbound_before_it_failed = 3\nno_such_name_", 0),
        ("%%modal_step --gpu A1000\nbound_before_it_failed = 3", 0),
    ],
)
def test_the_debugger_begins_at_the_cell_where_its_variables_are(
    kernel: Kernel, cell: str, bound: int
) -> None:
    kernel.run("bound_before_it_failed = 0")
    kernel.attempt(cell)
    steps = "__import__('traceback').walk_tb(__import__('sys').last_traceback)"
    innermost = f"[frame.f_globals is globals() for frame, _ in {steps}]"
    assert kernel.ask(f"[{innermost}[-1], sum({innermost}), bound_before_it_failed]") == [True, 1, bound]


def test_a_frame_of_a_helper_is_named_after_the_cell_that_defines_it(kernel: Kernel) -> None:
    helper = kernel.run("def broken_helper(value):\n    checked = int(value)\n    return checked")
    reply = kernel.attempt("%%modal_step\nbroken_helper('no number')")
    assert reply.ename == "ValueError"
    number = helper.content["execution_count"]
    assert f"Cell In[{number}], line 2" in reply.traceback
    assert "checked = int(value)" in reply.traceback


def test_a_frame_of_a_local_module_is_named_as_it_is_beside_the_notebook(kernel: Kernel) -> None:
    """Also in what Python itself prints of a group."""
    kernel.run(
        "from pathlib import Path\n"
        "Path('failing_parts').mkdir(exist_ok=True)\n"
        "Path('failing_parts/part.py').write_text('def fail(value):\\n    return int(value)\\n')\n"
        "Path('failing_parts/__init__.py').touch()\n"
        "Path('failing_module.py').write_text('from failing_parts.part import fail\\n"
        "def several():\\n"
        '    try:\\n        fail("no number")\\n'
        '    except ValueError as error:\\n        raise ExceptionGroup("several", [error])\\n\')\n'
        "import failing_module"
    )
    reply = kernel.attempt("%%modal_step\nfailing_module.fail('no number')")
    assert reply.ename == "ValueError"
    assert "File failing_parts/part.py:2, in fail" in reply.traceback
    assert "return int(value)" in reply.traceback
    group = kernel.attempt("%%modal_step\nfailing_module.several()")
    printed = group.stdout + group.stderr  # IPython prints a group instead of drawing it
    assert 'File "failing_module.py", line 4, in several' in printed
    assert "/modules/" not in reply.traceback + printed


def test_an_exception_class_of_the_notebook_can_be_caught_here(kernel: Kernel) -> None:
    kernel.run("class OwnError(Exception):\n    def __init__(self, code):\n        self.code = code")
    kernel.run(
        "caught = None\n"
        "try:\n"
        "    get_ipython().run_cell_magic('modal_step', '', 'raise OwnError(7)')\n"
        "except OwnError as error:\n"
        "    caught = error.code"
    )
    assert kernel.ask("caught") == 7


def test_what_was_bound_before_the_failure_is_there(kernel: Kernel) -> None:
    reply = kernel.attempt("%%modal_step\nbefore_failure = [1, 2]\nraise KeyError('stop')\nafter_failure = 3")
    assert reply.ename == "KeyError"
    assert kernel.ask("[before_failure, 'after_failure' in globals()]") == [[1, 2], False]
    assert kernel.ask("[_modal_run.status, _modal_run.outputs]") == [
        "failed in the cell",
        {"before_failure": [1, 2]},
    ]


def test_chained_errors_and_notes_are_told(kernel: Kernel) -> None:
    reply = kernel.attempt(
        "%%modal_step\n"
        "try:\n"
        "    int('x')\n"
        "except ValueError as error:\n"
        "    problem = RuntimeError('outer')\n"
        "    problem.add_note('a hint')\n"
        "    raise problem from error"
    )
    assert reply.ename == "RuntimeError"
    assert "ValueError: invalid literal" in reply.traceback
    assert "RuntimeError: outer\na hint" in reply.traceback
    assert "direct cause" in reply.traceback


def test_an_error_whose_class_cannot_be_rebuilt_keeps_its_name_and_message(kernel: Kernel) -> None:
    reply = kernel.attempt(
        "%%modal_step\n"
        "class Awkward(Exception):\n"
        "    def __init__(self, a, b):\n"
        "        super().__init__(f'{a} and {b}')\n"
        "raise Awkward('one', 'two')"
    )
    assert "Awkward" in reply.traceback
    assert "one and two" in reply.traceback
    assert "----> 5 raise Awkward('one', 'two')" in reply.traceback


def test_the_process_that_ends_itself_is_an_error_that_says_so(kernel: Kernel, gate: Gate) -> None:
    cell = kernel.send(f"%%modal_step\nimport os\nprint('last words')\n{gate.wait}\nos._exit(3)")
    kernel.wait_for_text(cell, "last words")
    gate.open()
    reply = kernel.finish(cell)
    assert not reply.ok
    assert reply.stdout == "last words\n"
    assert "exit code 3" in reply.evalue
    assert "zenml_modal_nb" not in reply.traceback


def test_a_cell_that_exits_is_an_error_and_leaves_the_kernel_alive(kernel: Kernel) -> None:
    reply = kernel.attempt("%%modal_step\nimport sys\nsys.exit('enough')")
    assert not reply.ok
    assert "SystemExit" in reply.traceback
    assert "enough" in reply.traceback
    assert kernel.ask("1 + 1") == 2


def test_a_cell_that_takes_longer_than_its_timeout_is_ended_and_says_so(kernel: Kernel) -> None:
    reply = kernel.attempt("%%modal_step --timeout 2s\nprint('begun')\nwhile True:\n    pass")
    assert not reply.ok
    assert "timeout" in reply.evalue
    assert "timed out" in reply.panel
    assert kernel.ask("_modal_run.status") == "timed out"


@pytest.mark.parametrize(
    "error",
    [
        "RuntimeError('Found no NVIDIA driver on your system.')",
        "AssertionError('Torch not compiled with CUDA enabled')",
        "RuntimeError('no kernel') from ImportError('libcudart.so.12: cannot open shared object file')",
    ],
)
def test_a_cuda_error_where_no_gpu_is_provided_advises_modal(kernel: Kernel, error: str) -> None:
    advised = kernel.attempt(f"%%modal_step --gpu T4 --on local\nraise {error}")
    assert "Write --on modal" in advised.traceback
    assert "T4" in advised.traceback


def test_other_errors_and_cells_that_asked_for_no_gpu_get_no_such_advice(kernel: Kernel) -> None:
    for cell in ("%%modal_step --gpu T4\nraise KeyError('x')", "%%modal_step\nraise KeyError('cuda')"):
        assert "--on modal" not in kernel.attempt(cell).traceback
