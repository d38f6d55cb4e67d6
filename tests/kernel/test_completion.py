"""A Tab on the magic line offers options and values, as a kernel answers a front end's request."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from frontend import Home, Kernel


@pytest.fixture(autouse=True)
def without_jedi(kernel: Kernel) -> Iterator[None]:
    """Jedi reads the standard library before it answers at all; what it offers is not ours."""
    kernel.run("%config IPCompleter.use_jedi = False")
    yield
    kernel.run("%config IPCompleter.use_jedi = True")


def test_options_are_offered_in_the_order_of_the_help(kernel: Kernel) -> None:
    assert kernel.complete("%%modal_step --g|\nx = 1") == ["--gpu", "--gpu-count"]
    offered = kernel.complete("%%modal_step |")
    assert offered[:3] == ["--gpu", "--gpu-count", "--cpu"]
    assert "--operator" not in offered or "--operator" in kernel.run("%%modal_step?").help


def test_an_option_is_offered_once_and_one_that_repeats_again(kernel: Kernel) -> None:
    offered = kernel.complete("%%modal_step --gpu T4 --pip torch --|")
    assert "--gpu" not in offered
    assert {"--pip", "--gpu-count"} <= set(offered)


def test_what_drops_a_default_is_offered_when_it_is_begun_or_there_is_one(kernel: Kernel) -> None:
    assert kernel.complete("%%modal_step --no-gpu|") == ["--no-gpu", "--no-gpu-count"]
    assert "--no-cloud" not in kernel.complete("%%modal_step --|")
    kernel.run("%config ModalStep.cloud = 'aws'")
    try:
        assert "--no-cloud" in kernel.complete("%%modal_step --|")
    finally:
        kernel.run("%config ModalStep.cloud = None")


def test_gpus_are_offered_by_price_and_counted_as_the_type_allows(kernel: Kernel) -> None:
    assert kernel.complete("%%modal_step --gpu a1|") == ["A10", "A100", "A100-40GB", "A100-80GB", "A10G"]
    assert kernel.complete("%%modal_step --gpu |")[:2] == ["T4", "L4"]
    assert kernel.complete("%%modal_step --gpu A10 --gpu-count |") == ["1", "2", "3", "4"]
    assert kernel.complete("%%modal_step --gpu=H100:|")[-1] == "H100:8"


def test_places_are_offered(kernel: Kernel) -> None:
    assert kernel.complete("%%modal_step --region us-|") == ["us-east", "us-central", "us-south", "us-west"]
    assert kernel.complete("%%modal_step --cloud |") == ["aws", "gcp", "oci", "auto"]
    assert kernel.complete("%%modal_step --on |") == ["local", "modal"]


def test_variables_are_offered_each_once(kernel: Kernel) -> None:
    kernel.run("complete_one, complete_two, _complete_three = 1, 2, 3")
    assert kernel.complete("%%modal_step --in comp|") == ["complete_one", "complete_two"]
    assert kernel.complete("%%modal_step --in complete_two,comp|\n1") == ["complete_one"]
    assert kernel.complete("%%modal_step --out |\ncomplete_zero = complete_one\n")[0] == "complete_zero"
    assert "get_ipython" not in kernel.complete("%%modal_step --in |")


def test_what_zenml_and_modal_have_is_offered_by_name(kernel: Kernel) -> None:
    kernel.run("from zenml_modal_nb.pipelines import warmup; warmup.wait()")
    assert "modal_notebook" in tab_until(kernel, "%%modal_step --operator |", "modal_notebook")
    assert kernel.complete("%%modal_step --operator modal_note|") == ["modal_notebook"]
    kernel.run("%%modal_step --volume completed:/data\n1")
    assert "completed:/" in tab_until(kernel, "%%modal_step --on local --volume |", "completed:/")
    assert tab_until(kernel, "%%modal_step --on local --modal-environment l|", "local") == ["local"]


def tab_until(kernel: Kernel, cell: str, wanted: str) -> list[str]:
    """Press Tab again while the answer is not there: each waits half a second for it, on a busy machine in vain."""
    for _ in range(100):
        offered = kernel.complete(cell)
        if wanted in offered:
            break
    return offered


def test_files_are_offered_with_the_quotes_they_need(kernel: Kernel) -> None:
    kernel.run("import pathlib; pathlib.Path('completed files').mkdir(exist_ok=True)")
    kernel.run("completed_size = pathlib.Path('completed files/a.csv').write_text('')")
    assert kernel.complete("%%modal_step --file completed|") == ["'completed files/'"]
    assert kernel.complete("%%modal_step --file 'completed f|") == ["completed files/"]
    assert kernel.complete("%%modal_step --file completed\\ files/|") == ["'completed files/a.csv'"]


def test_a_file_is_found_among_hundreds_and_beside_links_that_lead_nowhere(kernel: Kernel) -> None:
    kernel.run(
        "import pathlib\ncrowd = pathlib.Path('completed crowd')\ncrowd.mkdir()\n"
        "for number in range(250):\n    (crowd / f'a{number:03}').touch()\n"
        "(crowd / 'z.csv').touch()\n(crowd / 'z.loop').symlink_to('z.loop')"
    )
    found = kernel.complete("%%modal_step --file 'completed crowd/z|")
    assert found == ["completed crowd/z.csv", "completed crowd/z.loop"]


def test_a_home_of_nobody_offers_nothing_and_prints_nothing(home: Home) -> None:
    (home.path / "nobody.ipy").write_text(NOBODY)
    done = home.python("-m", "IPython", "--no-banner", "nobody.ipy")
    assert "offered" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


NOBODY = """
from IPython.core.completer import provisionalcompleter
%load_ext zenml_modal_nb
%config IPCompleter.use_jedi = False
line = "%%modal_step --file ~nobody_of_this_name/"
with provisionalcompleter():
    print("offered", list(get_ipython().Completer.completions(line, len(line))) is not None)
