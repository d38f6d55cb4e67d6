"""IPython's syntax becomes plain Python, every line where it was; what the Python does is tried by running it."""

from __future__ import annotations

import ast
import os
import textwrap
from pathlib import Path

import pytest

from zenml_modal_nb.cells.names import find_names
from zenml_modal_nb.cells.source import read_source
from zenml_modal_nb.errors import CellError

_REPORT = ("CPU times", "Wall time")


def run(cell: str, **names: object) -> dict[str, object]:
    """Run a cell's plain Python as the sandbox does; return its namespace."""
    namespace: dict[str, object] = {"__name__": "__main__", **names}
    exec(compile(read_source(cell).text, "<cell>", "exec", dont_inherit=True), namespace)
    return namespace


@pytest.mark.parametrize(
    "cell",
    [
        "x = 1",
        "",
        "\n\n",
        "# only a comment",
        "x = '''\n!ls\n%time\n'''",
        "a = b % c",
        "r = await f()",
        "s = '\\d'",
    ],
)
def test_plain_python_stays_as_it_is(cell: str) -> None:
    assert read_source(cell).text == cell
    assert read_source(cell).pip == ()


def test_the_output_and_the_errors_of_a_command_go_to_descriptor_one(
    capfd: pytest.CaptureFixture[str],
) -> None:
    run("!echo out; echo err >&2; echo more")
    assert capfd.readouterr() == ("out\nerr\nmore\n", "")


def test_the_status_of_a_command_is_kept_as_ipython_keeps_it() -> None:
    assert run("!exit 3")["_exit_code"] == 3


def test_names_and_expressions_are_put_into_a_command() -> None:
    namespace = run(
        "a = !echo $n {n + 1} {rows[1:]} {word!r} $$HOME_ {obj.real}", n=2, rows=[5, 6], word="w", obj=1j
    )
    assert namespace["a"] == ["2 3 [6] w 0.0"]


def test_a_command_with_an_unknown_name_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", "there")
    assert run("a = !echo $PLACE $n", n=1)["a"] == ["there"]  # the shell expands both, as under IPython
    assert run("a = !printf 'x y' | awk '{print $2}'")["a"] == ["y"]


def test_names_inside_functions_are_put_into_a_command() -> None:
    namespace = run("def f(n):\n    got = !echo $n\n    return got\nr = f(7)")
    assert namespace["r"] == ["7"]


def test_assigned_commands_give_lines_of_output_and_errors() -> None:
    namespace = run("a = !printf 'x\\ny\\n'; echo z >&2\nb, c = !printf 'p\\nq'\nd = {}\nd['k'] = !echo v")
    assert (namespace["a"], namespace["b"], namespace["c"]) == (["x", "y", "z"], "p", "q")
    assert namespace["d"] == {"k": ["v"]}


def test_a_double_bang_has_the_lines_as_its_value() -> None:
    text = read_source("!!echo v").text
    assert eval(text.strip(), {}) == ["v"]


@pytest.mark.parametrize(
    ("cell", "line_of_last"),
    [
        ("\n\n!true\nlast", 4),
        ("!true \\\n  && true\nlast", 3),
        ("x = !echo a \\\n  b \\\n  c\nlast", 4),
        ("if 1:\n    !true\n    %cd .\nlast", 4),
        ("%pip install a \\\n   b\n%matplotlib inline\nlast", 4),
        ("%%time\nx = 1\nlast", 3),
        ("\n%%time\nx = (1,\n 2)\nlast", 5),
        ("#\n%%time\nx = 1\nlast", 4),
        (">>> x = 1\n>>> last", 2),
    ],
)
def test_lines_keep_their_numbers(cell: str, line_of_last: int) -> None:
    tree = ast.parse(read_source(cell).text)
    found = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "last"]
    assert found == [line_of_last]


