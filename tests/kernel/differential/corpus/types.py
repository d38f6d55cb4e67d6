"""Names for types: aliases of each kind, and what is made with them."""

from __future__ import annotations

import sys

from corpus.case import Case

# Text, since Python before 3.12 cannot read it.
_SINCE_3_12 = (
    Case(
        "a type statement",
        "type Vector = list[float]\nvalue: Vector = [1.0]",
        then=("print(Vector.__value__, Vector)",),
    ),
    Case(
        "a type statement with a parameter",
        "type Pair[T] = tuple[T, T]\nones = Pair[int]",
        then=("print(Pair.__type_params__, ones)",),
    ),
    Case(
        "a type statement of another cell",
        "def total(values: Vector) -> float: return sum(values)\nresult = total([1.0, 2.0])",
        setup=("type Vector = list[float]",),
        then=("print(total.__annotations__['values'].__value__)",),
    ),
    Case(
        "a function and a class with type parameters",
        """
        def first[T](values: list[T]) -> T: return values[0]
        class Box[T]:
            def __init__(self, item: T): self.item = item
        one = first([1, 2])
        box = Box[int](one)
        """,
    ),
)

CASES = (
    Case(
        "an alias with its annotation",
        "from typing import TypeAlias\nVector: TypeAlias = 'list[float]'\nRow: TypeAlias = dict[str, int]",
        fast=True,
    ),
    Case(
        "an alias of another cell",
        "def total(values: Vector) -> float: return sum(values)\nresult = total([1.0])",
        setup=("from typing import TypeAlias\nVector: TypeAlias = list[float]",),
    ),
    Case("a new type", "from typing import NewType\nUserId = NewType('UserId', int)\nuser = UserId(5)"),
    Case(
        "unions, literals and callables",
        """
        from typing import Literal, Optional, Union
        from collections.abc import Callable
        Mode = Literal['r', 'w']
        Maybe = Optional[int] | str
        Either = Union[int, list[str]]
        Handler = Callable[[int], str]
        """,
    ),
    Case(
        "a type variable and a generic class",
        """
        from typing import Generic, TypeVar
        T = TypeVar('T', bound=int)
        class Box(Generic[T]):
            def __init__(self, item: T): self.item = item
        box = Box[int](3)
        item = box.item
        """,
    ),
    Case(
        "a dictionary and a tuple with types",
        """
        from typing import NamedTuple, TypedDict
        class Movie(TypedDict):
            name: str
        class Point(NamedTuple):
            x: int
            y: int = 0
        movie: Movie = {'name': 'M'}
        point = Point(1)
        """,
    ),
    Case(
        "a protocol checked at run time",
        """
        from typing import Protocol, runtime_checkable
        @runtime_checkable
        class Named(Protocol):
            name: str
        class Cat:
            name = 'cat'
        fits = isinstance(Cat(), Named)
        """,
    ),
    *(_SINCE_3_12 if sys.version_info >= (3, 12) else ()),
)
