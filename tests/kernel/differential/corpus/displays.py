"""The last expression and what is displayed on the way."""

from __future__ import annotations

from corpus.case import Case

_RICH = """
class Rich:
    def _repr_html_(self): return '<b>rich</b>'
    def __repr__(self): return 'Rich()'
"""

_NO_FORMATTERS = """
for formatter in get_ipython().display_formatter.formatters.values():
    for kind, function in [*formatter.type_printers.items()]:
        if getattr(function, '__module__', None) == '__main__':
            formatter.pop(kind)
    formatter.deferred_printers = {
        key: function for key, function in formatter.deferred_printers.items() if function.__module__ != '__main__'
    }
"""

CASES = (
    Case("a number", "x = 41\nx + 1"),
    Case("nothing for None", "None"),
    Case("a text with its quotes", "'it\\'s \"quoted\"'"),
    Case("a text of several lines", "'a\\nb'"),
    Case("containers are wrapped as IPython wraps them", "{'key %d' % n: list(range(n)) for n in range(14)}"),
    Case("a set is sorted", "{3, 1, 2}"),
    Case("a function", "f", setup=("def f(x, y=1): pass",)),
    Case("a class", "Thing", setup=("class Thing: pass",)),
    Case("a module", "import math\nmath"),
    Case("an exception that is a value", "ValueError('as a value')"),
    Case("an object with an HTML form", "Rich()", setup=(_RICH,)),
    Case(
        "an object with several forms",
        "Many()",
        setup=(
            """
        class Many:
            def _repr_mimebundle_(self, include=None, exclude=None):
                data = {'text/plain': 'plain', 'application/x-own+json': {'a': [1]}}
                return data, {'application/x-own+json': {'m': 1}}
        """,
        ),
    ),
    Case(
        "an object with a formula and a Markdown form",
        "Formula()",
        setup=(
            """
        class Formula:
            def _repr_latex_(self): return '$x$'
            def _repr_markdown_(self): return '**x**'
            def __repr__(self): return 'x'
        """,
        ),
    ),
    Case(
        "an object with a pretty form",
        "Pretty()",
        setup=(
            """
        class Pretty:
            def _repr_pretty_(self, p, cycle): p.text('pretty!')
            def __repr__(self): return 'ugly'
        """,
        ),
    ),
    Case(
        "an object whose HTML form fails",
        "Broken()",
        setup=(
            "class Broken:\n    def _repr_html_(self): return None\n    def __repr__(self): return 'Broken()'",
        ),
    ),
    Case(
        "an object that displays itself",
        "Own()",
        setup=("class Own:\n    def _ipython_display_(self): print('I show myself')",),
    ),
    Case("a frame", "import pandas as pd\npd.DataFrame({'a': [1, 2], 'b': ['x', 'y']})", fast=True),
    Case("a series", "import pandas as pd\npd.Series([1.5, 2.5], name='s', index=['i', 'j'])"),
    Case("an array", "import numpy as np\nnp.arange(12).reshape(3, 4) / 7"),
    Case("a long array is shortened", "import numpy as np\nnp.arange(5000)"),
    Case(
        "a styled frame",
        "import pandas as pd\npd.DataFrame({'a': [1.0]}).style.format('{:.2f}').set_uuid('u')",
        setup=(),
    ),
    Case("a semicolon silences", "1 + 1;"),
    Case("a semicolon before a comment silences", "1 + 1;  # quiet"),
    Case("a semicolon in a comment does not silence", "1 + 1  # loud;"),
    Case("an assignment is silent", "x = 5"),
    Case("only the last expression is shown", "1\n2\n3"),
    Case("an expression before a statement is not shown", "5\nx = 1"),
    Case("a last expression in a block is not shown", "if True:\n    5"),
    Case(
        "display in the middle",
        """
        display('first')
        print('second')
        display({'a': 1}, [2])
        'last'
        """,
        fast=True,
    ),
    Case(
        "display of HTML, Markdown and others",
        """
        from IPython.display import HTML, Markdown, Latex, JSON, SVG
        display(HTML('<i>h</i>'), Markdown('*m*'), Latex('$l$'))
        """,
    ),
    Case("the last expression is HTML", "from IPython.display import HTML\nHTML('<i>last</i>')"),
    Case(
        "an image",
        "from IPython.display import Image\nImage(data=png)",
        setup=(
            """
        import base64
        png = base64.b64decode(
            'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
        )
        """,
        ),
    ),
    Case(
        "objects of IPython.display that are kept",
        """
        from IPython.display import (HTML, Markdown, Latex, Math, JSON, SVG, Code, IFrame, Image, Javascript, Pretty,
            Audio, YouTubeVideo, FileLink)
        kept = [
            HTML('<i>h</i>'), Markdown('*m*'), Latex('$l$'), Math('x'), JSON({'a': [1]}), SVG('<svg></svg>'),
            IFrame('https://example.org', 100, 50), Javascript('1'), Pretty('p'), YouTubeVideo('abc'),
            Image(data=b'\\x89PNG', width=3, alt='a'), FileLink('no.txt'), HTML(kept_here.data, metadata={'m': 1}),
        ]
        kept_here.metadata['changed'] = True
        """,
        setup=("from IPython.display import HTML\nkept_here = HTML('<b>k</b>')",),
        then=("kept[0]", "display(*kept[1:3], kept_here)"),
    ),
    Case(
        "text as IPython writes it",
        """
        display({'key %d' % n: list(range(n)) for n in range(14)}, {3, 1, 2}, Thing, (n for n in []).__class__)
        display([Pretty(), Pretty()])
        """,
        setup=(
            """
            class Thing: pass
            class Pretty:
                def _repr_pretty_(self, p, cycle): p.text('pretty!')
            """,
        ),
    ),
    Case(
        "formatters registered in the notebook",
        """
        display(Thing(), 2.5)
        print('shown')
        Thing()
        """,
        setup=(
            """
            class Thing: pass
            width = 3
            def as_html(thing):
                return f'<b>{type(thing).__name__}, {width}</b>'
            formatters = get_ipython().display_formatter.formatters
            formatters['text/html'].for_type(Thing, as_html)
            formatters['text/plain'].for_type(Thing, lambda thing, p, cycle: p.text('<thing>'))
            formatters['text/plain'].for_type(float, lambda number, p, cycle: p.text(f'{number:.3f}'))
            del formatters
            """,
        ),
        then=(_NO_FORMATTERS,),
        fast=True,
    ),
    Case(
        "a formatter registered by the cell",
        """
        import fractions
        formatters = get_ipython().display_formatter.formatters
        formatters['text/markdown'].for_type(fractions.Fraction, lambda f: f'**{f.numerator}/{f.denominator}**')
        formatters['text/html'].for_type_by_name('fractions', 'Fraction', to_html)
        del formatters
        display(fractions.Fraction(1, 2))
        """,
        setup=("def to_html(f):\n    return f'<i>{f}</i>'",),
        then=("fractions.Fraction(2, 3)", _NO_FORMATTERS),
    ),
    Case(
        "a handle of a display is IPython's own",
        "handle = display('first', display_id='mine')\nkind = type(handle).__name__, handle.display_id",
    ),
    Case("display of raw bundles", "display({'text/plain': 'raw', 'text/html': '<u>raw</u>'}, raw=True)"),
    Case("display with metadata", "display('m', metadata={'text/plain': {'k': 1}})"),
    Case(
        "a figure shown",
        """
        import matplotlib.pyplot as plt
        plt.figure(figsize=(1, 1))
        plt.plot([1, 2])
        plt.show()
        """,
        setup=("%matplotlib inline",),
    ),
    Case(
        "a figure left open",
        """
        import matplotlib.pyplot as plt
        fig, ax = plt.subplots(figsize=(1, 1))
        ax.plot([1]);
        del fig, ax
        """,
        setup=("%matplotlib inline",),
    ),
    Case("a display in a helper of another cell", "show(3)", setup=("def show(n):\n    display(f'<{n}>')",)),
    Case("a display in a loop", "for n in range(3):\n    display(n)\n    print('n', n)"),
    Case(
        "a named tuple and a dataclass",
        "Item(1)",
        setup=(
            """
        from dataclasses import dataclass
        @dataclass
        class Item:
            n: int
        """,
        ),
    ),
    Case("a generator is shown, and stays there", "(n for n in [])", here="display(n for n in [])"),
    Case("a very long text", "'x' * 20000"),
    Case(
        "what stood there is cleared",
        """
        from IPython.display import clear_output
        print('one')
        display('two')
        clear_output()
        print('three')
        """,
        fast=True,
    ),
    Case(
        "a page cleared in each round of a loop",
        """
        from IPython.display import clear_output
        for n in range(4):
            clear_output(wait=True)
            print('round', n)
            display(f'plot {n}')
        n
        """,
        fast=True,
    ),
    Case(
        "a display that is updated, between what is printed",
        """
        shown = display('first', display_id='loss')
        print('between')
        shown.update('second')
        print('after')
        """,
    ),
    Case("an image of PIL", "from PIL import Image\nImage.new('RGB', (3, 2), (255, 0, 0))"),
    Case("other alphabets", "['žluťoučký', '漢字', '🦄']"),
    Case(
        "every expression is shown where the notebook says so",
        """
        1
        for n in range(2):
            n
        x = 3
        x
        await asyncio.sleep(0, 4)
        """,
        setup=(
            "import asyncio",
            'get_ipython().ast_node_interactivity = "all"',
        ),
        then=('get_ipython().ast_node_interactivity = "last_expr"',),
        fast=True,
        here="""
        display(1)
        display(0)
        display(1)
        x = 3
        n = 1
        display(x)
        await asyncio.sleep(0, 4)
        """,
    ),
    Case(
        "every expression is shown up to an error",
        """
        1
        x = 3
        x / 0
        5
        """,
        setup=('get_ipython().ast_node_interactivity = "all"',),
        then=('get_ipython().ast_node_interactivity = "last_expr"',),
        here="""
        display(1)
        x = 3
        x / 0
        """,
    ),
    Case(
        "a loop is shown where the notebook says so",
        """
        1
        for n in range(2):
            n
        """,
        setup=('get_ipython().ast_node_interactivity = "last"',),
        then=('get_ipython().ast_node_interactivity = "last_expr"',),
        here="""
        display(0)
        display(1)
        n = 1
        """,
    ),
    Case(
        "nothing is shown where the notebook says so",
        """
        1
        x = 2
        x
        """,
        setup=('get_ipython().ast_node_interactivity = "none"',),
        then=('get_ipython().ast_node_interactivity = "last_expr"',),
    ),
    Case(
        "what is assigned last is shown where the notebook says so",
        """
        x = 2
        x += 1
        """,
        setup=('get_ipython().ast_node_interactivity = "last_expr_or_assign"',),
        then=('get_ipython().ast_node_interactivity = "last_expr"',),
    ),
    Case(
        "a semicolon silences every expression",
        "1\nx = 3\nx;",
        setup=('get_ipython().ast_node_interactivity = "all"',),
        then=('get_ipython().ast_node_interactivity = "last_expr"',),
    ),
    Case(
        "figures twice as fine, as an earlier cell says",
        "plt.figure(figsize=(1, 1))\nplt.plot([1]);",
        setup=(
            "%matplotlib inline\nimport matplotlib.pyplot as plt",
            "%config InlineBackend.figure_format = 'retina'",
        ),
        then=("%config InlineBackend.figure_format='png'",),
        fast=True,
    ),
    Case(
        "figures twice as fine, as the cell says",
        "%config InlineBackend.figure_format = 'retina'\nplt.figure(figsize=(1, 1))\nplt.plot([1]);",
        setup=("%matplotlib inline\nimport matplotlib.pyplot as plt",),
        then=(
            "plt.figure(figsize=(1,1))\nplt.plot([2]);",
            "%config InlineBackend.figure_format='png'",
        ),
    ),
    Case(
        "figures with their margins",
        "plt.figure(figsize=(1, 1))\nplt.plot([1]);",
        setup=(
            "%matplotlib inline\nimport matplotlib.pyplot as plt",
            "%config InlineBackend.print_figure_kwargs = {'bbox_inches': None}",
        ),
        then=("%config InlineBackend.print_figure_kwargs = {'bbox_inches': 'tight'}",),
    ),
    Case(
        "figures whose files would be finer",
        "plt.figure(figsize=(1, 1))\nplt.plot([1]);",
        setup=(
            "%matplotlib inline\nimport matplotlib.pyplot as plt",
            "plt.rcParams['savefig.dpi']=300",
        ),
        then=("plt.rcdefaults()",),
    ),
    Case(
        "an empty figure",
        "plt.figure();",
        setup=("%matplotlib inline\nimport matplotlib.pyplot as plt",),
    ),
)