"""


def test_nothing_of_ours_is_offered_elsewhere(kernel: Kernel) -> None:
    for cell in ("x = 1\n%%modal_step --g|", "%%modal_step\n--g|"):
        assert "--gpu" not in kernel.complete(cell)
    assert "--gpu" in kernel.complete("\n\n%%modal_step --g|")
    assert "--gpu" in kernel.complete("x = 1\n%modal_pick --g|")
    assert "--gpu" in kernel.complete("picker = %modal_pick --g|")
    assert "--gpu" not in kernel.complete("remainder = 7 %modal_pick --g|")


@pytest.mark.parametrize("typed", ["--name ", "--name pri", "--pip ", "--gpu zzz", "--image=", "--name 'a b"])
def test_where_nothing_can_be_offered_python_is_not_either(kernel: Kernel, typed: str) -> None:
    for magic in ("%%modal_step", "%modal_pick"):
        (kept,) = kernel.complete(f"{magic} {typed}|")
        assert f"{magic} {typed}".endswith(kept)


def test_the_doctors_own_options_are_offered(kernel: Kernel) -> None:
    assert kernel.complete("%modal_doctor --|") == ["--on", "--stack", "--fix", "--flavor", "--yes"]
    assert kernel.complete("%modal_doctor --fix --f|") == ["--flavor"]
    assert kernel.complete("%modal_doctor --fix --flavor |") == ["modal_notebook", "modal"]
    assert kernel.complete("%modal_doctor --on l|") == ["local"]
    kernel.run("from zenml_modal_nb.pipelines import warmup; warmup.wait()")
    assert "default" in tab_until(kernel, "%modal_doctor --stack |", "default")


def test_python_is_completed_below_the_line_as_ever(kernel: Kernel) -> None:
    kernel.run("completed_variable = 1")
    assert "completed_variable" in kernel.complete("%%modal_step --gpu T4\ncompleted_v|")


def test_unloading_removes_it_and_a_reload_does_not_double_it(new_kernel: Kernel) -> None:
    new_kernel.run("%config IPCompleter.use_jedi = False")
    new_kernel.run("%load_ext zenml_modal_nb")
    new_kernel.run("%reload_ext zenml_modal_nb")
    assert new_kernel.ask("len(get_ipython().Completer.custom_matchers)") == 1
    assert new_kernel.complete("%%modal_step --gpu-c|") == ["--gpu-count"]
    new_kernel.run("%unload_ext zenml_modal_nb")
    assert "--gpu-count" not in new_kernel.complete("%%modal_step --gpu-c|")
    assert "modal_pick" in new_kernel.attempt("%modal_pick").stderr


TERMINAL = r"""
from IPython.terminal.ptutils import IPythonPTCompleter
from prompt_toolkit.document import Document
def offered(text, body=""):
    document = Document(text + body, len(text))
    return [each.text for each in IPythonPTCompleter(shell=get_ipython()).get_completions(document, None)]
%load_ext zenml_modal_nb
print(offered("%%modal_step --gpu-c"), offered("%%modal_step --cloud g", "\nx = 1"))
"""


def test_terminal_ipython_offers_the_same(home: Home) -> None:
    (home.path / "terminal.ipy").write_text(TERMINAL)
    done = home.python("-m", "IPython", "--no-banner", "terminal.ipy")
    assert "['--gpu-count'] ['gcp']" in done.stdout, done.stderr
