"""What may stand after each option of the magic line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from zenml_modal_nb.errors import InvalidRequestError
from zenml_modal_nb.magics.cursor import Cursor
from zenml_modal_nb.magics.defaults import ModalStep
from zenml_modal_nb.magics.lookup import Lookup
from zenml_modal_nb.magics.options import BY_FLAG, OF_DOCTOR, SUPPORTED, Option
from zenml_modal_nb.pricing.regions import BROAD_REGIONS, CLOUDS, NARROW_REGIONS
from zenml_modal_nb.request import Place

# Any number is allowed; these are what people ask for.
USUAL: Mapping[str, tuple[str, ...]] = {
    "--on": ("local", "modal"),
    "--region": (*BROAD_REGIONS, *NARROW_REGIONS),
    "--cloud": CLOUDS,
    "--cpu": ("0.5", "1", "2", "4", "8", "16", "32"),
    "--memory": ("2GiB", "4GiB", "8GiB", "16GiB", "32GiB", "64GiB", "128GiB"),
    "--timeout": ("10m", "30m", "1h", "2h", "4h", "12h", "24h"),
}
_LISTS = ("--in", "--out")  # names with commas between
_MOST_FILES = 200


class Candidates:
    """Finds values for an option; made by the extension's completer, one for a shell."""

    def __init__(
        self, namespace: Callable[[], Mapping[str, Any]], hidden: Mapping[str, Any], defaults: ModalStep
    ) -> None:
        self._namespace = namespace
        self._hidden = hidden
        self._defaults = defaults
        self._lookups: dict[tuple[str | None, ...], Lookup] = {}

    def options(self, cursor: Cursor) -> list[str]:
        """Return the options that may be written here, those with `--no-` when their beginning stands there."""
        if cursor.of_doctor:
            return [flag for flag in OF_DOCTOR if flag.startswith(cursor.word) and flag not in cursor.flags]
        free = [each for each in SUPPORTED if each.repeatable or not _on_line(each, cursor)]
        begun = cursor.word.startswith("--no")
        flags = [each.flag for each in free]
        for each in free:
            if each.has_default and (begun or self._defaults.texts(each)):
                flags.append(each.negation)
        return [flag for flag in flags if flag.startswith(cursor.word)]

    def values(self, flag: str, cursor: Cursor, body: str) -> list[str]:
        """Return the values of an option that go on from what is typed; `body` is the cell below the line."""
        if flag in _LISTS:
            return self._listed(flag, cursor, body)
        if flag == "--file":
            return _files(cursor.word)
        begun = cursor.word.lower()
        return [each for each in self._all(flag, cursor) if each.lower().startswith(begun)]

    def _all(self, flag: str, cursor: Cursor) -> Iterable[str]:
        match flag:
            case "--gpu":
                return _gpus(cursor.word)
            case "--gpu-count":
                return self._counts(cursor)
            case "--env":
                return sorted(os.environ)
            case "--operator" | "--stack":
                return self._looked_up(flag, cursor)
            case "--workspace" | "--modal-environment" | "--secret":
                return self._looked_up(flag, cursor)
            case "--volume":
                return [f"{each}:/" for each in self._looked_up(flag, cursor)]
            case _:
                return (OF_DOCTOR[flag] or ()) if cursor.of_doctor else USUAL.get(flag, ())

    def _counts(self, cursor: Cursor) -> list[str]:
        from zenml_modal_nb.pricing import gpus  # here, so that loading the extension reads no price list

        text = cursor.text_of("--gpu") or next(iter(self._defaults.texts(BY_FLAG["--gpu"])), "")
        try:
            most = gpus.find(text.partition(":")[0]).max_count
        except InvalidRequestError:
            most = max(each.max_count for each in gpus.CATALOGUE)
        return [str(count) for count in range(1, most + 1)]

    def _listed(self, flag: str, cursor: Cursor, body: str) -> list[str]:
        *before, begun = cursor.word.split(",")
        taken = {each.strip() for each in before}
        own = [
            name
            for name in list(self._namespace())  # at once: a subshell completes while a cell binds names
            if name not in self._hidden and not name.startswith("_") and name.isidentifier()
        ]
        found = [*_bound(body), *sorted(own)] if flag == "--out" else sorted(own)
        return [
            name for name in dict.fromkeys(found) if name.startswith(begun.lstrip()) and name not in taken
        ]

    def _looked_up(self, flag: str, cursor: Cursor) -> tuple[str, ...]:
        on, environment, workspace = (
            cursor.text_of(each) or next(iter(self._defaults.texts(BY_FLAG[each])), None)
            for each in ("--on", "--modal-environment", "--workspace")
        )
        key = (flag, on, environment, workspace)
        if key not in self._lookups:
            place: Place | None = "local" if on == "local" else "modal" if on == "modal" else None
            self._lookups[key] = Lookup(partial(_ask, flag, place, environment, workspace))
        return self._lookups[key].names()


def _ask(flag: str, place: Place | None, environment: str | None, workspace: str | None) -> Iterable[str]:
    if flag in ("--operator", "--stack"):
        from zenml_modal_nb.pipelines import registered

        return registered.step_operators() if flag == "--operator" else registered.stacks()
    from zenml_modal_nb.sandboxes import listing

    match flag:
        case "--workspace":
            return listing.profiles()
        case "--modal-environment":
            return listing.environments(place, workspace)
        case "--secret":
            return listing.secrets(place, environment, workspace)
        case _:
            return listing.volumes(place, environment, workspace)


def _on_line(option: Option, cursor: Cursor) -> bool:
    return option.flag in cursor.flags or option.negation in cursor.flags


def _gpus(word: str) -> list[str]:
    from zenml_modal_nb.pricing import gpus  # here, so that loading the extension reads no price list

    kind, colon, _ = word.partition(":")
    if colon:
        try:
            most = gpus.find(kind).max_count
        except InvalidRequestError:
            return []
        return [f"{kind}:{count}" for count in range(1, most + 1)]
    of = {name: alias for alias, name in gpus.ALIASES.items() if name.startswith(alias)}  # A100 is A100-40GB
    ordered = [each for gpu in gpus.CATALOGUE for each in (of.get(gpu.name), gpu.name) if each]
    return [*ordered, *(alias for alias in gpus.ALIASES if alias not in ordered), "none"]


def _bound(body: str) -> tuple[str, ...]:
    """Return the names that the cell binds, none while it cannot be read."""
    from zenml_modal_nb.cells.names import find_names
    from zenml_modal_nb.cells.source import read_source
    from zenml_modal_nb.errors import CellError

    try:
        found = find_names(read_source(body).text)
    except (CellError, SyntaxError):
        return ()
    return (*found.bound, *found.maybe_bound)


def _files(word: str) -> list[str]:
    """Return the files and folders whose path goes on from `word`, folders with a slash."""
    head, slash, tail = word.rpartition("/")
    folder = os.path.expanduser(
        f"{head}{slash}" or "."
    )  # as when the cell is packaged: `~nobody` stays as it is
    try:
        with os.scandir(folder) as entries:
            found = [
                entry
                for entry in entries
                if entry.name.startswith(tail) and (tail.startswith(".") or not entry.name.startswith("."))
            ]
    except (OSError, ValueError):  # ValueError: a null byte
        return []
    found.sort(key=lambda entry: entry.name)
    return [f"{head}{slash}{entry.name}{'/' if _is_folder(entry) else ''}" for entry in found[:_MOST_FILES]]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # e.g. a link that leads to itself
        return False
