"""The small `get_ipython()` of a sandbox, without IPython in its image and with it."""

from __future__ import annotations

import pytest
from IPython.core.magics.execution import TimeitResult
from IPython.utils.capture import CapturedIO
from IPython.utils.text import LSString, SList
from sandboxed import ran


@pytest.mark.parametrize("isolated", [True, False])
def test_what_a_shell_returns_comes_back_as_ipythons_own(isolated: bool) -> None:
    source = (
        "lines = get_ipython().getoutput('echo a b; echo c')\n"
        "text = get_ipython().getoutput('echo d', split=False)\n"
        "words = lines.fields(0), lines.n, lines.grep('c')\n"
        "timed = get_ipython().run_line_magic('timeit', '-o -q -n 2 -r 3 sum([])')\n"
        "get_ipython().run_cell_magic('capture', 'shown', 'print(1)\\ndisplay(2)\\n3')"
    )
    run = ran(source, outputs=["lines", "text", "words", "timed", "shown"], isolated=isolated)
    assert run.result["ok"], (run.error, run.stderr.text.shown)
    found = run.values()["values"]
    kinds = [type(found[name]) for name in ("lines", "text", "timed", "shown")]
    assert kinds == [SList, LSString, TimeitResult, CapturedIO]
    assert (found["lines"], found["text"]) == (["a b", "c"], "d\n")
    assert found["words"] == (["a", "c"], "a b\nc", ["c"])
    assert (found["timed"].loops, found["timed"].repeat, len(found["timed"].all_runs)) == (2, 3, 3)
    assert found["shown"].stdout == "1\n"
    assert [each.data for each in found["shown"].outputs] == [{"text/plain": "2"}, {"text/plain": "3"}]
    assert run.stdout.text.shown == ""


def test_what_a_sandbox_does_not_have_is_refused_by_name() -> None:
    source = (
        "told = []\n"
        "def attempt(act):\n"
        "    try: act()\n"
        "    except Exception as error: told.append(f'{type(error).__name__}: {error}')\n"
        "ip = get_ipython()\n"
        "attempt(lambda: ip.kernel)\n"
        "attempt(lambda: ip.run_line_magic('who', ''))\n"
        "attempt(lambda: ip.run_cell_magic('prun', '', 'x'))\n"
        "attempt(lambda: ip.run_line_magic('pip', 'install numpy'))\n"
        "attempt(lambda: ip.run_line_magic('env', 'NOT_SET_ANYWHERE'))\n"
        "attempt(lambda: ip.run_line_magic('set_env', 'NAME'))\n"
        "attempt(lambda: ip.run_cell_magic('writefile', 'a b', ''))\n"
        "attempt(lambda: ip.run_cell_magic('bash', '--out text', 'ls'))\n"
        "attempt(lambda: ip.run_line_magic('config', 'InlineBackend.figure_format = \"tiff\"'))\n"
        "attempt(lambda: ip.run_line_magic('config', 'InlineBackend.figure_formats = 3'))\n"
        "attempt(lambda: ip.run_line_magic('config', 'InlineBackend.figure_format'))\n"
        "attempt(lambda: ip.events.register('pre_run_cell', print))\n"
        "attempt(lambda: ip.events.unregister('post_execute', print))\n"
        "has = hasattr(ip, 'kernel'), ip.config"
    )
    run = ran(source, outputs=["told", "has"])
    assert run.result["ok"], run.error
    values = run.values()["values"]
    assert values["has"] == (False, {})
    begins = [
        "AttributeError: get_ipython() has no 'kernel' in a sandbox",
        "UsageError: The magic %who does not work in a sandbox",
        "UsageError: The magic %%prun does not work in a sandbox",
        "UsageError: %pip has to be known before a sandbox is created",
        "UsageError: Environment does not have key: NOT_SET_ANYWHERE",
        "UsageError: usage is 'set_env var=val'",
        "UsageError: %%writefile takes one file",
        "UsageError: %%bash takes no options in a sandbox: '--out text'",
        "UsageError: %config InlineBackend.figure_format: no tiff; figures come as png, retina,",
        "UsageError: %config InlineBackend.figure_formats: no 3; figures come as png, retina,",
        "KeyError: 'pre_run_cell never happens in a sandbox",
        "ValueError: Function <built-in function print> is not registered",
    ]
    for told, begin in zip(values["told"], begins, strict=True):
        assert told.startswith(begin)


