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
    Case("a cell magic that needs the notebook", "%%timeit\nx = 1", refused="line 2: the magic %%timeit"),
    Case("help", "x = 1\nx?", refused="line 3: x? asks IPython for help"),
    Case(
        "a question to the user",
        "name = input('who?')",
        refused="line 2: input() cannot ask anybody in a sandbox",
    ),
)
