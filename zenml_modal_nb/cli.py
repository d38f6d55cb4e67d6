"""The command line `zenml-modal-nb`."""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["emulator"]:
        # A program of its own, with options of its own; nothing of ours imports it.
        import subprocess

        # By what it was called is what it calls itself.
        call = "import sys; from zenml_modal_nb.emulator.__main__ import main; sys.exit(main(program=sys.argv.pop(1)))"
        return subprocess.call([sys.executable, "-c", call, "zenml-modal-nb emulator", *words[1:]])
    given = _parser().parse_args(words)
    from zenml_modal_nb.errors import ModalStepError

    try:
        return _demo(given)
    except ModalStepError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="zenml-modal-nb", description="Notebook cells as tracked ZenML steps in Modal sandboxes."
    )
    version = importlib.metadata.version("zenml-modal-nb")
    parser.add_argument("--version", action="version", version=f"zenml-modal-nb {version}")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="execute the quickstart notebook and write it as a page")
    demo.add_argument("--directory", type=Path, default=Path("zenml-modal-nb-demo"), help="where to write")
    demo.add_argument(
        "--on", choices=("local", "modal"), default="local", help="modal: needs a token, is billed"
    )
    commands.add_parser("emulator", help="start, stop or show the local Modal API", add_help=False)
    return parser


def _demo(given: argparse.Namespace) -> int:
    from zenml_modal_nb.notebooks.demo import run_demo

    def echo(text: str) -> None:
        print(text, end="", flush=True)

    pages = run_demo(given.directory, on=given.on, echo=echo)
    print(f"\nThe executed notebook: {pages.notebook}\nThe same as a page:    {pages.page}")
    if given.on == "local":
        print(
            "The local Modal API goes on for an hour after its last use; "
            "`zenml-modal-nb emulator stop` stops it now."
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
