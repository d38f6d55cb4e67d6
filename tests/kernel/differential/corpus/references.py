"""Weak references, and views of memory: they refer to the same objects after."""

from __future__ import annotations

from corpus.case import Case

CASES = (
    Case(
        "a weak reference",
        "v = ref() is obj",
        setup=(
            """
            import weakref
            class O:
                pass
            obj = O()
            ref = weakref.ref(obj)
            """,
        ),
    ),
    Case(
        "children that know their parent weakly",
        """
        c.parent().name = "new"
        kid = Node("k", root)
        """,
        setup=(
            """
            import weakref
            class Node:
                def __init__(self, name, parent=None):
                    self.name = name
                    self.parent = weakref.ref(parent) if parent is not None else None
                    self.kids = []
                    if parent is not None:
                        parent.kids.append(self)
            root = Node("r")
            c = Node("c", root)
            """,
        ),
        then=("print(root.name, c.parent() is root, kid.parent() is root, len(root.kids))",),
        fast=True,
    ),
    Case(
        "all instances of a class",
        """
        n = len(list(K.live))
        k3 = K()
        """,
        setup=(
            """
            import weakref
            class K:
                live = weakref.WeakSet()
                def __init__(self):
                    K.live.add(self)
            k1 = K()
            k2 = K()
            """,
        ),
        then=(
            """
            print(len(list(K.live)), len(K.live))
            del k1
            import gc
            _g = gc.collect()
            print(len(list(K.live)))
            """,
        ),
    ),
    Case(
        "a cache that keeps nothing alive",
        """
        b = Img.get("b")
        a2 = Img.get("a")
        """,
        setup=(
            """
            import weakref
            class Img:
                cache = weakref.WeakValueDictionary()
                @classmethod
                def get(cls, k):
                    if k not in cls.cache:
                        o = cls()
                        o.k = k
                        cls.cache[k] = o
                        return o
                    return cls.cache[k]
            a = Img.get("a")
            """,
        ),
        then=('print(a2 is a, sorted(Img.cache), Img.get("b") is b)',),
    ),
    Case(
        "a view of memory that is written to",
        """
        mv[0] = 65
        b2 = bytes(mv)
        """,
        setup=(
            """
            ba = bytearray(b"xyz")
            mv = memoryview(ba)
            """,
        ),
        then=("print(ba)",),
    ),
    Case(
        "views of memory",
        """
        mv = memoryview(ba)[1:]
        mb = memoryview(b"abc")
        ma = memoryview(arr)
        """,
        setup=(
            """
            from array import array
            ba = bytearray(b"xyz")
            arr = array("i", [1, 2, 3])
            """,
        ),
        then=(
            """
            mv[0] = 65
            ma[0] = 9
            print(ba, bytes(mb), mb.readonly, arr, ma.format, mv.obj is ba)
            """,
        ),
    ),
)
