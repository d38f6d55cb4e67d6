"""Values between two processes: a notebook's namespace here, a cell's in a sandbox."""

import errno
import hashlib
import io
import subprocess
import sys
import tracemalloc
import types

import numpy as np
import pandas as pd
import pytest
from sandboxed import ran

from zenml_modal_nb.runner import blocks, pickling


def notebook(source):
    """A notebook after one cell, as its namespace."""
    namespace = {"__name__": "__main__", "__builtins__": __builtins__}
    exec(compile(source, "<cell 0>", "exec"), namespace)
    return namespace


def sent(namespace, *names, cell, outputs=()):
    """Run a cell with these variables; returns what came back, restored in the notebook."""
    run = ran(
        cell,
        namespace=namespace,
        values={name: namespace[name] for name in names},
        outputs=outputs,
        isolated=False,
    )
    assert run.result["ok"], run.error
    assert run.result["lost"] == {}
    return run.values()


def test_functions_that_call_each_other_share_the_cells_globals():
    namespace = notebook(
        "def even(n): return True if n == 0 else odd(n - 1)\n"
        "def odd(n): return False if n == 0 else even(n - 1)\n"
    )
    back = sent(
        namespace,
        "even",
        cell="one = even(7), odd(7)\nsame = even.__globals__ is globals() is odd.__globals__",
        outputs=["one", "same"],
    )
    assert back["values"] == {"one": (False, True), "same": True}


def test_a_global_counter_is_the_cells_own_variable():
    namespace = notebook("count = 0\ndef tick():\n    global count\n    count += 1\n")
    back = sent(namespace, "count", "tick", cell="tick(); count += 10; tick()", outputs=["count"])
    assert back["values"] == {"count": 12}
    assert namespace["count"] == 0


def test_an_unused_global_is_not_sent_and_a_used_one_is():
    namespace = notebook("used, unused = [1], [2]\ndef f(): return used\n")
    back = sent(namespace, "f", cell="'used' in globals(), 'unused' in globals(), f() is used")
    assert back["last"] == (True, False, True)


def test_what_two_names_share_is_shared_on_both_sides():
    namespace = notebook("a = [1]\nb = {'a': a}\ndef f(): return a\n")
    back = sent(
        namespace, "a", "b", "f", cell="ok = a is b['a'] is f()\na.append(2)", outputs=["a", "b", "ok"]
    )
    assert back["values"] == {"a": [1, 2], "b": {"a": [1, 2]}, "ok": True}
    assert back["values"]["a"] is back["values"]["b"]["a"]


def test_an_instance_comes_back_as_one_of_the_same_class():
    namespace = notebook(
        "class Base:\n    def who(self): return 'base'\n"
        "class Point(Base):\n"
        "    scale = 2\n"
        "    def __init__(self, x): self.x = x\n"
        "    def who(self): return 'point of ' + super().who()\n"
        "    def double(self): return Point(self.x * Point.scale)\n"
        "    @staticmethod\n    def zero(): return Point(0)\n"
        "    @classmethod\n    def make(cls, x): return cls(x)\n"
        "    @property\n    def square(self): return self.x ** 2\n"
        "p = Point(3)\n"
    )
    point, double = namespace["Point"], namespace["Point"].double
    back = sent(
        namespace,
        "p",
        cell="q = p.double()\nfacts = (q.who(), q.square, type(p).zero().x, type(p).make(5).x, type(p) is Point)",
        outputs=["p", "q", "facts"],
    )["values"]
    assert type(back["p"]) is type(back["q"]) is point
    assert (back["q"].x, back["facts"]) == (6, ("point of base", 36, 0, 5, True))
    assert point.double is double
    assert back["q"].double.__func__.__globals__ is namespace


def test_a_returned_function_does_not_overwrite_the_notebooks_variables():
    namespace = notebook("factor = 2\n")
    back = sent(
        namespace,
        "factor",
        cell="factor = 100\nnew = 1\ndef scale(x): return x * factor + new\n",
        outputs=["scale"],
    )
    assert namespace["factor"] == 2
    assert "new" not in namespace
    scale = back["values"]["scale"]
    assert scale.__globals__ is namespace
    namespace["new"] = 1
    assert scale(3) == 7