@pytest.mark.parametrize(
    ("cell", "requirements"),
    [
        ("%pip install numpy", ("numpy",)),
        ("%pip install -q -U numpy 'torch>=2.9'  # why", ("numpy", "torch>=2.9")),
        ("!pip install numpy pandas==2.3.3", ("numpy", "pandas==2.3.3")),
        (
            "!pip3 install --quiet a\n!python -m pip install b\n!uv pip install c\n%uv pip install d",
            ("a", "b", "c", "d"),
        ),
        ("if missing:\n    !pip install 'x[extra]' \\\n        y", ("x[extra]", "y")),
        ("!pip install x > log.txt 2>&1", ("x",)),
        ("!pip install -q x >/dev/null 2> errors", ("x",)),
        ("!pip install git+https://example.org/x.git", ("git+https://example.org/x.git",)),
        ("!pip list", ()),
        ("!pip install x && echo done", ()),
        ("!pip install x; echo done", ()),
        ("!pip install -q x;", ("x",)),
        ("%pip install x > log.txt", ("x",)),
        ("%pip install x && echo done", ()),
        ('%pip install "x', ()),
    ],
)
def test_pip_lines_become_requirements(cell: str, requirements: tuple[str, ...]) -> None:
    source = read_source(cell)
    assert source.pip == requirements
    assert ("call(" in source.text) == (not requirements)


def test_a_pip_line_does_nothing_in_the_sandbox() -> None:
    assert ast.dump(ast.parse(read_source("if c:\n    %pip install x").text)) == ast.dump(
        ast.parse("if c: pass")
    )


@pytest.mark.parametrize("argument", ["-r requirements.txt", "-e .", "./mine", "{name}", "--index-url u x"])
def test_what_an_image_cannot_install_is_refused(argument: str) -> None:
    with pytest.raises(CellError, match=r"line 2: pip install \S+ cannot become part of the image") as caught:
        read_source(f"x = 1\n%pip install {argument}")
    assert "--pip" in str(caught.value)


def test_time_prints_and_keeps_value_and_names(capsys: pytest.CaptureFixture[str]) -> None:
    namespace = run("%time x = sum(v)\n%time print('inside'); y = 2\nz = %time x + 1", v=[1, 2])
    assert (namespace["x"], namespace["y"], namespace["z"]) == (3, 2, 4)
    printed = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in printed] == [
        *_REPORT, "inside", *_REPORT, *_REPORT,
    ]  # fmt: skip
    assert set(namespace) - {"__builtins__", "__name__", "v"} == {"x", "y", "z"}


def test_time_of_a_cell_prints_before_the_last_value(capsys: pytest.CaptureFixture[str]) -> None:
    text = read_source("%%time\nä = 'ü'\n'é', (ä +\n 'ö')").text
    tree = ast.parse(text)
    last = tree.body.pop()
    assert isinstance(last, ast.Expr)
    namespace: dict[str, object] = {}
    exec(compile(tree, "<cell>", "exec"), namespace)
    assert capsys.readouterr().out == ""
    assert eval(compile(ast.Expression(last.value), "<cell>", "eval"), namespace) == ("é", "üö")
    assert capsys.readouterr().out.startswith("CPU times: user ")
    assert set(namespace) == {"__builtins__", "ä"}


def test_time_of_a_cell_without_a_last_value_prints_too(capsys: pytest.CaptureFixture[str]) -> None:
    run("%%time\nx = 1")
    assert capsys.readouterr().out.startswith("CPU times: user ")


def test_environment_and_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KEY", "")
    monkeypatch.setenv("OLDPWD", "")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    namespace = run("%env KEY=a{n}\nfirst = %env KEY\n%set_env KEY b\n%cd sub\nplace = %pwd", n=1)
    assert namespace["first"] == "a1"
    assert os.environ["KEY"] == "b"
    assert namespace["place"] == str(tmp_path / "sub")
    (tmp_path / "sub" / "of two words").mkdir()
    assert run('%cd -q "of two words"\nplace = %pwd')["place"] == str(tmp_path / "sub" / "of two words")
    assert run("%cd -q -\nplace = %pwd")["place"] == str(tmp_path / "sub")
    assert run("%cd -\nplace = %pwd")["place"] == str(tmp_path / "sub" / "of two words")


def test_a_bash_cell_runs_in_bash(capfd: pytest.CaptureFixture[str]) -> None:
    run("%%bash\nfor i in 1 2; do\n  echo $i\ndone")
    assert capfd.readouterr().out == "1\n2\n"


