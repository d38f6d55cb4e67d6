"""Inputs that a cell changes in place: the notebook's own objects hold what the cell's did."""

import sys
import types

from sandboxed import ran


def notebook(source):
    """A notebook after one cell, as its namespace."""
    module = types.ModuleType("__main__")
    namespace = module.__dict__ | {"__builtins__": __builtins__}
    exec(compile(source, "<cell 0>", "exec"), namespace)
    return namespace


def changed(namespace, *names, cell, outputs=(), **options):
    """Run a cell with these variables, and write to the notebook what the notebook would write."""
    values = {name: namespace[name] for name in names}
    run = ran(cell, namespace=namespace, values=values, outputs=outputs, isolated=False, **options)
    returned = run.returned()
    namespace.update(returned.named)
    for name in returned.deleted:
        del namespace[name]
    assert returned.lost == run.result["lost"]
    return run, returned


SETUP = """
import array, collections, dataclasses, datetime, decimal, enum, functools, random
import numpy as np, pandas as pd
class Plain:
    total = 0
    registry = []
    def __init__(self, x): self.x = x
class Slotted:
    __slots__ = ('a', 'b')
class Both(Slotted):
    pass
class Names(list):
    pass
class Table(dict):
    pass
class Group(set):
    pass
class Recent(collections.deque):
    pass
class Ordered(collections.OrderedDict):
    pass
@dataclasses.dataclass(frozen=True)
class Frozen:
    items: list
class Custom:
    def __init__(self, x): self.x = x
    def __getstate__(self): return {'x': self.x, 'made': [1]}
    def __setstate__(self, state): self.x = state['x']
class Reduced:
    def __init__(self, x): self.x = x
    def __reduce__(self): return Reduced, (self.x,)
def counter():
    n = 0
    def up():
        nonlocal n
        n += 1
        return n
    return up
def remember(x, seen=[]):
    seen.append(x)
    return seen
def make(kind):
    return {
        'list': [1, [2]], 'dict': {'a': 1, 'b': {'c': 2}}, 'set': {1, 2}, 'bytearray': bytearray(b'abc'),
        'array': array.array('i', [1, 2]), 'deque': collections.deque([1, 2], 5),
        'default': collections.defaultdict(list, a=[1]), 'counter': collections.Counter('aab'),
        'ordered': collections.OrderedDict(a=1, b=2), 'plain': Plain(1), 'slotted': Slotted(), 'both': Both(),
        'names': Names([1]), 'table': Table(a=1), 'group': Group([1]), 'recent': Recent([1]),
        'ordered2': Ordered(a=1, b=2),
        'frozen': Frozen([1]), 'custom': Custom(1), 'reduced': Reduced(1), 'error': ValueError('old'),
        'random': random.Random(1), 'generator': np.random.default_rng(1), 'state': np.random.RandomState(1),
        'vector': np.arange(5.0), 'matrix': np.asfortranarray(np.ones((3, 4))), 'scalar': np.zeros(()),
        'dates': np.array(['2020-01-01'], 'M8[D]'), 'objects': np.array([1, [2], None], object),
        'record': np.zeros(2, [('a', 'i4'), ('b', 'f8')]), 'masked': np.ma.array([1, 2], mask=[0, 1]),
        'big': np.zeros(100_000), 'series': pd.Series([1, 2]), 'index': pd.Index([1, 2]),
        'frame': pd.DataFrame({'x': [1, 2], 's': ['a', 'b'], 't': pd.to_datetime(['2020', '2021'])}),
        'frame2': pd.DataFrame({'x': [1, 2], 's': ['a', 'b']}), 'partial': functools.partial(print, [1]),
        'up': counter(), 'remember': remember, 'iterator': iter([1, 2, 3]),
        'nested': {'deep': [({'x': [1]},)]},
    }[kind]
"""

