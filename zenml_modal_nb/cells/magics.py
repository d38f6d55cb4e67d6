"""IPython's magics, shell lines and help syntax, found by IPython itself and rewritten line by line."""

from __future__ import annotations

import re
from typing import Any

from zenml_modal_nb.cells import clocks, shell
from zenml_modal_nb.cells.embedded import split
from zenml_modal_nb.cells.syntax import is_expression, parsed, statement_lines
from zenml_modal_nb.errors import CellError

# These set up the notebook's own display and mean nothing elsewhere; the runner collects plots by itself.
_DROPPED = frozenset({"matplotlib"})
_SHELL_ALIASES = frozenset({"ls", "cat", "cp", "mv", "rm", "mkdir", "rmdir"})
_KEPT_RESULT = re.compile(r"-v\s*(\S+)\s*")  # of %timeit
_SCRIPTS = frozenset({"bash", "sh"})
# e.g. `!ls`, `%cd data`, `files = !ls`; not `!!ls`, `%%bash` and `a = b = %pwd`, which are IPython's own to find
_PLAIN = re.compile(r"\s*(?:\w+\s*=\s*)?(?:!(?!!)|%(?!%))\s*\S")


class CellRewriter:
    """Rewrites one cell; made and read by `cells.source`. `pip` collects requirements on the way."""

    def __init__(self, body: str, first_line: int) -> None:
        self.body = body
        self.first_line = first_line
        self.pip: tuple[str, ...] = ()
        self.captured = False

    def rewrite(self) -> str:
        """Return the cell as Python, every line at its number.

        Errors: CellError.
        """
        ipython = _ipython()
        lines = (self.body if self.body.endswith("\n") else self.body + "\n").splitlines(keepends=True)
        for transform in (ipython.leading_indent, ipython.classic_prompt, ipython.ipython_prompt):
            lines = transform(lines)
        # A comment may stand above a cell magic: `run` puts one in the place of its own magic line.
        first = next((n for n, line in enumerate(lines) if line.strip() and not line.startswith("#")), None)
        if first is None:
            return "".join(lines)
        if lines[first].startswith("%%"):
            return "".join(self.cell_magic(lines, first))
        return self.quickly(lines) or "".join(self.line_syntax(lines))

    def quickly(self, lines: list[str]) -> str | None:
        """Rewrite plain `!`, `%` and assigned lines each by itself; None if that does not make the cell Python.

        IPython's tokenizer takes as long for a cell of a hundred lines as all the analysis that follows.
        """
        rows = [row for row, line in enumerate(lines) if _PLAIN.match(line) and not line.endswith("\\\n")]
        if not rows:
            return None
        found = list(lines)
        pip: tuple[str, ...] = ()
        for row in rows:
            alone = CellRewriter(lines[row], self.first_line + row)
            start = lines[row][: len(lines[row]) - len(lines[row].lstrip())]
            found[row] = start + "".join(alone.line_syntax([lines[row].lstrip()]))
            pip += alone.pip
        text = "".join(found)
        tree = parsed(text)
        if isinstance(tree, SyntaxError):
            return None
        # What is not the start of a statement stands in a text of several lines, and must stay.
        if not statement_lines(tree).issuperset(row + 1 for row in rows):
            return None
        self.pip += pip
        return text

    def line_syntax(self, lines: list[str]) -> list[str]:
        """Rewrite lines until IPython finds nothing of its own in them."""
        ipython = _ipython()
        kinds = (ipython.MagicAssign, ipython.SystemAssign, ipython.EscapedCommand, ipython.HelpEnd)
        for _ in range(ipython.TRANSFORM_LOOP_LIMIT):
            tokens = ipython.make_tokens_by_line(lines)
            found = [match for kind in kinds if (match := kind.find(tokens))]
            if not found:
                return lines
            lines = self.replace(lines, min(found, key=lambda match: match.sortby()), ipython)
            if not isinstance(parsed("".join(lines)), SyntaxError):
                return lines  # IPython's tokenizer is slow, and its syntax is never valid Python
        raise CellError("The cell holds too many lines of IPython syntax; split it. Nothing was created.")

    def replace(self, lines: list[str], match: Any, ipython: Any) -> list[str]:
        """Rewrite one piece of IPython syntax; the lines it was continued on become empty."""
        row, column = match.start_line, match.start_col
        if isinstance(match, ipython.HelpEnd):
            self.refuse_help(row, lines[row].strip())
        end = ipython.find_end_of_continued_line(lines, row)
        text = ipython.assemble_continued_line(lines, (row, column), end)
        before = lines[row][:column]
        assigned = isinstance(match, (ipython.MagicAssign, ipython.SystemAssign))
        code = self.expression(text, row) if assigned else self.statement(text, row)
        return [*lines[:row], f"{before}{code}\n", *["\n"] * (end - row), *lines[end + 1 :]]

    def expression(self, text: str, row: int) -> str:
        """Rewrite what stands to the right of `=`, e.g. `!ls` or `%time f()`."""
        if text.startswith("!"):
            return shell.read_command(text[1:])
        name, _, rest = text[1:].partition(" ")
        if name == "time":
            return clocks.timed_expression(rest)
        if name == "timeit":
            return self.timed_often("run_line_magic", rest, assigned=True)
        if name in {"sx", "system"}:
            return shell.read_command(rest)
        if name == "pwd":
            return "__import__('os').getcwd()"
        if name == "env" and rest.strip():
            return f"__import__('os').environ[{rest.strip()!r}]"
        raise self.refusal(row, f"%{name}")

    def statement(self, text: str, row: int) -> str:
        """Rewrite a line that starts with one of IPython's signs."""
        if text.startswith("!!"):
            return shell.read_command(text[2:])
        if text.startswith("!"):
            return self.command(text[1:], row)
        if text.startswith("?"):
            self.refuse_help(row, text)
        if text.startswith("%"):
            return self.line_magic(text.lstrip("%"), row)
        name, _, rest = text[1:].partition(" ")  # automatic calls: `,f a b`, `;f a b`, `/f a b`
        if text.startswith("/"):
            return f"{name}({', '.join(rest.split())})"
        arguments = rest.split() if text.startswith(",") else [rest]
        return f"{name}({', '.join(map(repr, arguments))})"

    def command(self, command: str, row: int) -> str:
        """Rewrite `!command`; `!pip install` becomes a requirement of the image."""
        words = shell.command_words(command)
        if words is not None and self.installs(words, row):
            return "pass"
        return self.run(command)

    def run(self, command: str) -> str:
        """Rewrite a command whose output is shown, or captured with the cell's."""
        return shell.show_command(command) if self.captured else shell.run_command(command)

    def installs(self, words: list[str], row: int) -> bool:
        """Collect the requirements of a pip command line; tell whether it was one."""
        try:
            found = shell.pip_requirements(words)
        except shell.NotARequirement as error:
            raise CellError(
                f"line {row + self.first_line}: pip install {error} cannot become part of the image. Name the packages "
                'themselves, here or with --pip "name==version"; nothing was created.'
            ) from error
        if found is None:
            return False
        self.pip += found
        return True

    def line_magic(self, text: str, row: int) -> str:
        """Rewrite `%name rest`."""
        name, _, rest = text.partition(" ")
        rest = rest.strip()
        if name in _DROPPED:
            return "pass"
        if name == "config" and rest.startswith("InlineBackend"):
            return f"get_ipython().run_line_magic('config', {rest!r})"
        if name == "time" and rest:
            return self.timed(rest)
        if name == "timeit" and rest:
            return self.timed_often("run_line_magic", rest)
        if name in {"pip", "uv"}:
            words = shell.command_words(rest)
            if words is not None and self.installs([name, *words], row):
                return "pass"
            return self.run(f"python -m {name} {rest}")
        if name in {"env", "set_env"} and rest:
            return self.environment(rest)
        if name == "cd":
            return self.directory(rest)
        if name in {"pwd", "sx", "system"}:
            return self.expression(f"%{text}", row)
        if name in _SHELL_ALIASES:
            return self.run(text)
        raise self.refusal(row, f"%{name}")

    def timed(self, code: str) -> str:
        """Rewrite `%time code`."""
        return clocks.timed_expression(code) if is_expression(code) else clocks.timed_statement(code)

    def timed_often(self, method: str, text: str, *arguments: str, assigned: bool = False) -> str:
        """Rewrite `%timeit text`; the analysis reads the code in it, see `cells.embedded`."""
        options, code = text[: (end := split(text))], text[end:]
        kept = _KEPT_RESULT.search(options)
        given = _KEPT_RESULT.sub("-o ", options) if kept else options
        parts = ("timeit", given + code, *arguments)
        call = f"get_ipython().{method}({', '.join(map(repr, parts))})"
        return f"{kept[1]} = {call}" if kept and not assigned else call

    def directory(self, rest: str) -> str:
        """Rewrite `%cd place`, `%cd -` and `%cd -q place`; like IPython, say where that is."""
        place = rest.removeprefix("-q").strip().strip("'\"")
        environment = "__import__('os').environ"  # which has the directory left last, as in a shell
        there = (
            f"{environment}.get('OLDPWD', '-')"
            if place == "-"
            else f"__import__('os').path.expanduser({shell.expand(place or '~')})"
        )
        change = (
            f"(lambda place, left: __import__('os').chdir(place) or {environment}.update(OLDPWD=left))"
            f"({there}, __import__('os').getcwd())"
        )
        return change if rest.startswith("-q") else f"print({change} or __import__('os').getcwd())"

    def environment(self, rest: str) -> str:
        """Rewrite `%env NAME=value`, `%env NAME value` and `%env NAME`; like IPython, say what was set."""
        name, sign, value = rest.partition("=") if "=" in rest.split()[0] else rest.partition(" ")
        name, environment = name.strip(), "__import__('os').environ"
        if not sign:
            return f"{environment}[{name!r}]"
        told = f"print({f'env: {name}='!r} + value)"
        return f"(lambda value: {environment}.update({{{name!r}: value}}) or {told})({shell.expand(value.strip())})"

    def cell_magic(self, lines: list[str], first: int) -> list[str]:
        """Rewrite a cell whose first line is `%%name`."""
        name, _, rest = lines[first][2:].strip().partition(" ")
        if name == "time" and not rest:
            free = ["\n"] * (first + 1)
            body = self.line_syntax([*free, *lines[first + 1 :]])
            try:
                timed = clocks.timed_cell(body[first:])
            except SyntaxError:
                return body  # `cells.source` explains the error
            return [*free[:first], *timed]
        rest = rest.strip()
        below = lines[first + 1 :]
        free = ["\n"] * first
        if name == "capture":
            self.captured = True
            output = [word for word in rest.split() if not word.startswith("-")]
            start = f"get_ipython().capture({rest!r})[1]"
            body = self.line_syntax(["\n"] * (first + 1) + below)
            return [*free, f"{output[0]} = {start}\n" if output else f"{start};\n", *body[first + 1 :]]
        if name == "timeit":
            code = "".join(self.line_syntax(["\n"] * (first + 1) + below)[first + 1 :])
            return [*free, self.timed_often("run_cell_magic", rest, code) + "\n", *["\n"] * len(below)]
        if name in {"writefile", "file"}:
            if not rest:
                raise CellError(
                    f"line {first + self.first_line}: %%{name} needs the name of a file; nothing was created."
                )
            call = f"get_ipython().run_cell_magic('writefile', {rest!r}, {''.join(below)!r})"
            return [*free, f"{call}\n", *["\n"] * len(below)]
        if name in _SCRIPTS:
            if rest:
                raise CellError(
                    f"line {first + self.first_line}: %%{name} takes no options in a sandbox, e.g. {rest.split()[0]}. "
                    "Write them into the script, e.g. `set -- a b`, or use `x = !command`; nothing was created."
                )
            script = "".join(lines[first + 1 :])
            return [
                *["\n"] * first,
                shell.run_script(name, script) + "\n",
                *["\n"] * (len(lines) - first - 1),
            ]
        raise self.refusal(first, f"%%{name}")

    def refuse_help(self, row: int, text: str) -> None:
        raise CellError(
            f"line {row + self.first_line}: {text} asks IPython for help, which a sandbox does not have. "
            "Run it in a cell of its own; nothing was created."
        )

    def refusal(self, row: int, magic: str) -> CellError:
        """Return the error for a magic that has no meaning in a sandbox."""
        return CellError(
            f"line {row + self.first_line}: the magic {magic} does not work in a sandbox. Move it to a "
            f"cell of its own, or write it as Python; what works: {_known()}. Nothing was created."
        )


def _ipython() -> Any:
    from IPython.core import inputtransformer2  # late: a program that only reads cells need not load IPython

    return inputtransformer2


def _known() -> str:
    names = [
        "time",
        "%time",
        "timeit",
        "%timeit",
        "%capture",
        "%writefile",
        "%bash",
        "pip",
        "env",
        "cd",
        "pwd",
        "matplotlib",
        "sx",
        *sorted(_SHELL_ALIASES),
    ]
    return ", ".join(f"%{name}" for name in names)
