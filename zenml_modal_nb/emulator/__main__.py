"""The command line of the local Modal API: `python -m zenml_modal_nb.emulator start|status|stop|serve|…`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from zenml_modal_nb.emulator import lifecycle
from zenml_modal_nb.emulator.directory import HeldError, StateDirectory, default_path
from zenml_modal_nb.emulator.options import IDLE_SECONDS, ServeOptions
from zenml_modal_nb.emulator.record import LifecycleError, ServerRecord

NOT_RUNNING = 3  # the exit code init scripts give `status` of a program that is not running (LSB)


def main(arguments: Sequence[str] | None = None, program: str = "python -m zenml_modal_nb.emulator") -> int:
    """Run one command and return its exit code; `arguments` default to those of this process."""
    words = sys.argv[1:] if arguments is None else arguments
    said = _parser(program, with_faults="fault" in words).parse_args(words)
    if said.command == "coverage":
        return _coverage(check=said.check)
    try:
        directory = StateDirectory(Path(os.path.abspath(said.state_dir or default_path())))
        match said.command:
            case "start":
                return _start(_options(directory, said), as_json=said.json)
            case "serve":
                return _serve(_options(directory, said), said)
            case "status":
                return _status(directory, as_json=said.json)
            case "fault":
                from zenml_modal_nb.emulator.faults import command_line

                return command_line.run(directory, said)
            case _:
                return _stop(directory)
    except LifecycleError as error:
        print(error, file=sys.stderr)
        return 1


def _start(options: ServeOptions, *, as_json: bool) -> int:
    running = lifecycle.start(options)
    state_file = str(options.directory.record_path)
    if as_json:
        print(json.dumps({"url": running.record.url, "state_file": state_file, "notice": running.notice}))
        return 0
    print(f"The local Modal API {'started' if running.fresh else 'runs already'} at {running.record.url}.")
    print(f"Its token is in {state_file}.")
    if running.notice:
        print(running.notice, file=sys.stderr)
    return 0


def _status(directory: StateDirectory, *, as_json: bool) -> int:
    from zenml_modal_nb.emulator import overview

    found = directory.find()
    sandboxes = overview.running_sandboxes(found) if found else []
    if as_json:
        public = ("url", "pid", "started", "version", "python")
        facts = {name: getattr(found, name) for name in public} if found else {}
        listed = [asdict(sandbox) for sandbox in sandboxes]
        answer = {"running": found is not None, "state_file": str(directory.record_path), **facts}
        print(json.dumps({**answer, "active": len(listed), "sandboxes": listed}))
    elif found:
        print(f"The local Modal API runs at {found.url} (process {found.pid}, version {found.version}).")
        print(f"Started {found.started}, {len(sandboxes)} sandboxes active, interpreter {found.python}.")
        print(f"Its state is in {directory.path}.")
        for sandbox in sandboxes:
            name = f" {sandbox.name!r}" if sandbox.name else ""
            print(f"  {sandbox.id}{name} of app {sandbox.app!r}, for {sandbox.age()}")
    else:
        print(f"No local Modal API runs for {directory.path}.")
    return 0 if found else NOT_RUNNING


def _stop(directory: StateDirectory) -> int:
    ended = lifecycle.stop(directory)
    print(
        f"The local Modal API at {ended.url} has ended."
        if ended
        else f"No local Modal API runs for {directory.path}."
    )
    return 0


def _coverage(*, check: bool) -> int:
    from zenml_modal_nb.emulator import coverage

    report = coverage.report()
    if not check:
        coverage.PATH.write_text(report, encoding="utf-8")
        print(f"Written: {coverage.PATH}")
    elif not coverage.PATH.exists() or coverage.PATH.read_text(encoding="utf-8") != report:
        print(f"{coverage.PATH} is out of date; write it again with `coverage`.", file=sys.stderr)
        return 1
    return 0


def _serve(options: ServeOptions, said: argparse.Namespace) -> int:
    from zenml_modal_nb.emulator import daemon

    ready_fd: int | None = said.ready_fd

    def announce(present: ServerRecord) -> None:
        if ready_fd is None:
            print(f"The local Modal API answers at {present.url}; Ctrl-C ends it.")
            print(f"Its token is in {options.directory.record_path}.", flush=True)
        else:
            _tell(ready_fd, lifecycle.READY)

    try:
        return daemon.run(options, announce, lifeline=said.lifeline, temporary=said.temporary)
    except HeldError as held:
        if ready_fd is None or held.holder is None:
            raise
        # The starter finds the other server's record, which is as good as ours.
        _tell(ready_fd, lifecycle.READY)
        return 0
    except LifecycleError as error:
        if ready_fd is not None:
            _tell(ready_fd, str(error).encode())
        raise


def _tell(ready_fd: int, message: bytes) -> None:
    with (
        suppress(BrokenPipeError),
        open(ready_fd, "wb", buffering=0) as pipe,
    ):  # the starter may be gone: we stay
        pipe.write(message)


def _options(directory: StateDirectory, said: argparse.Namespace) -> ServeOptions:
    idle = said.idle_timeout
    if idle is None:
        idle = IDLE_SECONDS if said.command == "start" else 0.0
    return ServeOptions(
        directory, idle, said.python, said.log_retention, said.read_delay, said.read_size, said.images
    )


def _parser(program: str, *, with_faults: bool) -> argparse.ArgumentParser:
    place = argparse.ArgumentParser(add_help=False)
    place.add_argument("--state-dir", metavar="DIR", help="where the server keeps its state")
    answer = argparse.ArgumentParser(add_help=False)
    answer.add_argument("--json", action="store_true", help="answer with one line of JSON")
    tuning = argparse.ArgumentParser(add_help=False)
    tuning.add_argument(
        "--idle-timeout",
        type=float,
        metavar="SECONDS",
        help="end after this time without sandboxes and requests; 0: never (start: 1 hour, serve: never)",
    )
    tuning.add_argument(
        "--log-retention", type=int, metavar="BYTES", help="how much of a sandbox's output is kept"
    )
    tuning.add_argument(
        "--read-delay", type=float, metavar="SECONDS", help="delay every piece of output by this"
    )
    tuning.add_argument("--read-size", type=int, metavar="BYTES", help="the size of one piece of output")
    tuning.add_argument(
        "--images",
        choices=("host", "venv"),
        help="run sandboxes in this environment (host), or build each image's own with uv (venv)",
    )
    tuning.add_argument(
        "--python", metavar="PATH", help="the interpreter of sandboxes (the one that runs this)"
    )

    parser = argparse.ArgumentParser(prog=program, description="A Modal API on this machine.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser(
        "start", parents=[place, tuning, answer], help="start it in the background, unless it runs"
    )
    commands.add_parser(
        "status", parents=[place, answer], help=f"say what runs; exit code {NOT_RUNNING}: nothing"
    )
    commands.add_parser("stop", parents=[place], help="end it and its sandboxes")
    fault = commands.add_parser("fault", help="let something go wrong in it: fault add|list|clear")
    if with_faults:  # `start`, which must be quick, need not read them all
        from zenml_modal_nb.emulator.faults import command_line

        command_line.describe(fault, [place])
    coverage = commands.add_parser("coverage", help="write COVERAGE.md: which of Modal's calls are here")
    coverage.add_argument("--check", action="store_true", help="write nothing; exit code 1: out of date")
    serve = commands.add_parser("serve", parents=[place, tuning], help="run it in the foreground")
    serve.add_argument("--ready-fd", type=int, help=argparse.SUPPRESS)
    serve.add_argument("--lifeline", action="store_true", help=argparse.SUPPRESS)
    serve.add_argument("--temporary", action="store_true", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