def test_a_function_that_went_there_comes_back_as_itself():
    namespace = notebook("def f(x): return x\nholder = {'callback': f}\n")
    back = sent(
        namespace, "holder", cell="holder['callback'].note = 'seen'\nholder['n'] = 1", outputs=["holder"]
    )
    assert back["values"]["holder"]["callback"] is namespace["f"]
    assert namespace["f"].note == "seen"


def test_closures_that_share_a_variable_still_share_it():
    namespace = notebook(
        "def make():\n    n = 0\n"
        "    def up():\n        nonlocal n\n        n += 1\n"
        "    def get(): return n\n"
        "    return up, get\n"
        "up, get = make()\nup()\n"
    )
    back = sent(namespace, "up", "get", cell="up(); up()\nresult = get()", outputs=["result", "up", "get"])
    assert back["values"]["result"] == 3
    assert back["values"]["up"] is namespace["up"]
    assert namespace["get"]() == 3


def test_recursive_closures_and_unassigned_variables_travel():
    namespace = notebook(
        "def make():\n"
        "    def fact(n): return 1 if n < 2 else n * fact(n - 1)\n"
        "    def later(): return unset\n"
        "    if False: unset = 1\n"
        "    return fact, later\n"
        "fact, later = make()\n"
    )
    cell = "try:\n    later()\nexcept NameError: missing = True\nx = fact(5)"
    assert sent(namespace, "fact", "later", cell=cell, outputs=["x", "missing"])["values"] == {
        "x": 120,
        "missing": True,
    }


DEFINITIONS = """
import abc, contextlib, dataclasses, enum, functools, typing
T = typing.TypeVar('T')
class Colour(enum.Enum):
    RED = 1
    BLUE = 2
    def shout(self): return self.name + '!'
class Flags(enum.IntFlag):
    A = 1
    B = 2
class Pair(typing.NamedTuple):
    left: int
    right: int = 2
    def total(self): return self.left + self.right
@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    x: int
    items: list = dataclasses.field(default_factory=list)
@dataclasses.dataclass
class Plain:
    colour: Colour = Colour.RED
class Box(typing.Generic[T]):
    def __init__(self, item: T): self.item = item
class IntBox(Box[int]): pass
class Shape(abc.ABC):
    @abc.abstractmethod
    def area(self): ...
class Square(Shape):
    def __init__(self, a): self.a = a
    def area(self): return self.a ** 2
class Slotted:
    __slots__ = ('a',)
class Oops(ValueError):
    def __init__(self, code): super().__init__(f'code {code}'); self.code = code
    def __reduce__(self): return Oops, (self.code,)
def logged(f):
    @functools.wraps(f)
    def wrapper(*args): return ('logged', f(*args))
    return wrapper
@logged
def decorated(x): return x + 1
@functools.cache
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
@functools.singledispatch
def kind(x): return 'any'
@kind.register
def _of_int(x: int): return 'int'
part = functools.partial(decorated, 4)
square = lambda x: x * x
@contextlib.contextmanager
def block():
    yield 'inside'
colour, flags, pair, frozen, plain, box = Colour.BLUE, Flags.A | Flags.B, Pair(1), Frozen(1), Plain(), IntBox(3)
shape, slotted, oops = Square(3), Slotted(), Oops(7)
slotted.a = 1
"""

CASES = [
    (
        "colour",
        "colour is Colour.BLUE and colour.shout() == 'BLUE!'",
        "type(back) is Colour and back is Colour.BLUE",
    ),
    ("flags", "flags == 3 and Flags.A in flags", "type(back) is Flags"),
    ("pair", "pair.total() == 3 and pair == (1, 2)", "type(back) is Pair"),
    ("frozen", "frozen == Frozen(1, [])", "type(back) is Frozen and back == frozen"),
    ("plain", "plain.colour is Colour.RED", "type(back) is Plain and back == plain"),
    ("box", "isinstance(box, Box) and box.item == 3", "type(back) is IntBox"),
    (
        "shape",
        "shape.area() == 9 and isinstance(shape, Shape)",
        "isinstance(back, Shape) and type(back) is Square",
    ),
    (
        "slotted",
        "slotted.a == 1 and not hasattr(slotted, '__dict__')",
        "type(back) is Slotted and back.a == 1",
    ),
    ("oops", "isinstance(oops, Oops) and oops.code == 7", "type(back) is Oops and back.code == 7"),
    ("decorated", "decorated(1) == ('logged', 2) and decorated.__name__ == 'decorated'", "back is decorated"),
    ("fib", "fib(80) == 23416728348467685 and fib.cache_info().hits > 0", "back is fib and back(10) == 55"),
    ("kind", "kind(1) == 'int' and kind('') == 'any'", "back(1) == 'int'"),
    ("part", "part() == ('logged', 5)", "back() == part()"),
    ("square", "square(3) == 9", "back is square"),
    ("block", "block().__enter__() == 'inside'", "back is block"),
    ("Colour", "Colour(1).name == 'RED'", "back is Colour"),
    ("Pair", "Pair(5).total() == 7", "back is Pair"),
    ("Frozen", "Frozen(1) == Frozen(1)", "back is Frozen"),
    ("Box", "Box[int](1).item == 1", "back is Box"),
    ("T", "T.__name__ == 'T'", "back is T"),
]


