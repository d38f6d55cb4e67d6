"""Instances of classes that do more than hold attributes: what pickle would run of them is not run."""

from __future__ import annotations

from corpus.case import Case

CASES = (
    Case(
        "a class that answers for what it lacks",
        """
        r = a.anything
        a.d["k"] = 1
        """,
        setup=(
            """
            class A:
                def __init__(self):
                    self.d = {"real": 1}
                def __getattr__(self, n):
                    return self.d[n] if n in self.d else "dyn " + n
            a = A()
            al = a
            """,
        ),
        then=("print(al.k)",),
    ),
    Case(
        "a wrapper around another object",
        """
        r = w.upper()
        w2 = W([1, 2])
        w2.append(3)
        """,
        setup=(
            """
            class W:
                def __init__(self, inner):
                    self.inner = inner
                def __getattr__(self, n):
                    return getattr(self.inner, n)
            w = W("ab")
            """,
        ),
        then=("print(w2.inner, w2.index(3), type(w2) is W)",),
        fast=True,
    ),
    Case(
        "a dictionary of attributes",
        """
        cfg.lr = 0.1
        cfg.model.dim = 5
        x = cfg.lr
        y = AD(z=AD(k=1))
        """,
        setup=(
            """
            class AD(dict):
                __getattr__ = dict.__getitem__
                __setattr__ = dict.__setitem__
            cfg = AD(model=AD(dim=3))
            al = cfg
            """,
        ),
        then=("print(y.z.k, al.lr)",),
    ),
    Case(
        "a dictionary of attributes that misses none",
        """
        cfg.lr = 0.1
        x = cfg.nothing
        """,
        setup=(
            """
            class AD(dict):
                __getattr__ = dict.get
                __setattr__ = dict.__setitem__
                __delattr__ = dict.__delitem__
            cfg = AD(a=1)
            al = cfg
            """,
        ),
        then=("print(al.lr)",),
    ),
    Case(
        "a dictionary that is its own attributes",
        """
        cfg.lr = 0.1
        cfg["z"] = 5
        new = AD(q=1)
        """,
        setup=(
            """
            class AD(dict):
                def __init__(self, *a, **k):
                    super().__init__(*a, **k)
                    self.__dict__ = self
            cfg = AD(x=1)
            al = cfg
            """,
        ),
        then=(
            """
            print(cfg.lr, cfg["lr"], cfg.__dict__ is cfg, al.z)
            new.w = 1
            print(new["w"], new.__dict__ is new)
            """,
        ),
        fast=True,
    ),
    Case(
        "instances that are one by their dictionary",
        """
        b = Borg()
        b.x = 5
        r = first.x
        """,
        setup=(
            """
            class Borg:
                _s = {}
                def __init__(self):
                    self.__dict__ = self._s
            first = Borg()
            first.x = 1
            """,
        ),
        then=(
            """
            print(first.x, Borg().x, Borg._s is b.__dict__)
            b.x = 9
            print(first.x)
            """,
        ),
    ),
    Case(
        "arguments and their dictionary",
        """
        cfg["lr"] = 5
        args.n = 2
        r = args.lr
        """,
        setup=(
            """
            import argparse
            p = argparse.ArgumentParser()
            p.add_argument("--lr", default=1)
            args = p.parse_args([])
            cfg = vars(args)
            del p
            """,
        ),
        then=(
            """
            print(args, cfg)
            cfg["k"] = 1
            print(args.k)
            """,
        ),
    ),
    Case(
        "a class whose instances want arguments",
        """
        q = P(2)
        r = p.x + q.x
        p.x = 7
        """,
        setup=(
            """
            class P:
                def __new__(cls, x):
                    o = super().__new__(cls)
                    o.made = x
                    return o
                def __init__(self, x):
                    self.x = x
            p = P(1)
            al = p
            """,
        ),
        then=("print(al.x, q.made)",),
    ),
    Case(
        "a number with a unit",
        """
        t = Q(3.5, "s")
        r = q * 2
        q.unit = "km"
        """,
        setup=(
            """
            class Q(float):
                def __new__(cls, v, unit):
                    o = super().__new__(cls, v)
                    o.unit = unit
                    return o
            q = Q(2.0, "m")
            al = q
            """,
        ),
        then=("print(al.unit, t.unit, t, type(t) is Q)",),
        fast=True,
    ),
    Case(
        "a tuple made of arguments",
        """
        v = V(1, 2)
        r = u.x + v.x
        """,
        setup=(
            """
            class V(tuple):
                def __new__(cls, x, y):
                    return super().__new__(cls, (x, y))
                @property
                def x(self):
                    return self[0]
            u = V(3, 4)
            """,
        ),
        then=("print(v, type(v) is V, u)",),
    ),
    Case(
        "a text with an attribute",
        """
        s = S("a", 2)
        r = t.k
        """,
        setup=(
            """
            class S(str):
                def __new__(cls, v, k):
                    o = str.__new__(cls, v)
                    o.k = k
                    return o
            t = S("q", 1)
            """,
        ),
        then=("print(s.k, s.upper())",),
    ),
    Case(
        "a set and a number made of arguments",
        """
        a = F("x")
        b = I("7")
        r = len(f)
        """,
        setup=(
            """
            class F(frozenset):
                def __new__(cls, *items):
                    return super().__new__(cls, items)
            class I(int):
                def __new__(cls, t, base=10):
                    return super().__new__(cls, t, base)
            f = F(1, 2)
            i = I("5")
            """,
        ),
        then=("print(a, b, type(a) is F, type(b) is I)",),
    ),
    Case(
        "a dictionary that notes what is set",
        """
        d["b"] = 2
        e = L()
        e["x"] = 1
        """,
        setup=(
            """
            class L(dict):
                def __init__(self, **k):
                    self.log = []
                    super().__init__(**k)
                def __setitem__(self, k, v):
                    self.log.append(k)
                    super().__setitem__(k, v)
            d = L()
            d["a"] = 1
            al = d
            """,
        ),
        then=("print(al, al.log, e, e.log)",),
    ),
    Case(
        "a list that checks what is appended",
        """
        l.append(3)
        m = T(int)
        m.append(1)
        """,
        setup=(
            """
            class T(list):
                def __init__(self, kind):
                    super().__init__()
                    self.kind = kind
                def append(self, x):
                    assert isinstance(x, self.kind)
                    super().append(x)
                def extend(self, xs):
                    for x in xs:
                        self.append(x)
            l = T(int)
            l.append(1)
            al = l
            """,
        ),
        then=("print(al, m, m.kind)",),
    ),
    Case(
        "a defaultdict with an __init__ of its own",
        """
        d["a"].append(1)
        e = D()
        e["z"].append(2)
        e.note = "n"
        """,
        setup=(
            """
            from collections import defaultdict
            class D(defaultdict):
                def __init__(self):
                    super().__init__(list)
                    self.note = "x"
            d = D()
            al = d
            """,
        ),
        then=('print(al, al.note, e, e.note, e["new"])',),
    ),
    Case(
        "a counter with an attribute",
        """
        c.update("b")
        c.tag = "t2"
        k = C("zz")
        """,
        setup=(
            """
            from collections import Counter
            class C(Counter):
                tag0 = 1
                def __init__(self, *a, **kw):
                    super().__init__(*a, **kw)
                    self.tag = "t"
            c = C("ab")
            al = c
            """,
        ),
        then=("print(al, al.tag, k, k.tag)",),
    ),
    Case(
        "a cache that drops the oldest",
        """
        c.put("b", 2)
        d = LRU(1)
        d.put("x", 1)
        d.put("y", 1)
        """,
        setup=(
            """
            from collections import OrderedDict
            class LRU(OrderedDict):
                def __init__(self, cap):
                    super().__init__()
                    self.cap = cap
                def put(self, k, v):
                    self[k] = v
                    self.move_to_end(k)
                    while len(self) > self.cap:
                        self.popitem(last=False)
            c = LRU(2)
            c.put("a", 1)
            al = c
            """,
        ),
        then=(
            """
            al.put("z", 1)
            print(al, al.cap, d, d.cap)
            """,
        ),
    ),
    Case(
        "a set and a deque with an __init__ of their own",
        """
        s.add(2)
        q.append(3)
        t = S("other")
        t.add(1)
        w = Q(1)
        w.append(5)
        """,
        setup=(
            """
            from collections import deque
            class S(set):
                def __init__(self, name):
                    super().__init__()
                    self.name = name
            class Q(deque):
                def __init__(self, n):
                    super().__init__(maxlen=n)
                    self.n = n
            s = S("n")
            s.add(1)
            q = Q(2)
            q.append(1)
            al = [s, q]
            """,
        ),
        then=("print(al, s.name, q.n, q.maxlen, t, t.name, w, w.maxlen)",),
    ),
    Case(
        "attributes made when they are asked for",
        """
        t.a.b = 5
        n = t.a.b
        """,
        setup=(
            """
            class Tree:
                def __getattr__(self, n):
                    v = Tree()
                    setattr(self, n, v)
                    return v
                def __call__(self, *a):
                    return "called"
            t = Tree()
            al = t
            """,
        ),
        then=("print(al.a.b)",),
    ),
    Case(
        "an attribute that is not told as it is",
        """
        r = a.x
        b = G(5)
        """,
        setup=(
            """
            class G:
                def __init__(self, x):
                    self.x = x
                def __getattribute__(self, n):
                    v = object.__getattribute__(self, n)
                    return v * 2 if n == "x" else v
            a = G(1)
            """,
        ),
        then=("print(b.x, a.x)",),
    ),
    Case(
        "instances that refuse to be changed",
        """
        b = Im(2)
        r = a.x
        """,
        setup=(
            """
            class Im:
                def __init__(self, x):
                    object.__setattr__(self, "x", x)
                def __setattr__(self, n, v):
                    raise TypeError("frozen")
            a = Im(1)
            """,
        ),
        then=("print(b.x)",),
    ),
    Case(
        "slots of a class that answers for what it lacks",
        """
        p.x = 3
        z = P(9)
        """,
        setup=(
            """
            class P:
                __slots__ = ("x", "seen")
                def __init__(self, x):
                    object.__setattr__(self, "seen", [])
                    self.x = x
                def __setattr__(self, n, v):
                    self.seen.append(n)
                    object.__setattr__(self, n, v)
                def __getattr__(self, n):
                    if n.startswith("__"):
                        raise AttributeError(n)
                    return self.seen
            p = P(1)
            al = p
            """,
        ),
        then=("print(al.x, al.seen, z.x, z.seen)",),
    ),
)