def test_cd_with_a_dash_goes_back_to_where_the_cell_was(tmp_path) -> None:
    source = (
        "import os\nfirst = os.getcwd()\nip = get_ipython()\n"
        f"ip.run_line_magic('cd', {str(tmp_path)!r})\nsecond = os.getcwd()\n"
        "ip.run_line_magic('cd', '-')\nback = os.getcwd()\n"
        "ip.run_line_magic('cd', '-q -')\nagain = os.getcwd()"
    )
    run = ran(source, outputs=["first", "second", "back", "again"])
    assert run.result["ok"], run.error
    values = run.values()["values"]
    assert values["back"] == values["first"]
    assert values["again"] == values["second"] == str(tmp_path)
    assert run.stdout.text.shown.splitlines() == [values["second"], values["first"]]


def test_commands_and_magics_know_the_names_of_the_function_that_runs_them(tmp_path) -> None:
    source = (
        f"import os\nplace = {str(tmp_path)!r}\n"
        "def act(word):\n"
        "    get_ipython().system('echo {word} $word {1 + 1} {absent}')\n"
        "    get_ipython().run_line_magic('cd', '-q {place}')\n"
        "    get_ipython().run_line_magic('mkdir', '{word}')\n"
        "    get_ipython().run_cell_magic('writefile', '{word}/file', 'a {word}')\n"
        "    get_ipython().run_cell_magic('writefile', '-a {word}/file', '+')\n"
        "    get_ipython().run_line_magic('cat', '{word}/file')\n"
        "    get_ipython().run_line_magic('timeit', '-n 1 -r 1 -q seen.append(word)')\n"
        "    get_ipython().run_cell_magic('time', '', 'seen.append(word)\\nlen(word)')\n"
        "    return get_ipython().run_line_magic('sx', 'pwd')\n"
        "seen = []\n"
        "where = act('w'), _exit_code\n"
        "get_ipython().system('exit 3')"
    )
    run = ran(source, outputs=["where", "seen", "_exit_code"])
    assert run.result["ok"], run.error
    assert run.values()["values"] == {"where": ([str(tmp_path)], 0), "seen": ["w", "w"], "_exit_code": 3}
    shown = run.stdout.text.shown
    assert shown.startswith(
        "{word} {1 + 1} {absent}\nWriting w/file\nAppending to w/file\na {word}+CPU times: "
    )


def test_functions_registered_for_the_end_of_the_cell_run_then() -> None:
    source = (
        "def told(): print('end')\n"
        "def never(): print('never')\n"
        "for function in (told, told, never): get_ipython().events.register('post_execute', function)\n"
        "get_ipython().events.unregister('post_execute', never)\n"
        "print('cell')"
    )
    assert ran(source).stdout.text.shown == "cell\nend\n"


def test_a_cell_that_fails_while_its_output_is_captured_shows_its_error_and_what_comes_after() -> None:
    run = ran("get_ipython().capture('out')\nprint('kept')\n1 / 0", outputs=[])
    assert run.error["ename"] == "ZeroDivisionError"
    assert run.stdout.text.shown == ""


def test_formatters_are_looked_up_forgotten_and_may_fail() -> None:
    source = (
        "formatters = get_ipython().display_formatter.formatters\n"
        "html, text = formatters['text/html'], formatters['text/plain']\n"
        "class Base: pass\n"
        "class Thing(Base): pass\n"
        "def shown(thing): return '<b>'\n"
        "before = html.for_type(Base, shown), html.for_type('__main__.Base') is shown, html.lookup(Thing()) is shown\n"
        "display(Thing())\n"
        "html.for_type(Thing, lambda thing: 1 / 0)\n"
        "display(Thing())\n"
        "html.for_type(Thing, lambda thing: ('<i>', {'m': 1}))\n"
        "both = get_ipython().display_formatter.format(Thing(), include=['text/html'])\n"
        "html.enabled = False\n"
        "display(Thing())\n"
        "gone = html.pop(Base) is shown, html.pop(Base, None)\n"
        "try: html.pop(Base)\n"
        "except KeyError as error: said = str(error)\n"
        "get_ipython().display_formatter.mimebundle_formatter.for_type(Base, lambda base: {'text/plain': 'mine'})\n"
        "get_ipython().display_formatter.ipython_display_formatter.for_type(int, lambda n: print('int', n))\n"
        "display(Base(), 3)\n"
        "del html, text, formatters"
    )
    run = ran(source, outputs=["before", "both", "gone", "said"])
    assert run.result["ok"], (run.error, run.stderr.text.shown)
    values = run.values()["values"]
    assert values["before"] == (None, True, True)
    assert values["both"] == ({"text/html": "<i>"}, {"text/html": {"m": 1}})
    assert values["gone"] == (True, None)
    assert "No registered value" in values["said"]
    data = [frame.fields["data"] for frame in run.stdout.frames if frame.kind == "display"]
    assert [each.get("text/html") for each in data] == ["<b>", None, None, None]
    assert data[3] == {"text/plain": "mine"}
    assert run.stdout.text.shown == "int 3\n"
    assert "ZeroDivisionError" in run.stderr.text.shown