CASES = [
    ("list", "x.append(3); x[1].append(4)", "x == [1, [2, 4], 3]"),
    ("list", "x[0] = True", "x[0] is True"),
    ("list", "x.clear()", "x == []"),
    ("list", "x.append(x)", "x[2] is x"),
    ("dict", "x['b']['d'] = 3; del x['a']", "x == {'b': {'c': 2, 'd': 3}}"),
    ("dict", "x['a'] = x.pop('a')", "list(x) == ['b', 'a']"),
    ("set", "x.add('new'); x.discard(1)", "x == {2, 'new'}"),
    ("bytearray", "x += b'def'", "x == b'abcdef'"),
    ("array", "x.append(3)", "x.tolist() == [1, 2, 3]"),
    ("deque", "x.rotate(1); x.append(9)", "list(x) == [2, 1, 9] and x.maxlen == 5"),
    ("default", "x['b'].append(2); x['a'].append(3)", "x == {'a': [1, 3], 'b': [2]}"),
    ("counter", "x.update('b')", "x == {'a': 2, 'b': 2}"),
    ("ordered", "x.move_to_end('a')", "list(x) == ['b', 'a'] and x.popitem() == ('a', 1)"),
    ("plain", "x.y = [2]; del x.x", "vars(x) == {'y': [2]}"),
    ("plain", "type(x).total += 5; type(x).registry.append(1)", "x.total == 5 and type(x).registry == [1]"),
    ("plain", "type(x).size = lambda self: 8", "x.size() == 8"),
    ("slotted", "x.b = [1]", "x.b == [1] and not hasattr(x, 'a')"),
    ("both", "x.a = 1; x.c = 2", "(x.a, x.c) == (1, 2)"),
    ("names", "x.append(2); x.label = 'l'", "x == [1, 2] and x.label == 'l'"),
    ("table", "x['b'] = 2; x.label = 'l'", "x == {'a': 1, 'b': 2} and x.label == 'l'"),
    ("group", "x.add(2); x.label = 'l'", "x == {1, 2} and x.label == 'l'"),
    ("recent", "x.append(2)", "list(x) == [1, 2]"),
    ("ordered2", "x.move_to_end('a')", "list(x) == ['b', 'a']"),
    ("frozen", "x.items.append(2)", "x.items == [1, 2]"),
    ("custom", "x.x = [5]", "x.x == [5] and not hasattr(x, 'made')"),
    ("reduced", "x.x = 7", "x.x == 7"),
    ("error", "x.args = ('new',); x.code = 3", "x.args == ('new',) and x.code == 3"),
    ("random", "first = x.random()", "x.random() == [r := __import__('random').Random(1), r.random(), r.random()][2]"),
    ("generator", "first = x.random()", "x.random() == np.random.default_rng(1).random(2)[1]"),
    ("state", "first = x.rand()", "x.rand() == np.random.RandomState(1).rand(2)[1]"),
    ("vector", "x *= 2", "x.tolist() == [0, 2, 4, 6, 8]"),
    ("matrix", "x[0, 1] = 5", "x[0, 1] == 5 and x.sum() == 16 and x.flags.f_contiguous"),
    ("scalar", "x[...] = 4", "x == 4"),
    ("dates", "x[0] = np.datetime64('2021-02-03')", "str(x[0]) == '2021-02-03'"),
    ("objects", "x[1].append(3); x[2] = {}", "x.tolist() == [1, [2, 3], {}]"),
    ("record", "x['b'][1] = 2", "x.tolist() == [(0, 0.0), (0, 2.0)]"),
    ("masked", "x.mask[0] = True; x.data[1] = 7", "x.mask.tolist() == [True, True] and x.data.tolist() == [1, 7]"),
    ("big", "x[99_999] = 1", "x.sum() == 1"),
    ("series", "x[0] = 9; x.name = 'n'", "x.tolist() == [9, 2] and x.name == 'n'"),
    ("index", "x.name = 'n'", "x.name == 'n' and x.tolist() == [1, 2]"),
    ("frame", "x.loc[0, 'x'] = 7", "x.x.tolist() == [7, 2] and x.s.tolist() == ['a', 'b']"),
    ("frame", "x['new'] = x.x * 2; x.index.name = 'i'", "x.new.tolist() == [2, 4] and x.index.name == 'i'"),
    ("frame", "x.drop(columns='t', inplace=True); x.attrs['k'] = 1", "list(x) == ['x', 's'] and x.attrs == {'k': 1}"),
    ("frame2", "x.loc[1, 's'] = 'c'", "x.s.tolist() == ['a', 'c']"),
    ("frame2", "x.columns = ['p', 'q']; x.drop(0, inplace=True)", "list(x) == ['p', 'q'] and x.p.tolist() == [2]"),
    ("partial", "x.args[0].append(2)", "x.args == ([1, 2],)"),
    ("up", "first = x(), x()", "x() == 3"),
    ("remember", "first = x(5)", "x(6) == [5, 6]"),
    ("remember", "x.note = [1]", "x.note == [1]"),
    ("iterator", "first = next(x)", "list(x) == [2, 3]"),
    ("nested", "x['deep'][0][0]['x'].append(2)", "x == {'deep': [({'x': [1, 2]},)]}"),
]  # fmt: skip


