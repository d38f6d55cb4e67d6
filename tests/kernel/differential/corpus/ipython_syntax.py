"""Shell lines and magics that make sense in a sandbox, and those that do not."""

from __future__ import annotations

from corpus.case import Case

CASES = (
    Case("a command", "!echo hello\ndone = True", fast=True),
    Case(
        "a command with the notebook's names",
        "!echo {name} $count {count + 1}",
        setup=("name, count = 'x', 3",),
    ),
    Case("the output of a command", "lines = !printf 'a\\nb\\n'\ncount = len(lines)"),
    Case(
        "the output of a command has its own methods",
        """
        lines = !printf 'b x\\na y\\n'
        text = lines.n
        words = lines.fields(1)
        plain = lines.s
        """,
    ),
    Case("a command that fails", "!exit 3"),
    Case(
        "a command in a function",
        """
        def shout(word):
            out = !echo {word}
            return out[0]
        said = shout('hey')
        """,
        then=("print(shout('again'))",),
    ),
    Case("a command in a block", "for n in range(2):\n    !echo number {n}"),
    Case("a command with an unknown name", "out = !echo $HOME_NOT_SET end"),
    Case("commands that write to both streams", "!echo out; echo err >&2"),
    Case("a timed statement", "%time total = sum(range(10))"),
    Case("a timed expression that is shown", "%time sum(range(10))"),
    Case("a timed expression that is kept", "total = %time sum(range(10))"),
    Case(
        "a timed cell",
        """
        %%time
        a = 1
        b = a + 1
        print(b)
        """,
    ),
    Case("a timed cell with a last value", "%%time\na = 1\na + 1"),
    Case(
        "an installed package is installed",
        "%pip install -q packaging\nimport packaging\nname = packaging.__name__",
        here="import packaging\nname = packaging.__name__",
    ),
    Case(
        "an installed package is installed by the shell",
        "!pip install -q packaging >/dev/null 2>&1\ninstalled = True",
        here="installed = True",
    ),
    Case("a script", "%%bash\necho one\necho two"),
    Case(
        "the environment", "%env DIFFERENTIAL_NAME=value\nimport os\nseen = os.environ['DIFFERENTIAL_NAME']"
    ),
    Case("the plotting backend", "%matplotlib inline\nready = True"),
    Case(
        "a percent sign that is an operator",
        """
        a = 7
        b = 4
        c = a \\
          % b
        d = '%d' % c
        """,
    ),
    Case("an automatic call", ",print a b"),
    Case(
        "a magic that needs the notebook",
        "%who\nx = 1",
        refused="line 2: the magic %who does not work in a sandbox",
    ),
    Case("a magic that nobody knows", "x = 1\n%frobnicate", refused="line 3: the magic %frobnicate"),
    Case("a cell magic that needs the notebook", "%%prun\nx = 1", refused="line 2: the magic %%prun"),
    Case(
        "shell lines in a helper of another cell",
        """
        said = shout('hey')
        print(said, type(said).__name__, said.n)
        run('a', 'b')
        """,
        setup=(
            """
            ending = '!'
            def shout(word):
                out = !echo {word}$ending
                return out
            def run(*words):
                !echo {words[0]} {len(words)} $ending
            """,
        ),
        fast=True,
    ),
    Case(
        "magics in a helper of another cell",
        """
        total = measure(3)
        where = place()
        set_up('x')
        import os
        seen = os.environ['DIFFERENTIAL_HELPER']
        """,
        setup=(
            """
            n = 0  # IPython leaves the names of a function that times there
            def twice(n):
                return 2 * n
            def measure(n):
                %timeit -n 2 -r 2 twice(n)
                return %time twice(n)
            def place():
                where = %pwd
                return type(where).__name__
            def set_up(value):
                %env DIFFERENTIAL_HELPER={value}
            """.replace("return %time twice(n)", "total = %time twice(n)\n                return total"),
        ),
    ),
    Case(
        "a magic that makes no sense there in a helper of another cell",
        "try:\n    look()\nexcept Exception as error:\n    said = type(error).__name__, '%who' in str(error)",
        setup=("def look():\n    %who",),
        here="said = 'UsageError', True",
    ),
    Case(
        "the shell, asked for by its name",
        """
        ip = get_ipython()
        lines = ip.getoutput('echo {word}; echo two')
        text = ip.getoutput('echo one', split=False)
        ip.system('echo $word')
        value = ip.ev('word + word')
        ip.run_line_magic('time', 'print(word)')
        ip.run_cell_magic('bash', '', 'echo script')
        same = ip.user_ns['word'], ip is get_ipython()
        del ip
        """,
        setup=("word = 'w'",),
    ),
    Case(
        "the shell, imported",
        "from IPython import get_ipython as shell\nlines = shell().getoutput('echo 1')\ndel shell",
        here="lines = get_ipython().getoutput('echo 1')",
    ),
    Case(
        "a list of lines that travels",
        "wide = lines.fields(0, 1)\nfound = lines.grep('b')\nordered = lines.sort(1, nums=True)\nlast = lines[-1]",
        setup=("lines = !printf 'b 10\\na 9\\n'",),
    ),
    Case(
        "a statement timed often",
        "%timeit -n 3 -r 2 sum(values)\n%timeit -q -n 1 -r 1 unbound = 1\ndone = True",
        setup=("values = [1, 2]",),
    ),
    Case(
        "a result of timing that is kept",
        """
        first = %timeit -o -q -n 2 -r 3 sum(values)
        %timeit -v second -q -n 2 -r 3 sum(values)
        kinds = [(type(each).__name__, each.loops, each.repeat, len(each.timings)) for each in (first, second)]
        del first, second
        """,
        setup=("values = [1, 2]",),
    ),
    Case(
        "a cell timed often",
        "%%timeit -n 2 -r 2 start = values[0]\nfor n in values:\n    start += n",
        setup=("values = [1, 2]",),
    ),
    Case(
        "a cell whose output is captured",
        """
        %%capture shown
        import sys
        print('out')
        print('err', file=sys.stderr)
        display({'a': 1})
        !echo from a command
        x = 5
        'last'
        """,
        then=(
            "print(shown.stdout, shown.stderr, x)",
            "[dict(each.data) for each in shown.outputs]",
            "shown.show()",
        ),
    ),
    Case(
        "a cell whose output is dropped",
        "%%capture --no-stderr\nimport sys\nprint('out')\nprint('err', file=sys.stderr)\nx = 1",
        then=("x",),
    ),
    Case("a file written by a cell", "%%writefile written.txt\nfirst {x}\n  second"),
    Case(
        "a file written and read",
        "get_ipython().run_cell_magic('writefile', 'notes.txt', 'one\\n')\n"
        "get_ipython().run_cell_magic('writefile', '-a notes.txt', 'two\\n')\ntext = open('notes.txt').read()",
    ),
    Case("help", "x = 1\nx?", refused="line 3: x? asks IPython for help"),
    Case(
        "a question to the user",
        "name = input('who?')",
        refused="line 2: input() cannot ask anybody in a sandbox",
    ),
)
