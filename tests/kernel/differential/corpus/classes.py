"""Classes: every kind, their identity in both directions, instances as inputs and as results."""

from __future__ import annotations

from corpus.case import Case

_POINT = "class Point:\n    def __init__(self, x, y=0):\n        self.x, self.y = x, y"

CASES = (
    Case(
        "instances returned are of the notebook's class",
        "points = [Point(x) for x in range(3)]",
        setup=(_POINT,),
        then=("print(all(type(p) is Point for p in points))",),
        fast=True,
    ),
    Case(
        "an instance as an input",
        "known = isinstance(origin, Point)\nx = origin.x + 1",
        setup=(_POINT, "origin = Point(4)"),
    ),
    Case(
        "a class made by the cell",
        """
        class Stack:
            limit = 3
            def __init__(self): self.items = []
            def push(self, item):
                self.items.append(item)
                return self
        stack = Stack().push(1).push(2)
        """,
        then=("stack.push(3)\nprint(stack.items, type(stack) is Stack)",),
    ),
    Case(
        "inheritance across cells",
        """
        class Square(Shape):
            def area(self): return self.side ** 2 + super().area()
        squares = [Square(2), Shape(3)]
        areas = [s.area() for s in squares]
        """,
        setup=("class Shape:\n    def __init__(self, side): self.side = side\n    def area(self): return 0",),
    ),
    Case(
        "multiple inheritance",
        """
        class C(A, B):
            def who(self): return super().who() + "C"
        said = C().who()
        order = [c.__name__ for c in C.__mro__]
        """,
        setup=(
            """
        class Base:
            def who(self): return "base"
        class A(Base):
            def who(self): return super().who() + "A"
        class B(Base):
            def who(self): return super().who() + "B"
        """,
        ),
    ),
    Case(
        "a dataclass of another cell",
        "moved = replace(item, n=2)\nsame = item == Item('a', 1)",
        setup=(
            "from dataclasses import dataclass, replace, field",
            """
        @dataclass
        class Item:
            name: str
            n: int = 0
            tags: list = field(default_factory=list)
        """,
            "item = Item('a', 1)",
        ),
        fast=True,
    ),
    Case(
        "a dataclass of the cell",
        """
        from dataclasses import dataclass
        @dataclass(frozen=True, order=True)
        class Version:
            major: int
            minor: int = 0
        versions = sorted([Version(2), Version(1, 5)])
        """,
        then=("print(versions, versions[0] == Version(1, 5), hash(versions[0]) == hash(Version(1, 5)))",),
    ),
    Case(
        "a dataclass of the cell can be subclassed here",
        """
        from dataclasses import dataclass
        @dataclass
        class Base:
            a: int
        """,
        then=(
            """
        @dataclass
        class Derived(Base):
            b: int
        print(Derived(1, 2))
        """,
        ),
    ),
    Case(
        "a dataclass with slots",
        """
        from dataclasses import dataclass
        @dataclass(slots=True)
        class Cell:
            row: int
        cell = Cell(1)
        """,
        then=("cell.row = 5\nprint(cell, type(cell) is Cell)",),
    ),
    Case(
        "an enumeration of another cell",
        "chosen = Color.RED\nother = Color(2)\nis_red = chosen is Color.RED",
        setup=(
            """
        from enum import Enum, auto
        class Color(Enum):
            RED = 1
            GREEN = 2
        """,
        ),
        then=("print(chosen is Color.RED, other is Color.GREEN)",),
    ),
    Case(
        "an enumeration of the cell",
        """
        from enum import Enum, Flag, auto
        class Mood(Enum):
            CALM = auto()
            LOUD = auto()
        class Access(Flag):
            READ = 1
            WRITE = 2
        mood, access = Mood.LOUD, Access.READ | Access.WRITE
        """,
        then=("print(mood is Mood.LOUD, Access.READ in access, list(Mood))",),
    ),
    Case(
        "members of an enumeration as keys",
        "counts = {Color.RED: 1}\nred = lookup[Color.RED]",
        setup=(
            "from enum import Enum\nclass Color(Enum):\n    RED = 'r'",
            "lookup = {Color.RED: 'found'}",
        ),
        then=("print(counts[Color.RED])",),
    ),
    Case(
        "a named tuple of another cell",
        "pair = Pair(1, b='x')\nfirst, second = pair",
        setup=(
            """
        from typing import NamedTuple
        class Pair(NamedTuple):
            a: int
            b: str = ''
        """,
        ),
    ),
    Case(
        "a named tuple of the cell",
        """
        from collections import namedtuple
        Row = namedtuple("Row", "id name")
        rows = [Row(1, "a"), Row(2, "b")]
        """,
        then=("print(rows[0]._replace(id=5), type(rows[0]) is Row)",),
    ),
    Case(
        "an abstract class",
        """
        class Real(Abstract):
            def run(self): return "ran"
        result = Real().run()
        try:
            Abstract()
        except TypeError as error:
            message = str(error)
        """,
        setup=(
            """
        from abc import ABC, abstractmethod
        class Abstract(ABC):
            @abstractmethod
            def run(self): ...
        """,
        ),
    ),
    Case(
        "a generic class",
        """
        box = Box[int](5)
        empty: Box[str] = Box("")
        kind = Box[int].__origin__ is Box
        """,
        setup=(
            """
        from typing import Generic, TypeVar
        T = TypeVar("T")
        class Box(Generic[T]):
            def __init__(self, item: T) -> None:
                self.item = item
        """,
        ),
    ),
    Case(
        "a protocol",
        "fits = isinstance(Duck(), Quacks), isinstance(3, Quacks)",
        setup=(
            """
        from typing import Protocol, runtime_checkable
        @runtime_checkable
        class Quacks(Protocol):
            def quack(self) -> str: ...
        class Duck:
            def quack(self): return "quack"
        """,
        ),
    ),
    Case(
        "properties, class methods and static methods",
        """
        t = Temperature.of_fahrenheit(212)
        t.celsius = t.celsius + 1
        values = t.celsius, t.kelvin, Temperature.is_cold(-3)
        """,
        setup=(
            """
        class Temperature:
            def __init__(self, celsius): self._celsius = celsius
            @property
            def celsius(self): return self._celsius
            @celsius.setter
            def celsius(self, value): self._celsius = value
            @property
            def kelvin(self): return self._celsius + 273
            @classmethod
            def of_fahrenheit(cls, f): return cls((f - 32) / 1.8)
            @staticmethod
            def is_cold(c): return c < 0
        """,
        ),
    ),
    Case(
        "slots",
        "p = Slotted(1, 2)\nq = given\np.a += 1",
        setup=(
            "class Slotted:\n    __slots__ = ('a', 'b')\n    def __init__(self, a, b): self.a, self.b = a, b",
            "given = Slotted(3, 4)",
        ),
    ),
    Case(
        "slots of the cell's own class",
        """
        class Small:
            __slots__ = ("n",)
            def __init__(self, n): self.n = n
        small = Small(1)
        """,
        then=(
            """
        try:
            small.other = 1
        except AttributeError as e:
            print('no', e)
        print(type(small) is Small)
        """,
        ),
    ),
    Case(
        "a metaclass",
        "class Third(metaclass=Meta): pass\nnames = list(Meta.made)",
        setup=(
            """
        class Meta(type):
            made = []
            def __new__(mcls, name, bases, body):
                cls = super().__new__(mcls, name, bases, body)
                cls.tag = name.lower()
                return cls
        class First(metaclass=Meta): pass
        """,
        ),
    ),
    Case(
        "subclasses registered by their base",
        "class Csv(Reader): pass\nkinds = sorted(Reader.known)",
        setup=(
            """
        class Reader:
            known = {}
            def __init_subclass__(cls, **kwargs):
                super().__init_subclass__(**kwargs)
                Reader.known = {**Reader.known, cls.__name__: cls}
        class Json(Reader): pass
        """,
        ),
    ),
    Case(
        "operators",
        """
        v = Vec(1, 2) + Vec(3, 4)
        w = -v
        equal, size, items = v == Vec(4, 6), len(v), list(v)
        """,
        setup=(
            """
        class Vec:
            def __init__(self, *xs): self.xs = xs
            def __add__(self, other): return Vec(*(a + b for a, b in zip(self.xs, other.xs)))
            def __neg__(self): return Vec(*(-x for x in self.xs))
            def __eq__(self, other): return self.xs == other.xs
            def __len__(self): return len(self.xs)
            def __iter__(self): return iter(self.xs)
        """,
        ),
    ),
    Case(
        "a callable instance",
        "y = model(3)\nmodels = [Linear(i) for i in range(2)]\nys = [m(10) for m in models]",
        setup=(
            """
        class Linear:
            def __init__(self, w): self.w = w
            def __call__(self, x): return self.w * x
        """,
            "model = Linear(2)",
        ),
    ),
    Case(
        "a bound method",
        "later = thing.double\nnow = later(4)",
        setup=(
            """
        class Thing:
            k = 2
            def double(self, x): return x * self.k
        thing = Thing()
        """,
        ),
    ),
    Case(
        "an instance with its own pickling",
        "copy = Counter(odd.n + 1)",
        setup=(
            """
        class Counter:
            def __init__(self, n):
                self.n, self.twice = n, 2 * n
            def __getstate__(self): return {"n": self.n}
            def __setstate__(self, state): self.__init__(state["n"])
        odd = Counter(1)
        """,
        ),
        then=("print(copy.n, odd.n)",),
    ),
    Case(
        "a subclass of a builtin",
        """
        d = Default(a=1)
        value = d['missing']
        t = Tagged('x')
        t.tag = 1
        """,
        setup=(
            "class Default(dict):\n    def __missing__(self, key): return key.upper()\nclass Tagged(str): pass",
        ),
    ),
    Case(
        "a class nested in a class",
        "inner = Outer.Inner(3)\nouter = Outer()",
        setup=(
            """
        class Outer:
            class Inner:
                def __init__(self, n): self.n = n
            def __init__(self): self.i = Outer.Inner(1)
        """,
        ),
        then=("print(type(inner) is Outer.Inner, type(outer.i) is Outer.Inner)",),
    ),
    Case(
        "a class made inside a function",
        "made = build()\nkind = type(made).__name__",
        setup=(
            """
        def build():
            class Local:
                n = 1
            return Local()
        """,
        ),
    ),
    Case(
        "a class attribute of the notebook's class, read",
        "total = Config.size + len(Config.names)",
        setup=("class Config:\n    size = 2\n    names = ['a']",),
    ),
    Case(
        "a class that refers to itself and to others",
        """
        tree = Node(1, [Node(2), Node(3, [Leaf()])])
        total = tree.total()
        """,
        setup=(
            """
        class Node:
            def __init__(self, n, children=()):
                self.n, self.children = n, list(children)
            def total(self): return self.n + sum(c.total() for c in self.children)
        class Leaf(Node):
            def __init__(self): super().__init__(100)
        """,
        ),
    ),
    Case(
        "a class decorated in another cell",
        """
        @registered
        class Plugin:
            pass
        name = Plugin.registered_name
        """,
        setup=("def registered(cls):\n    cls.registered_name = cls.__name__.lower()\n    return cls",),
    ),
    Case(
        "total ordering and hashing",
        "ranked = sorted([Rank(3), Rank(1)])\nunique = len({Rank(1), Rank(1)})",
        setup=(
            """
        from functools import total_ordering
        @total_ordering
        class Rank:
            def __init__(self, n): self.n = n
            def __eq__(self, o): return self.n == o.n
            def __lt__(self, o): return self.n < o.n
            def __hash__(self): return hash(self.n)
        """,
        ),
    ),
    Case(
        "an instance of a library's class",
        "later = now + timedelta(days=1)\nratio = Fraction(1, 3) * 2\nprice = Decimal('1.10') * 3",
        setup=(
            """
        from datetime import datetime, timedelta
        from fractions import Fraction
        from decimal import Decimal
        """,
            "now = datetime(2026, 1, 31)",
        ),
    ),
    Case(
        "a class redefined after its instance was made",
        "old_is_new = isinstance(thing, Thing)\nnew = Thing()",
        setup=(
            "class Thing: version = 1",
            "thing = Thing()",
            "class Thing: version = 2",
        ),
        then=("print(type(new) is Thing, type(thing) is Thing, thing.version)",),
    ),
    Case(
        "a descriptor",
        """
        r = Record()
        r.age = 5
        try:
            r.age = -1
        except ValueError as e:
            why = str(e)
        """,
        setup=(
            """
        class Positive:
            def __set_name__(self, owner, name): self.name = "_" + name
            def __get__(self, obj, cls=None): return getattr(obj, self.name, 0)
            def __set__(self, obj, value):
                if value < 0: raise ValueError("negative")
                setattr(obj, self.name, value)
        class Record:
            age = Positive()
        """,
        ),
    ),
    Case(
        "a cached property",
        "c = Circle(2)\narea = c.area",
        setup=(
            """
        from functools import cached_property
        class Circle:
            def __init__(self, r): self.r = r
            @cached_property
            def area(self): return 3 * self.r ** 2
        """,
        ),
    ),
    Case(
        "a method added to the class afterwards",
        "result = Point(2).double()",
        setup=(
            _POINT,
            "def double(self): return self.x * 2\nPoint.double = double",
        ),
    ),
    Case(
        "a name that a class body deletes",
        """
        class A:
            n = 5
            del n
            m = n
        out = A.m
        """,
        setup=("n = 1",),
    ),
    Case(
        "a name that a class body binds on a path",
        """
        class A:
            if flag:
                n = 5
            m = n
        out = A.m
        """,
        setup=(
            """
            n = 1
            flag = False
            """,
        ),
    ),
    Case(
        "a name that a class body binds in a loop and in a try",
        """
        class A:
            for q in []:
                n = 5
            try:
                k = int("x")
            except ValueError:
                pass
            m = n, k
        out = A.m
        """,
        setup=(
            """
            n = 1
            k = 2
            """,
        ),
    ),
    Case(
        "parts of a model of pydantic that is changed",
        """
        m.x = 9
        m.tags.append("z")
        """,
        setup=(
            """
            from pydantic import BaseModel
            class M(BaseModel):
                x: int
                tags: list[str] = []
            m = M(x=1)
            al = m
            t = m.tags
            """,
        ),
        then=("print(al, t, m.tags is t)",),
    ),
    Case(
        "parts of an attrs object that is changed",
        """
        a.x = 5
        a.l.append(1)
        b = A(2)
        """,
        setup=(
            """
            import attrs
            @attrs.define
            class A:
                x: int
                l: list = attrs.field(factory=list)
            a = A(1)
            al = a
            ll = a.l
            """,
        ),
        then=("print(al, b, al.l is ll)",),
    ),
    Case(
        "members of an enumeration with their own attributes",
        """
        p = Planet.EARTH
        m = p.grav
        k = [x.mass for x in Planet]
        """,
        setup=(
            """
            from enum import Enum
            class Planet(Enum):
                EARTH = (5.0, 2.0)
                MARS = (6.0, 3.0)
                def __init__(self, mass, r):
                    self.mass = mass
                    self.r = r
                @property
                def grav(self):
                    return self.mass / self.r
            """,
        ),
        then=("print(p is Planet.EARTH, p.grav, Planet.MARS.mass)",),
        fast=True,
    ),
    Case(
        "members of the cell's enumeration with their own attributes",
        """
        from enum import Enum
        class Planet(Enum):
            EARTH = (5.0, 2.0)
            MARS = (6.0, 3.0)
            def __init__(self, mass, r):
                self.mass = mass
                self.r = r
        p = Planet.MARS
        """,
        then=("print(p is Planet.MARS, p.mass, Planet.EARTH.r, Planet((5.0, 2.0)).mass)",),
    ),
    Case(
        "members of an enumeration that __new__ makes",
        """
        p = Planet.EARTH
        m = p.mass
        mine = Planet.EARTH is given
        """,
        setup=(
            """
            from enum import Enum
            class Planet(Enum):
                EARTH = (1, 2)
                MARS = (3, 4)
                def __new__(cls, m, r):
                    o = object.__new__(cls)
                    o._value_ = m
                    o.mass = m
                    o.r = r
                    return o
            given = Planet.EARTH
            """,
        ),
        then=("print(p is Planet.EARTH, p.r)",),
    ),
    Case(
        "members of an enumeration of functions",
        """
        best = Op.ADD
        r = [each.value(2, 3) for each in Op]
        table = {Op.MUL: 1}
        """,
        setup=(
            """
            from enum import Enum
            from functools import partial
            class Op(Enum):
                ADD = partial(lambda a, b: a + b)
                MUL = partial(lambda a, b: a * b)
            DEFAULTS = [Op.ADD]
            """,
        ),
        then=("print(best is Op.ADD, table[Op.MUL])",),
    ),
)
