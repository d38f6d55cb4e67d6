"""Imports of the cell and of other cells."""

from __future__ import annotations

from corpus.case import Case

CASES = (
    Case(
        "imports bound by the cell",
        """
        import math
        import statistics as stats
        from collections import Counter, deque as Queue
        root = math.sqrt(16)
        """,
        fast=True,
        then=("print(math.pi, stats.mean([1, 3]), Counter('aab'), Queue([1]))",),
    ),
    Case(
        "aliases of other cells",
        "area = m.pi * sq(2)\nrows = OD(a=1)",
        setup=("import math as m\nfrom math import sqrt as sq\nfrom collections import OrderedDict as OD",),
    ),
    Case(
        "a dotted import",
        """
        import os.path
        import xml.etree.ElementTree
        joined = os.path.join('a', 'b')
        tag = xml.etree.ElementTree.fromstring('<t/>').tag
        """,
    ),
    Case(
        "a dotted import with a name",
        "import os.path as p\nimport xml.etree.ElementTree as ET\njoined = p.join('a', 'b')",
        then=("print(ET.fromstring('<t/>').tag)",),
    ),
    Case(
        "a submodule through its package, imported elsewhere",
        "kind = sklearn.svm.SVC().kernel",
        setup=("import sklearn\nimport sklearn.svm",),
    ),
    Case(
        "a submodule that a helper uses",
        "kind = build().kernel",
        setup=("import sklearn, sklearn.svm\ndef build():\n    return sklearn.svm.SVC()",),
    ),
    Case(
        "a submodule through a third name",
        "name = concurrent.futures.ThreadPoolExecutor.__name__",
        setup=("import concurrent\nfrom concurrent import futures",),
    ),
    Case("a star import of the cell", "from math import *\nvalue = floor(pi)", then=("print(ceil(1.5))",)),
    Case("a star import of another cell", "value = floor(pi * 10)", setup=("from math import *",)),
    Case(
        "an import inside a function",
        """
        def parse(text):
            import json
            return json.loads(text)
        value = parse('[1]')
        """,
    ),
    Case(
        "an import inside a helper",
        "value = dump([1])",
        setup=("def dump(x):\n    import json\n    return json.dumps(x)",),
    ),
    Case(
        "an import on one path",
        """
        if flag:
            import json as codec
        else:
            import pickle as codec
        text = codec.dumps([1])
        """,
        setup=("flag = True",),
    ),
    Case(
        "an import in a try",
        """
        try:
            import ujson_not_there as codec
        except ImportError:
            import json as codec
        text = codec.dumps([1])
        """,
    ),
    Case(
        "an import by name",
        "import importlib\ncodec = importlib.import_module('json')\ntext = codec.dumps([1])",
    ),
    Case("an imported name bound again", "from math import pi\npi = 3", setup=()),
    Case("a name rebound by an import", "import json as data", setup=("data = [1]",)),
    Case("an imported name deleted", "import json\ntext = json.dumps(1)\ndel json"),
    Case(
        "a function of a library under another name",
        "value = root(9)\nagain = root",
        setup=("from math import sqrt as root",),
    ),
    Case(
        "a class of a library",
        "when = Date(2026, 1, 2)\nkind = type(when) is Date",
        setup=("from datetime import date as Date",),
    ),
    Case("an import of another cell that is only mentioned", "np.pi", setup=("import numpy as np",)),
    Case(
        "a module kept in a container",
        "value = tools['m'].sqrt(4)",
        setup=("import math\ntools = {'m': math}",),
    ),
    Case(
        "a future of another cell",
        "def f(x: Undefined): return x\nvalue = f(1)",
        setup=("from __future__ import annotations\nx = 1",),
    ),
    Case("several imports on one line", "import json, math as m, os.path\nvalue = json.dumps(m.floor(1.5))"),
)