def test_everything_a_notebook_defines_goes_there_and_comes_back():
    namespace = notebook(DEFINITIONS)
    names = [name for name, _, _ in CASES]
    checks = ", ".join(check for _, check, _ in CASES)
    classes = [name for name, value in namespace.items() if isinstance(value, type)]
    back = sent(namespace, *{*names, *classes}, cell=f"checks = [{checks}]", outputs=["checks", *names])[
        "values"
    ]
    assert dict(zip(names, back["checks"], strict=True)) == dict.fromkeys(names, True)
    for name, _, check in CASES:
        assert eval(check, namespace, {"back": back[name]}), name


def test_dataclasses_and_cached_properties_of_the_notebook_work_there():
    namespace = notebook(
        "import dataclasses, functools\n"
        "@dataclasses.dataclass\nclass Base:\n    x: int\n    items: list = dataclasses.field(default_factory=list)\n"
        "class Slow:\n    @functools.cached_property\n    def value(self): return [1]\n"
        "slow = Slow()\n"
    )
    cell = (
        "import dataclasses\n@dataclasses.dataclass\nclass Child(Base):\n    y: int = 2\n"
        "facts = [[f.name for f in dataclasses.fields(Base)], dataclasses.asdict(Child(1)), repr(Base(1)),\n"
        "         dataclasses.fields(Base)[0].default is dataclasses.MISSING, slow.value is slow.value]\n"
        "child = Child(5)"
    )
    back = sent(namespace, "Base", "Slow", "slow", cell=cell, outputs=["facts", "child", "Child"])["values"]
    assert back["facts"] == [["x", "items"], {"x": 1, "items": [], "y": 2}, "Base(x=1, items=[])", True, True]
    assert (
        back["child"].y,
        back["child"] == back["Child"](5),
        isinstance(back["child"], namespace["Base"]),
    ) == (
        2,
        True,
        True,
    )
    assert namespace["slow"].value == [1]


def test_modules_and_their_submodules_are_imported_there():
    namespace = notebook(
        "import concurrent.futures\nimport os.path as p\ndef f(): return concurrent.futures.Future.__name__"
    )
    cell = "f(), p.join('a', 'b')"
    assert sent(namespace, "f", "p", cell=cell)["last"] == ("Future", "a/b")


def test_what_belongs_to_the_shell_stays_here():
    namespace = notebook("def f(): return get_ipython, open, _, Out, In")
    shell = types.ModuleType("IPython.core.interactiveshell")
    exec("def _modified_open(): pass", shell.__dict__)
    namespace |= dict.fromkeys(["get_ipython", "_", "Out", "In"], io.StringIO().write)
    namespace["open"] = shell._modified_open
    cell = "'get_ipython' in globals(), 'Out' in globals(), f.__globals__.get('open')"
    assert sent(namespace, "f", cell=cell)["last"] == (False, False, None)


def test_a_stream_means_the_other_sides_stream():
    namespace = notebook("import logging, sys\nhandler = {'stream': sys.stdout, 'error': sys.stderr}")
    cell = "import sys\nhandler['stream'] is sys.stdout, handler['error'] is sys.stderr"
    assert sent(namespace, "handler", cell=cell)["last"] == (True, True)


