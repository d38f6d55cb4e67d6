"""Modules beside the notebook."""

from __future__ import annotations

from corpus.case import Case


def file(name: str, text: str) -> str:
    """A set-up cell that writes a file beside the notebook."""
    return (
        "import pathlib\n"
        f"path = pathlib.Path({name!r})\n"
        "path.parent.mkdir(exist_ok=True)\n"
        f"path.write_text({text!r})\n"
        "del pathlib, path"
    )


CASES = (
    Case(
        "a module imported by another cell",
        "result = features_one.scale(4)",
        fast=True,
        setup=(
            file("features_one.py", "FACTOR = 3\ndef scale(x):\n    return x * FACTOR\n"),
            "import features_one",
        ),
    ),
    Case(
        "a module imported by the cell",
        "import features_two as f2\nfrom features_two import scale\nresult = f2.scale(4)",
        setup=(file("features_two.py", "def scale(x):\n    return x * 2\n"),),
        then=("print(scale(1), f2.__name__)",),
    ),
    Case(
        "a class of a module keeps its identity",
        "rows = [Row(1), given]",
        then=("print(type(rows[0]) is Row)",),
        setup=(
            file("models_one.py", "class Row:\n    def __init__(self, n):\n        self.n = n\n"),
            "from models_one import Row\ngiven = Row(0)",
        ),
    ),
    Case(
        "a package with submodules",
        "from package_one.deep import twice\nresult = twice(4)\nversion = package_one.VERSION",
        setup=(
            file("package_one/__init__.py", "VERSION = 7\n"),
            file(
                "package_one/deep.py",
                "from package_one import VERSION\nfrom . import other\n"
                "def twice(x):\n    return x * other.TWO + VERSION\n",
            ),
            file("package_one/other.py", "TWO = 2\n"),
            "import package_one",
        ),
    ),
    Case(
        "a module that imports another one",
        "result = upper_mod.run()",
        setup=(
            file("lower_mod.py", "def value():\n    return 5\n"),
            file("upper_mod.py", "import lower_mod\ndef run():\n    return lower_mod.value() + 1\n"),
            "import upper_mod",
        ),
    ),
    Case(
        "a helper that uses a module",
        "result = helper(2)",
        setup=(
            file("features_three.py", "def scale(x):\n    return x * 5\n"),
            "import features_three as ft",
            "def helper(x): return ft.scale(x) + 1",
        ),
    ),
    Case(
        "a subclass of a module's class",
        """
        class Own(Base):
            def who(self): return 'own ' + super().who()
        said = Own().who()
        own = Own()
        """,
        setup=(
            file("models_two.py", "class Base:\n    def who(self):\n        return 'base'\n"),
            "from models_two import Base",
        ),
    ),
    Case(
        "an error inside a module",
        "features_four.fail()",
        setup=(
            file("features_four.py", "def fail():\n    raise LookupError('in the module')\n"),
            "import features_four",
        ),
    ),
)
