"""What the cell prints, on both streams."""

from __future__ import annotations

from corpus.case import Case

CASES = (
    Case("lines on standard output", "for n in range(3):\n    print('line', n)", fast=True),
    Case(
        "both streams",
        """
        import sys
        print('out')
        print('err', file=sys.stderr)
        sys.stdout.write('more\\n')
        """,
    ),
    Case("a last line without an end", "print('no end', end='')"),
    Case("pieces of a line", "for n in range(5):\n    print(n, end=' ', flush=True)\nprint()"),
    Case(
        "a value's own text",
        "print(Thing(), [Thing()], f'{Thing()!r:>10}')",
        setup=("class Thing:\n    def __repr__(self): return 'T'\n    def __str__(self): return 'thing'",),
    ),
    Case(
        "formatted strings",
        "print(f'{x:>8.2f}|{name!r}|{x = }|{{literal}}|{f\"{name}\":^7}')",
        setup=("x, name = 3.14159, 'pi'",),
    ),
    Case("other alphabets and combined characters", "print('žluťoučký kůň 🦄 漢字 עברית e\\u0301 👨‍👩‍👧')"),
    Case("colours", "print('\\x1b[31mred\\x1b[0m plain')"),
    Case("many lines", "for n in range(500):\n    print(n, 'x' * 50)"),
    Case("a very long line", "print('y' * 50000)"),
    Case("empty lines and tabs", "print()\nprint('\\t tab')\nprint('\\n\\n')"),
    Case("printing in a helper", "say('hello')", setup=("def say(what):\n    print('said', what)",)),
    Case(
        "printing in a thread",
        """
        import threading
        thread = threading.Thread(target=print, args=('from a thread',))
        thread.start()
        thread.join()
        del thread
        """,
    ),
    Case(
        "pretty printing", "from pprint import pprint\npprint({'a': list(range(30)), 'b': {'c': 'd' * 40}})"
    ),
    Case(
        "redirected output",
        """
        import io, contextlib
        with contextlib.redirect_stdout(io.StringIO()) as caught:
            print('caught')
        text = caught.getvalue()
        del caught
        """,
    ),
    Case(
        "logging",
        "import logging\nlogging.warning('careful')\nlogging.getLogger('own').error('bad')",
        setup=(),
    ),
    Case("a warning", "import warnings\nwarnings.warn('take care')\nafter = True"),
    Case(
        "a warning of a helper's kind",
        "careful()",
        setup=("import warnings\ndef careful():\n    warnings.warn('old', FutureWarning, stacklevel=2)",),
    ),
    Case(
        "the output of a child process",
        """
        import subprocess
        _ = subprocess.run(['echo', 'child'])
        code = _.returncode
        del _
        """,
    ),
    Case(
        "a traceback printed",
        """
        import traceback
        try:
            1 / 0
        except ZeroDivisionError as e:
            print(traceback.format_exception_only(e))
        """,
    ),
    Case(
        "progress without a terminal",
        """
        import sys
        for n in range(3):
            sys.stderr.write(f'\\rstep {n}')
        sys.stderr.write('\\n')
        """,
    ),
)
