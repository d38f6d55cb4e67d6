"""What the outcome of a cell depends on, as a key that another kernel finds again."""

from __future__ import annotations

import ast
import dataclasses
import decimal
import hashlib
import json
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

from zenml_modal_nb.cells.cell import AnalyzedCell
from zenml_modal_nb.cells.seeding import seeded
from zenml_modal_nb.packaging.files import contents
from zenml_modal_nb.packaging.fingerprint import fingerprint
from zenml_modal_nb.pipelines.caching import CacheKey
from zenml_modal_nb.request import StepRequest
from zenml_modal_nb.runner import logs, session
from zenml_modal_nb.runner.files import ARCHIVE
from zenml_modal_nb.runner.functions import Namespace
from zenml_modal_nb.runner.pickling import PAYLOAD
from zenml_modal_nb.sandboxes.image import ImageSpec
from zenml_modal_nb.sandboxes.launch import Part

# Options that say where and how fast a cell runs, not what comes out; any other one counts, also those yet to come.
# What differs between Modal and the local Modal API counts in `cache_key`.
_NO_MATTER = frozenset(
    {"cpu", "memory_mib", "max_inputs_mib", "region", "cloud", "timeout", "on", "dry_run", "cache", "define"}
)
_PROGRAM = "runner.zip"  # ours, see `version`
# numpy's own, as its manual has them; other ones count, those of another version too
_NUMPY_ERRORS = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}


def definition_digest(
    request: StepRequest,
    analyzed: AnalyzedCell,
    source: str,
    needed: Mapping[str, object],
    namespace: Namespace,
    image: ImageSpec,
    parts: Iterable[Part],
    module_digest: str,
) -> str:
    """Return a digest of code, values, image and options; `needed` are the values and definitions that travel.

    Secrets that exist in Modal count by name: their values are not known here. Raises what pickling raises.
    """
    facts = [
        version("zenml-modal-nb"),
        {
            each.name: getattr(request, each.name)
            for each in dataclasses.fields(request)
            if each.name not in _NO_MATTER
        },
        source,
        [*analyzed.outputs, "", *analyzed.optional_outputs],
        [image.base, sorted(image.apt), sorted(image.pip), image.python],
        # The payload's digest changes with the kernel: see `packaging.fingerprint`.
        sorted((part.name, _content(part)) for part in parts if part.name not in (_PROGRAM, PAYLOAD)),
        fingerprint([dict(needed), list(analyzed.captured.submodules)], namespace),
        module_digest,
    ]
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _content(part: Part) -> str:
    if part.name != ARCHIVE:
        return part.digest
    (piece,) = (piece for segment in part.segments for piece in segment.pieces)
    return contents(memoryview(piece))


def cache_key(
    definition: str,
    analyzed: AnalyzedCell,
    state: session.State,
    namespace: Namespace,
    ephemeral: Mapping[str, str],
    billed: bool,
) -> CacheKey:
    """Return the key of a cell with what it relies on without naming it, `state`, and its secret variables.

    `billed` tells Modal from the local Modal API, which provides no GPU and may have other packages.
    """
    settings, drawn = _apart(state)
    digest = hashlib.sha256(repr([definition, billed, fingerprint(settings, namespace)]).encode()).hexdigest()
    if ephemeral:
        # The digest is recorded, so it must not tell a guessed secret from another quickly.
        text = json.dumps(ephemeral, sort_keys=True).encode()
        digest = hashlib.scrypt(text, salt=digest.encode(), n=1 << 14, r=8, p=1, dklen=32).hex()
    tree = ast.parse(analyzed.source.text)
    seeds = seeded(tree, analyzed.captured.modules, analyzed.captured.values)
    states = session.pack({name: state[name] for name in seeds if name in state}, namespace)
    return CacheKey(
        digest,
        {name: hashlib.sha256(repr(value).encode()).hexdigest() for name, value in drawn.items()},
        frozenset(seeds & states.keys()),
        states,
    )


def _apart(state: session.State) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return settings that differ from their defaults, and states of random generators.

    A module that is not loaded has its defaults, and so has one that somebody else has loaded meanwhile.
    """
    settings: dict[str, Any] = {}
    drawn: dict[str, Any] = {}
    for name, value in state.items():
        match name:
            case "random" | "numpy.random":
                drawn[name] = value
            case "torch":
                drawn[name] = value["generator"]
                rest = {key: repr(each) for key, each in value.items() if key != "generator"}
                if rest != {"type": "torch.float32", "deterministic": "False"}:
                    settings[name] = rest
            case "warnings":  # others change what is told, not what comes out
                settings[name] = [each for each in value if each[0] == "error"]
            case "logging":
                if value != logs.USUAL:
                    settings[name] = value
            case "decimal":
                if value != decimal.DefaultContext.__reduce__()[1]:
                    settings[name] = value
            case "numpy":
                if value["errors"] != _NUMPY_ERRORS or not _prints_as_ever(value["print"]):
                    settings[name] = value
            case _:
                if value:
                    settings[name] = value
    return settings, drawn


def _prints_as_ever(options: Mapping[str, Any]) -> bool:
    usual = {"edgeitems": 3, "threshold": 1000, "precision": 8, "linewidth": 75, "suppress": False}
    return all(options.get(name) == value for name, value in usual.items()) and not options.get("formatter")
