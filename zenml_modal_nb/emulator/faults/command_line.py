"""The words of `emulator fault add|list|clear`; a fault's options are the fields of its class."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import json
import sys
from typing import Any, get_args, get_type_hints

from zenml_modal_nb.emulator.directory import StateDirectory
from zenml_modal_nb.emulator.faults.control import FaultControl, ListedFault
from zenml_modal_nb.emulator.faults.kinds import KINDS, Fault, from_fields, to_fields

NOT_RUNNING = 3  # as `status` answers


def describe(parser: argparse.ArgumentParser, parents: list[argparse.ArgumentParser]) -> None:
    """Add the words to the parser of `fault`; `parents` say where the server is."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = actions.add_parser("add", help="let something go wrong from now on")
    kinds = add.add_subparsers(dest="kind", required=True, metavar="FAULT")
    for name, kind in KINDS.items():
        text = inspect.cleandoc(kind.__doc__ or "")
        one = kinds.add_parser(name, parents=parents, help=text.splitlines()[0], description=text)
        hints = get_type_hints(kind)
        for field in dataclasses.fields(kind):
            _add_option(one, field, hints[field.name])
    listing = actions.add_parser("list", parents=parents, help="what is planned, and how often it happened")
    listing.add_argument("--json", action="store_true", help="answer with one line of JSON")
    clear = actions.add_parser("clear", parents=parents, help="take back one fault, or all")
    clear.add_argument("id", nargs="?", default="", help="as `list` shows it; without it, all")


def run(directory: StateDirectory, said: argparse.Namespace) -> int:
    """Carry out one of them in the server of `directory`; returns the exit code."""
    server = directory.find()
    if server is None:
        print(f"No local Modal API runs for {directory.path}.", file=sys.stderr)
        return NOT_RUNNING
    control = FaultControl(server.url, server.token_id, server.token_secret)
    from grpclib import GRPCError

    try:
        match said.action:
            case "add":
                print(control.add(_fault(said)))
            case "list":
                _show(control.list(), as_json=said.json)
            case _:
                print(f"Cleared: {control.clear(said.id)}.")
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except GRPCError as error:
        print(error.message, file=sys.stderr)
        return 1
    return 0


def _add_option(parser: argparse.ArgumentParser, field: dataclasses.Field[Any], hint: Any) -> None:
    flag = f"--{field.name.replace('_', '-')}"
    if hint is bool:
        parser.add_argument(flag, action="store_true")
        return
    kind = next(kind for kind in (*get_args(hint), hint) if kind is not type(None))
    required = field.default is dataclasses.MISSING
    shown = "" if required or field.default in (None, "") else f"default: {field.default}"
    parser.add_argument(
        flag,
        type=kind,
        required=required,
        default=None if required else field.default,
        metavar=kind.__name__.upper(),
        help=shown,
    )


def _fault(said: argparse.Namespace) -> Fault:
    names = [field.name for field in dataclasses.fields(KINDS[said.kind])]
    return from_fields({"kind": said.kind, **{name: getattr(said, name) for name in names}})


def _show(listed: list[ListedFault], *, as_json: bool) -> None:
    if as_json:
        print(
            json.dumps(
                [{"id": item.id, "happened": item.happened, **to_fields(item.fault)} for item in listed]
            )
        )
        return
    for item in listed:
        fields = to_fields(item.fault)
        options = " ".join(f"{name}={value}" for name, value in fields.items() if name != "kind")
        print(f"{item.id}  {fields['kind']}  happened {item.happened} times  {options}")
    if not listed:
        print("No faults are planned.")