def test_every_kind_of_object_is_changed_in_place():
    namespace = notebook(SETUP)
    cell = []
    for number, (kind, change, _) in enumerate(CASES):
        exec(SETUP, fresh := notebook("")) if kind in ("plain", "remember") else None
        source = fresh if kind in ("plain", "remember") else namespace
        namespace[f"x{number}"] = source["make"](kind)
        namespace[f"alias{number}"] = {"of": [namespace[f"x{number}"]]}
        cell.append("\n".join(f"x = x{number}\n{change}".splitlines()))
    names = [name for name in namespace if name[0] == "x" or name.startswith("alias")]
    before = {name: namespace[name] for name in names}
    changed(namespace, *names, "np", cell="\n".join(cell))
    for number, (kind, change, check) in enumerate(CASES):
        x = namespace[f"x{number}"]
        assert x is before[f"x{number}"], (kind, change)
        assert namespace[f"alias{number}"]["of"][0] is x
        assert eval(check, namespace, {"x": x}), (kind, change, x)


def test_what_the_cell_binds_to_an_input_is_that_input():
    namespace = notebook(
        "import numpy as np, pandas as pd\n"
        "a, text, pair, grid = [[1], {'k': [2]}], 'x' * 5000, ([3], 'b'), np.ones(50_000)\n"
        "frame = pd.DataFrame({'x': range(3)})\n"
        "class Thing: pass\n"
        "def helper(): return a\n"
        "thing = Thing(); thing.part = [4]\n"
    )
    names = ["a", "text", "pair", "grid", "frame", "Thing", "helper", "thing"]
    cell = (
        "b, box, first, inner = a, [a, grid], a[0], a[1]['k']\n"
        "t, p, g, f, kind, same, q = text, pair, grid, frame, Thing, helper, thing.part\n"
        "a.append(box)\nholder = {'thing': thing, 'frame': frame}\ngrid"
    )
    outputs = ["b", "box", "first", "inner", "t", "p", "g", "f", "kind", "same", "q", "holder"]
    run, returned = changed(namespace, *names, cell=cell, outputs=outputs)
    pairs = {
        "b": "a", "box[0]": "a", "box[1]": "grid", "first": "a[0]", "a[2]": "box", "inner": "a[1]['k']", "t": "text",
        "p": "pair", "g": "grid", "f": "frame", "kind": "Thing", "same": "helper", "q": "thing.part",
        "holder['thing']": "thing", "holder['frame']": "frame",
    }  # fmt: skip
    assert [pair for pair in pairs.items() if eval("{} is not {}".format(*pair), namespace)] == []
    assert returned.last is namespace["grid"]
    assert "inline" in run.result  # none of it travelled