def test_arrays_are_writable_on_both_sides_and_shared_objects_stay_shared():
    namespace = notebook(
        "import numpy as np\na = np.arange(100_000.0)\nsmall = np.ones(3)\npair = (a, a)\nd = None\n"
    )
    namespace["d"] = pd.DataFrame({"x": np.arange(50_000), "s": ["text"] * 50_000})
    cell = "a[0] = -1\nsmall[0] = 5\nd.loc[0, 'x'] = 7\nok = pair[0] is pair[1] is a and a.flags.writeable"
    back = sent(namespace, "a", "small", "pair", "d", cell=cell, outputs=["a", "small", "pair", "d", "ok"])[
        "values"
    ]
    assert back["ok"]
    assert (back["a"][0], back["small"][0], back["d"]["x"][0]) == (-1, 5, 7)
    assert back["pair"][0] is back["a"]
    back["a"][1] = back["small"][1] = 0


@pytest.mark.parametrize("source", [bytes, bytearray, memoryview])
def test_memory_is_as_good_as_a_path(source):
    values = pickling.dump({"a": np.arange(5000), "b": b"x" * 100_000}, {})
    data = bytes(values)
    assert (len(data), hashlib.sha256(data).hexdigest()) == (values.size, values.digest)
    restored = pickling.load(source(data), {})
    restored["a"][0] = 9
    assert (restored["a"][:2].tolist(), len(restored["b"])) == ([9, 1], 100_000)


@pytest.mark.parametrize("order", ["C", "F"])
def test_blocks_are_aligned(order):
    data = bytes(pickling.dump([np.ones((n, 70), order=order) for n in (33, 57)], {}))
    extents = list(blocks.extents(blocks.read_sizes(io.BytesIO(data), len(data))))
    assert len(extents) == 3
    assert all(start % 64 == 0 for start, _ in extents)
    assert extents[-1][1] == len(data)


@pytest.mark.parametrize(
    "damage", [lambda d: d[:-1], lambda d: d + b"x", lambda d: b"", lambda d: b"PK" + d, lambda d: d[:9]]
)
def test_a_damaged_file_is_refused(damage, tmp_path):
    data = damage(bytes(pickling.dump({"a": np.arange(5000)}, {})))
    (tmp_path / "file").write_bytes(data)
    for source in (data, bytearray(data), tmp_path / "file"):
        with pytest.raises(blocks.DamagedValuesError):
            pickling.load(source, {})


def test_sending_a_large_array_does_not_copy_it(tmp_path):
    array = np.zeros(25_000_000)
    blob = bytes(50_000_000)
    tracemalloc.start()
    try:
        values = pickling.dump({"values": {"array": array, "blob": blob}}, {})
        with (tmp_path / "file").open("wb") as file:
            values.write(file)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
    assert values.size > 250_000_000


def test_receiving_a_large_array_takes_its_size_once(tmp_path):
    path = tmp_path / "file"
    with path.open("wb") as file:
        pickling.dump({"array": np.ones(25_000_000)}, {}).write(file)
    program = (
        "import re, sys\n"
        "import numpy\n"
        "from zenml_modal_nb.runner import pickling\n"
        "def peak(): return int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"
        "before = peak()\n"
        "array = pickling.load(sys.argv[1], {})['array']\n"
        "array += 1\n"
        "assert array[-1] == 2\n"
        "print(peak() - before)\n"
    )
    grown = int(
        subprocess.run(
            [sys.executable, "-c", program, path], capture_output=True, check=True, text=True
        ).stdout
    )
    assert 190_000 < grown < 230_000  # KiB; the array is 195,313


class RefusedError(OSError):
    def __init__(self, path):
        super().__init__(errno.EACCES, "not for you", path)
        self.tries = 3


class AbsentError(ImportError):
    def __init__(self, module):
        super().__init__(f"no {module}", name=module)


def test_an_exception_whose_class_takes_other_arguments_than_pythons_own_is_what_it_was():
    refused, absent = pickling.load(bytes(pickling.dump([RefusedError("/etc/x"), AbsentError("m")], {})), {})
    assert (type(refused), str(refused)) == (RefusedError, "[Errno 13] not for you: '/etc/x'")
    assert (refused.errno, refused.filename, refused.tries) == (errno.EACCES, "/etc/x", 3)
    assert (type(absent), str(absent), absent.name) == (AbsentError, "no m", "m")
