"""The command line `zenml-modal-nb`."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import sys
from collections.abc import Sequence
from pathlib import Path

_INTERRUPTED = 130  # as a shell tells a program that ended by SIGINT
_UNREAD = 141  # and by SIGPIPE


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
        code = int(given.run(given))
        sys.stdout.flush()
        return code
    except ModalStepError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted: not finished.", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:  # e.g. of `… | head`, which wants no more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nor what is still to be flushed
        return _UNREAD


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
    demo.set_defaults(run=_demo)
    commands.add_parser("emulator", help="start, stop or show the local Modal API", add_help=False)
    _declare_doctor(
        commands.add_parser("doctor", help="say what keeps cells from running, and what mends it")
    )
    _declare_setup(commands.add_parser("setup", help="register what cells need in your ZenML"))
    return parser


def _declare_doctor(doctor: argparse.ArgumentParser) -> None:
    doctor.add_argument("--on", choices=("local", "modal"), help="where; by default where a cell would run")
    doctor.add_argument(
        "--stack", metavar="NAME", help="examine this stack for ZenML's own step operator, of flavor modal"
    )
    doctor.add_argument("--workspace", metavar="NAME", help="the Modal workspace the token must belong to")
    doctor.add_argument("--modal-environment", metavar="NAME", help="the Modal environment")
    doctor.add_argument("--json", action="store_true", help="for scripts")
    doctor.set_defaults(run=_doctor)


def _declare_setup(setup: argparse.ArgumentParser) -> None:
    where = setup.add_mutually_exclusive_group()
    where.add_argument("--local", action="store_true", help="cells on this machine, unbilled")
    where.add_argument(
        "--token", action="store_true", help="cells on Modal; asks for a token if there is none"
    )
    setup.add_argument("--stack", metavar="NAME", help="add a step operator to this stack of yours")
    setup.add_argument(
        "--flavor",
        choices=("modal_notebook", "modal"),
        default="modal_notebook",
        help="of that step operator: ours (default), or ZenML's own",
    )
    setup.add_argument("--yes", action="store_true", help="change what exists without asking")
    setup.set_defaults(run=_setup)


def _doctor(given: argparse.Namespace) -> int:
    from zenml_modal_nb.doctor.command import run_doctor

    return run_doctor(given)


def _setup(given: argparse.Namespace) -> int:
    from zenml_modal_nb.doctor.command import run_setup

    return run_setup(given)


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