def test_what_has_not_changed_is_not_sent():
    namespace = notebook(
        "import numpy as np, pandas as pd\n"
        "big = np.ones(100_000)\n"
        "frame = pd.DataFrame({'x': np.zeros(100_000), 's': ['text'] * 100_000})\n"
        "words = {str(n) for n in range(10_000)}\nstate = {'big': big, 'n': 1}\n"
    )
    before = namespace["frame"]
    cell = "total = big.sum() + frame.x.sum() + len(words)\nstate['n'] = 2\nframe['y'] = 1.5"
    run, returned = changed(namespace, "big", "frame", "words", "state", cell=cell, outputs=["total"])
    assert run.result["size"] < 1_000_000 + 50_000
    assert returned.changed == ("frame", "state")
    assert namespace["state"] == {"big": namespace["big"], "n": 2}
    assert namespace["frame"] is before
    assert (list(before), before.y.sum()) == (["x", "s", "y"], 150_000)


def test_an_input_reached_through_a_helper_only_is_changed_too():
    namespace = notebook("log = []\nstate = {'log': log}\ndef note(x): state['log'].append(x)\n")
    changed(namespace, "note", cell="note(1); note(2)")
    assert namespace["log"] == [1, 2]
    assert namespace["state"]["log"] is namespace["log"]


def test_what_cannot_change_in_place_is_bound_anew_wherever_it_is():
    namespace = notebook(
        "import numpy as np\n"
        "a = np.arange(4)\nholder = {'a': a, 'pair': (a, 1)}\ncount = iter(range(3))\nother = [a]\n"
    )
    holder = namespace["holder"]
    changed(namespace, "a", "holder", "count", cell="a.shape = (2, 2)\nnext(count)")
    assert namespace["a"].shape == (2, 2)
    assert namespace["holder"] is holder
    assert holder["a"] is namespace["a"] is holder["pair"][0]
    assert next(namespace["count"]) == 1
    assert namespace["other"][0].shape == (4,)  # which the cell has not seen


def test_tables_that_share_memory_are_changed_one_by_one():
    namespace = notebook(
        "import pandas as pd\nframe = pd.DataFrame({'x': [1, 2]})\nview = frame.copy(deep=False)\ncolumn = frame['x']\n"
    )
    changed(namespace, "frame", "view", cell="frame.loc[0, 'x'] = 9")
    assert namespace["frame"].x.tolist() == [9, 2]
    assert namespace["view"].x.tolist() == namespace["column"].tolist() == [1, 2]


def test_a_view_sees_what_is_written_to_its_array():
    namespace = notebook(
        "import numpy as np\na = np.zeros(6)\nview = a[::2]\nstep = np.zeros((2, 4))[:, ::2]\n"
    )
    changed(namespace, "a", "step", cell="a[2] = 5\nstep[1, 1] = 7")
    assert namespace["view"].tolist() == [0, 5, 0]
    assert namespace["step"].tolist() == [[0, 0], [0, 7]]
    changed(namespace, "view", cell="view[0] = 8")
    assert namespace["a"].tolist() == [8, 0, 5, 0, 0, 0]


def test_deleted_names_are_told_also_when_the_cell_fails():
    namespace = notebook("a, b, c = 1, 2, 3")
    values = {name: namespace[name] for name in "abc"}
    run = ran("del a\nx = 5\nraise ValueError\ndel b", namespace=namespace, values=values, outputs=["x"])
    assert run.error["ename"] == "ValueError"
    returned = run.returned()
    assert (returned.named, returned.deleted) == ({"x": 5}, ("a",)), run.stderr.text.shown


def test_what_changed_before_the_cell_failed_is_changed_here():
    namespace = notebook("history = [1]")
    _, returned = changed_by_failing(namespace, "history", cell="history.append(2)\nnew = [history]\n1 / 0")
    assert namespace["history"] == [1, 2]
    assert returned.named["new"][0] is namespace["history"]


