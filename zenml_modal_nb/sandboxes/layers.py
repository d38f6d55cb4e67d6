"""Which layers an image is built from, so that what a notebook has built is built upon and not built again.

A layer that was built is found by its exact commands and those below it. So each notebook remembers its images, and a
cell that needs what none of them holds gets one more layer on top of the one that holds most of it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from zenml_modal_nb.sandboxes import state
from zenml_modal_nb.sandboxes.image import ImageSpec

logger = logging.getLogger(__name__)

MOST_LAYERS = 8  # of packages in one image; what needs one more begins a new image
MOST_IMAGES = 32  # remembered per notebook, the latest used ones
_VERSION = 1  # of the file
_NAMED = 3  # packages in a reason
# Distributions that overwrite each other's files: never two of a group in one image.
_RIVALS = (
    frozenset({"onnxruntime", "onnxruntime-gpu"}),
    frozenset(
        {"opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless"}
    ),
    frozenset({"tensorflow", "tensorflow-cpu"}),
)

Kind = Literal["apt", "pip"]


@dataclass(frozen=True, slots=True)
class Layer:
    """One command of an image's recipe."""

    kind: Kind
    packages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Image:
    """An image of a notebook; made by `plan`, remembered once a sandbox has been created from it."""

    base: str | None
    python: str
    layers: tuple[Layer, ...]
    holds: frozenset[str]  # the requirements that it is known to satisfy
    asked: frozenset[str]  # those, and Debian packages, that only a cell gets which asks for them
    used: int = 0  # larger: later


@dataclass(frozen=True, slots=True)
class Plan:
    """How a cell's image is made; made by `plan`, read by the step operator and the dry run."""

    image: Image
    why: str  # if it has to be built
    known: bool  # this notebook has used it before
    _file: Path

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers of packages, lowest first."""
        return self.image.layers

    def keep(self) -> None:
        """Remember the image: it is built."""
        images = _read(self._file)  # again: another kernel may have added to it
        used = replace(self.image, used=1 + max((each.used for each in images), default=0))
        place = next(
            (n for n, each in enumerate(images) if replace(each, used=used.used) == used), len(images)
        )
        images[place : place + 1] = [used]
        kept = sorted(images, key=lambda each: -each.used)[:MOST_IMAGES]
        _write(self._file, [each for each in images if each in kept])


def plan(spec: ImageSpec, notebook: str, place: str) -> Plan:
    """Choose the layers for what a cell needs; `place` is where images are built, e.g. a workspace of Modal's."""
    file = (
        state.directory("notebooks")
        / f"{hashlib.sha256(f'{place}/{notebook}'.encode()).hexdigest()[:24]}.json"
    )
    images = _read(file)
    needs = frozenset(spec.pip)
    asked = frozenset({*spec.asked, *(f"apt {package}" for package in spec.apt)})
    similar = [
        each
        for each in images
        if (each.base, each.python) == (spec.base, spec.python)
        and each.asked <= asked
        and not _clash(each.holds, needs)
    ]
    for each in similar:  # the first one: the same cell gets the same image, whatever came later
        if needs <= each.holds and asked <= each.asked:
            return Plan(each, "the image that this notebook had is not there any more", True, file)
    below = max(
        similar,
        key=lambda each: (len(each.holds & needs) + len(each.asked), -len(each.layers)),
        default=None,
    )
    if below is not None and not (below.holds & needs or below.asked):
        below = None
    full = below is not None and len(below.layers) >= MOST_LAYERS - 1  # it may get two more
    before, below = below, None if full else below
    base = below or Image(spec.base, spec.python, (), frozenset(), frozenset())
    layers = list(base.layers)
    if apt := sorted(package for package in spec.apt if f"apt {package}" not in base.asked):
        layers.append(Layer("apt", tuple(apt)))
    if needs - base.holds:
        # All of them, so that pip keeps to those that are there already.
        layers.append(Layer("pip", tuple(sorted(needs))))
    image = Image(spec.base, spec.python, tuple(layers), _holds(base, needs, spec.asked), asked)
    latest = max(images, key=lambda each: each.used, default=None)
    return Plan(image, _why(spec, image, before, latest, full), False, file)


def _holds(below: Image, needs: frozenset[str], asked: Iterable[str]) -> frozenset[str]:
    """Return what an image surely holds; a user's own version may have replaced what lower layers brought."""
    if any(asked):
        return needs
    new = {_name(each) for each in needs}
    return needs | {each for each in below.holds if _name(each) not in new}


def _why(spec: ImageSpec, image: Image, similar: Image | None, latest: Image | None, full: bool) -> str:
    """Say why there is no such image yet."""
    if latest is None:
        return "the first image of this notebook"
    if latest.python != spec.python:
        return f"Python {spec.python} instead of {latest.python}"
    if latest.base != spec.base:
        return f"--image {spec.base}" if spec.base else f"without --image {latest.base}"
    before = similar or latest
    apt = sorted(each for each in image.asked - before.asked if each.startswith("apt "))
    parts = [f"--{each}" for each in apt[:_NAMED]]
    had = {_name(each): each for each in before.holds}
    changed = sorted(each for each in set(spec.pip) - before.holds if _name(each) in had)
    parts += [
        f"{_name(each)} changed from {_which(had[_name(each)])} to {_which(each)}"
        for each in changed[:_NAMED]
    ]
    added = sorted(_name(each) for each in set(spec.pip) - before.holds if _name(each) not in had)
    if added:
        rest = f" and {len(added) - _NAMED} more" if len(added) > _NAMED else ""
        parts.append(f"{', '.join(added[:_NAMED])}{rest} added")
    if not parts:
        parts = ["fewer packages than the notebook's other images"]
    if full:
        parts.append(f"begun anew after {len(before.layers)} layers")
    return "; ".join(parts)


def _clash(held: Iterable[str], needed: Iterable[str]) -> bool:
    there, wanted = {_name(each) for each in held}, {_name(each) for each in needed}
    return any(wanted & rivals and (there & rivals) - wanted for rivals in _RIVALS)


def _name(requirement: str) -> str:
    try:
        return canonicalize_name(Requirement(requirement).name)
    except InvalidRequirement:
        return requirement  # an address


def _which(requirement: str) -> str:
    """Return what a requirement says beside its name, e.g. "4.66" of "tqdm==4.66"."""
    try:
        read = Requirement(requirement)
    except InvalidRequirement:
        return requirement
    extras = f"[{','.join(sorted(read.extras))}]" if read.extras else ""
    which = read.url or str(read.specifier).removeprefix("==") or "any version"
    return f"{which}{extras}"


def _read(file: Path) -> list[Image]:
    """Return what is remembered; nothing that cannot be read is missed: images are found again or built."""
    try:
        found = json.loads(file.read_text("utf-8"))
        if found["version"] != _VERSION:
            return []
        return [
            Image(
                each["base"],
                each["python"],
                tuple(Layer(layer["kind"], tuple(layer["packages"])) for layer in each["layers"]),
                frozenset(each["holds"]),
                frozenset(each["asked"]),
                each["used"],
            )
            for each in found["images"]
        ]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.debug("The notebook's images are not known: %r", error)
        return []


def _write(file: Path, images: Sequence[Image]) -> None:
    told = [{**asdict(each), "holds": sorted(each.holds), "asked": sorted(each.asked)} for each in images]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(f".{os.getpid()}.draft")
        draft.write_text(json.dumps({"version": _VERSION, "images": told}), "utf-8")
        draft.replace(file)
    except OSError as error:
        logger.debug("The notebook's images are not remembered: %r", error)