def test_shell_aliases_and_automatic_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    calls: list[tuple[object, ...]] = []
    namespace = run("%mkdir made\n,f a b\n;f a b\n/f n", f=lambda *words: calls.append(words), n=1)
    assert (tmp_path / "made").is_dir()
    assert calls == [("a", "b"), ("a b",), (1,)]
    assert "_exit_code" in namespace


def test_names_in_a_command_are_optional_inputs() -> None:
    names = find_names(read_source("!ls {folder.name} $HOME\nx = !cat $path\n%cd {place}").text)
    assert names.required == set()
    assert names.optional == {"folder", "HOME", "path", "place"}
    assert names.bound == ("_exit_code", "x")


def test_the_text_is_the_same_every_time() -> None:
    cell = "!echo {a} {b} {c} {d} {e}"
    assert read_source(cell).text.count("{'a', 'b', 'c', 'd', 'e'}") == 1


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("x = 1\n%prun x", "line 2: the magic %prun does not work in a sandbox."),
        ("%load_ext a", "line 1: the magic %load_ext does not work in a sandbox."),
        ("x = %who", "line 1: the magic %who does not work in a sandbox."),
        ("%%prun\nx", "line 1: the magic %%prun does not work in a sandbox."),
        ("%%bash --out text\nls", "line 1: %%bash takes no options in a sandbox, e.g. --out."),
        ("%%writefile\nx", "line 1: %%writefile needs the name of a file"),
        ("\n%%html\n<b>", "line 2: the magic %%html does not work in a sandbox."),
        ("x\ndf.head?", "line 2: df.head? asks IPython for help"),
        ("?df", "line 1: ?df asks IPython for help"),
        ("x = = 1", "line 1: invalid syntax.\n    x = = 1\n        ^\nCorrect the cell"),
        (
            "!ls\nfor x in y\n    pass",
            "line 2: expected ':'.\n    for x in y\n              ^\nCorrect the cell",
        ),
        ("x = 1\nreturn x", "line 2: 'return' outside function.\n    return x\n    ^\n"),
        ("x = (1,\ny = 2", "line 1: "),
        ("x\0", "line 1: "),
        ("%%time\nx = = 1", "line 2: invalid syntax."),
    ],
)
def test_a_refusal_names_the_line_and_what_to_do(cell: str, message: str) -> None:
    with pytest.raises(CellError) as caught:
        read_source(cell)
    assert str(caught.value).startswith(message)
    assert "othing was created." in str(caught.value)


def test_line_numbers_can_count_a_magic_line_above() -> None:
    for cell in ("%who", "x = = 1"):
        with pytest.raises(CellError, match=r"^line 2: "):
            read_source(cell, first_line=2)


def test_a_whole_block_may_be_indented() -> None:
    assert read_source(textwrap.indent("x = 1\ny = 2", "    ")).text == "x = 1\ny = 2\n"


def test_what_looks_like_a_command_inside_a_text_stays() -> None:
    cell = 'text = """\n!ls\n%cd x\nfiles = !ls\n"""\n!true\nx = 1'
    source = read_source(cell)
    assert source.text.startswith('text = """\n!ls\n%cd x\nfiles = !ls\n"""\n')
    assert ast.literal_eval(ast.parse(source.text).body[0].value) == "\n!ls\n%cd x\nfiles = !ls\n"  # type: ignore[attr-defined]
    assert "subprocess" in source.text.splitlines()[5]


def test_commands_in_blocks_keep_their_place_and_requirements_their_order() -> None:
    source = read_source("if x:\n    %pip install one\n    !pip install two\nfor y in z:\n    found = !ls\n")
    assert source.pip == ("one", "two")
    (branch, loop) = ast.parse(source.text).body
    assert [branch.lineno, loop.lineno, loop.body[0].lineno] == [1, 4, 5]  # type: ignore[attr-defined]


def test_a_refused_line_after_others_has_its_own_number() -> None:
    with pytest.raises(CellError, match=r"line 4: the magic %nothing"):
        read_source("x = 1\n!true\ny = 2\n%nothing", first_line=1)