def changed_by_failing(namespace, *names, cell):
    values = {name: namespace[name] for name in names}
    run = ran(cell, namespace=namespace, values=values, outputs=["new"])
    assert not run.result["ok"]
    return run, run.returned()


def test_named_outputs_narrow_what_is_written():
    namespace = notebook("a, b, c, kept = [1], [2], [3], 4")
    cell = "a.append(0); b.append(0); c.append(0)\nmodel = {'data': b}\nother = 5\ndel kept"
    _, returned = changed(namespace, "a", "b", "c", "kept", cell=cell, outputs=["model", "c"], narrowed=True)
    # b belongs to the model, c is named; a is neither
    assert (namespace["a"], namespace["b"], namespace["c"]) == ([1], [2, 0], [3, 0])
    assert namespace["model"]["data"] is namespace["b"]
    assert returned.deleted == ()
    assert "kept" in namespace
    assert "other" not in namespace


def test_what_cannot_come_back_is_named_and_loses_nothing_else():
    namespace = notebook("state, fine, both = {'a': []}, [1], []")
    cell = (
        "import threading\n"
        "state['a'].append({'lock': threading.Lock()})\nfine.append(2)\n"
        "new, bad = [fine], {'inner': [lambda: 0, threading.Lock()]}"
    )
    values = {name: namespace[name] for name in ("state", "fine")}
    run = ran(cell, namespace=namespace, values=values, outputs=["new", "bad"])
    returned = run.returned()
    assert namespace["fine"] == [1, 2]
    assert returned.named["new"][0] is namespace["fine"]
    assert namespace["state"] == {"a": []}
    assert set(run.result["lost"]) == {"state", "bad"}
    assert run.result["lost"]["bad"].startswith('bad["inner"][1]: TypeError: cannot pickle')
    assert "what the cell changed in it cannot come back" in run.result["lost"]["state"]
    assert "_thread.lock" in run.result["lost"]["state"]


ABSENT = (
    "import sys, types\n"
    "absent = types.ModuleType('absent')\n"
    "exec('class Thing:\\n    def __init__(self, x): self.x = x\\n"
    "class Picky:\\n    def __init__(self, x): self.x = x\\n"
    "    def __setstate__(self, state): raise OSError(state)\\n', absent.__dict__)\n"
    "absent.Thing.__module__ = absent.Picky.__module__ = 'absent'\n"
    "sys.modules['absent'] = absent\n"
)


def test_what_does_not_exist_here_is_named_and_loses_nothing_else():
    namespace = notebook("kept = []")
    cell = (
        f"{ABSENT}data = [1]\nthing = absent.Thing(data)\nholder = {{'t': [thing]}}\nafter = {{'data': data}}\n"
        "kept.append(data)"
    )
    run = ran(
        cell,
        namespace=namespace,
        values={"kept": namespace["kept"]},
        outputs=["thing", "holder", "after", "data"],
    )
    returned = run.returned()
    assert set(returned.lost) == {"thing", "holder"}
    assert "absent.Thing does not exist here" in returned.lost["thing"]
    assert returned.named["after"]["data"] is returned.named["data"] is namespace["kept"][0]


def test_what_refuses_to_be_restored_here_loses_nothing_but_what_it_shares(monkeypatch):
    namespace = notebook("")
    cell = (
        f"{ABSENT}early, late, big = [1], [2], bytearray(5000)\nbad = [early, absent.Picky(late), big]\n"
        "shared = {'late': late}\nlast = {'early': early, 'n': bytearray(b'2' * 5000)}\nearly"
    )
    exec(ABSENT, {})
    monkeypatch.delitem(sys.modules, "absent")
    absent = types.ModuleType("absent")
    absent.Picky = type("Picky", (), {"__setstate__": lambda self, state: {}["refused"]})
    monkeypatch.setitem(sys.modules, "absent", absent)
    run = ran(cell, namespace=namespace, outputs=["early", "bad", "shared", "last"])
    returned = run.returned()
    assert returned.named["last"]["early"] is returned.named["early"] is returned.last
    assert returned.named["last"]["n"] == b"2" * 5000
    assert "KeyError: 'refused'" in returned.lost["bad"]
    assert set(returned.lost) <= {"bad", "shared"}


