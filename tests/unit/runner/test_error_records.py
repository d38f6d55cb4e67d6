"""Exceptions as records: whatever the exception, the notebook can draw it."""

import json

import pytest
from sandboxed import CELL, ran

from zenml_modal_nb.runner import errors, pickling

ROOM = 16_000
MODULES = "/run/modules"


def raised(source, namespace=None):
    """The exception that a cell raises, as the runner has it."""
    namespace = {"__name__": "__main__"} if namespace is None else namespace
    try:
        exec(compile(source, CELL, "exec"), namespace)
    except Exception as error:  # noqa: BLE001  # whatever the test raises
        return error, namespace
    raise AssertionError("nothing was raised")


def record(source, room=ROOM):
    error, namespace = raised(source)
    described = errors.record(error, CELL, namespace, room, MODULES)
    assert len(json.dumps(described)) <= room
    return described


def test_frames_begin_at_the_cell_and_go_on_into_libraries():
    frames = record("import json\ndef f(): return json.loads(1)\nf()")["frames"]
    assert [(frame["file"], frame["line"], frame["name"]) for frame in frames[:2]] == [
        (CELL, 3, "<module>"),
        (CELL, 2, "f"),
    ]
    assert frames[2]["file"].endswith("json/__init__.py")
    assert frames[2]["text"].startswith("raise TypeError(")


def test_causes_contexts_and_notes_are_told():
    cause = record("try:\n    1 / 0\nexcept Exception as e:\n    raise KeyError('k') from e")["cause"]
    assert [(error["ename"], error["frames"][0]["line"]) for error in cause] == [("ZeroDivisionError", 2)]
    context = record("try:\n    1 / 0\nexcept Exception:\n    raise KeyError('k')")["context"]
    assert context[0]["ename"] == "ZeroDivisionError"
    silenced = record("try:\n    1 / 0\nexcept Exception:\n    raise KeyError('k') from None")
    assert not {"cause", "context"} & set(silenced)
    assert record("e = ValueError('x')\ne.add_note('and so')\nraise e")["notes"] == ["and so"]


@pytest.mark.parametrize(
    ("body", "evalue"),
    [
        ("def __str__(self): raise OSError", "<unprintable: OSError>"),
        ("def __str__(self): return 1", "<unprintable: TypeError>"),
        ("def __repr__(self): raise OSError", ""),
        ("def __str__(self): return str(self)", "<unprintable: RecursionError>"),
        ("def __reduce__(self): raise OSError", ""),
        ("def __reduce__(self): return (print, ())", ""),
        ("def __getattr__(self, name): raise OSError(name)", ""),
        ("__notes__ = 5", ""),
    ],
)
def test_an_exception_with_broken_methods_is_still_told(body, evalue):
    described = record(f"class Bad(Exception):\n    {body}\nraise Bad")
    assert (described["ename"], described["evalue"]) == ("Bad", evalue)
    assert described["frames"]


def test_a_deep_recursion_shows_both_ends():
    frames = record("def f(n): return f(n + 1)\nf(0)")["frames"]
    assert len(frames) == 51
    assert (frames[0]["name"], frames[1]["name"], frames[-1]["name"]) == ("<module>", "f", "f")
    gaps = [frame for frame in frames if frame["line"] == 0]
    assert len(gaps) == 1
    assert gaps[0]["name"].endswith("more frames …")


def test_huge_exceptions_fit():
    described = record(
        "try: raise ValueError('x' * 10**6)\nexcept ValueError as e: raise KeyError('ü' * 10**5) from e"
    )
    assert described["evalue"].endswith("…")
    assert described["pickled"] is None
    chain = (
        "def f(n):\n    try:\n        if n: f(n - 1)\n        1 / 0\n"
        "    except Exception as e: raise KeyError('é' * 900) from e\nf(40)"
    )
    assert record(chain)["cause"]
    assert record(chain, room=1500)["ename"] == "KeyError"


def test_an_exception_comes_back_as_itself_when_it_can():
    error, namespace = raised(
        "class Own(ValueError):\n"
        "    def __init__(self, a, b=None): super().__init__(a); self.b = b\n"
        "raise Own('text', 3)"
    )
    described = errors.record(error, CELL, namespace, ROOM, MODULES)
    restored = pickling.load(errors.base64.b64decode(described["pickled"]), namespace)
    assert type(restored) is namespace["Own"]
    assert (restored.args, restored.b) == (("text",), 3)
    refuses = record(
        "class Two(Exception):\n    def __reduce__(self): return Two, (1, 2, 3)\nraise Two(1, 2)"
    )
    assert refuses["pickled"] is None
    assert record("import threading\nraise ValueError(threading.Lock())")["pickled"] is None


def test_an_exception_class_may_take_other_arguments_than_it_hands_on():
    error, namespace = raised(
        "class Two(Exception):\n"
        "    def __init__(self, code, *, text): super().__init__(f'{code}: {text}'); self.code = code\n"
        "raise Two(7, text='seven')"
    )
    described = errors.record(error, CELL, namespace, ROOM, MODULES)
    restored = pickling.load(errors.base64.b64decode(described["pickled"]), namespace)
    assert (str(restored), restored.code) == ("7: seven", 7)


def test_the_notebooks_own_exception_class_is_raised_again_here():
    namespace = {"__name__": "__main__"}
    exec("class Own(Exception): pass", namespace)
    run = ran("raise Own('here')", namespace=namespace, values={"Own": namespace["Own"]})
    assert type(run.exception()) is namespace["Own"]


def test_a_syntax_error_in_the_cell_has_no_frames():
    run = ran("x = (\n")
    assert run.error["ename"] == "SyntaxError"
    assert run.error["frames"] == []
    assert run.exception().lineno == 1


def test_an_exception_group_is_told():
    described = record("raise ExceptionGroup('several', [ValueError(1), KeyError(2)])")
    assert described["evalue"] == "several (2 sub-exceptions)"
    assert described["pickled"] is not None


def test_an_error_under_await_begins_at_the_cell():
    run = ran("import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    1 / 0\nawait f()")
    assert [(frame["file"], frame["line"]) for frame in run.error["frames"]] == [(CELL, 5), (CELL, 4)]