def test_arrays_that_share_memory_share_it_on_both_sides():
    namespace = notebook(
        "import numpy as np\n"
        "a = np.zeros((4, 6)); row, back, turned = a[1], a[::-1, ::2], a.T\n"
        "words = np.array([[1], None, 'x', {}], object); some = words[1:3]\n"
        "huge = np.zeros(500_000); tip = huge[:2]\nlocked = a[3]; locked.flags.writeable = False\n"
        "whole = np.asfortranarray(np.ones((2, 3))); column = whole[:, 1]; raw = huge[2:4].view('u1')\n"
    )
    names = ["tip", "row", "back", "turned", "a", "words", "some", "huge", "locked", "whole", "column", "raw"]
    cell = (
        "a[1, 2] = 5\nseen = [row[2], back[2, 1], turned[2, 1], locked.flags.writeable]\nsome[0] = [9]\ntip[0] = 3\n"
        "seen += [words[1], huge[0]]\ncolumn[0] = 7; huge[2] = 1\nseen += [whole[0, 1], int(raw[7])]\n"
        "new, turned_again = a[:, 0], a.T; new[3] = 8\nfresh = np.arange(6); part = fresh[2:]\nseen += [a[3, 0]]"
    )
    changed(namespace, "np", *names, cell=cell, outputs=["seen", "new", "fresh", "part", "turned_again"])
    n = types.SimpleNamespace(**namespace)
    assert n.seen == [5, 5, 5, False, [9], 3, 7, 63, 8]
    assert (n.row[2], n.back[2, 1], n.words[1], n.huge[0], n.whole[0, 1], n.a[3, 0]) == (5, 5, [9], 3, 7, 8)
    n.a[0, 0], n.fresh[2] = 6, 4
    assert (n.new[0], n.part[0], n.turned_again[0, 0]) == (6, 4, 6)
    assert not n.locked.flags.writeable


def test_a_small_view_does_not_take_along_what_nobody_refers_to():
    namespace = notebook("import numpy as np\nview = np.zeros(1_000_000)[5:9]\n")
    run = ran("x = view.base is None", namespace=namespace, values={"view": namespace["view"]}, outputs=["x"])
    assert len(run.parts["payload.zmnb"]) < 20_000


def test_only_the_variables_of_a_change_that_fails_here_are_named():
    namespace = notebook(
        "import io\nbuffer, view = bytearray(b'abc'), None\nfine = [1]\nholder = {'buffer': buffer}\n"
    )
    view = memoryview(namespace["buffer"])  # then it cannot get another size
    run = ran(
        "buffer += b'more'; fine.append(2)",
        namespace=namespace,
        values={name: namespace[name] for name in ("buffer", "fine", "holder")},
    )
    returned = run.returned()
    assert set(returned.lost) == {"buffer", "holder"}
    assert "BufferError" in returned.lost["buffer"]
    assert (namespace["fine"], view.tobytes()) == ([1, 2], b"abc")


def test_a_value_that_looks_at_a_changed_input_when_it_is_restored_finds_it_changed():
    """As a fitted formula of statsmodels, which looks at the columns of its table."""
    namespace = notebook(
        "table = {}\n"
        "class Fit:\n"
        "    def __init__(self, table): self.table = table\n"
        "    def __setstate__(self, state):\n"
        "        self.__dict__.update(state)\n"
        "        self.total = sum(self.table['column'])\n"
    )
    _, returned = changed(
        namespace, "table", "Fit", cell="table['column'] = [1, 2]\nfit = Fit(table)", outputs=["fit"]
    )
    assert returned.lost == {}
    assert namespace["fit"].table is namespace["table"]
    assert namespace["fit"].total == 3
