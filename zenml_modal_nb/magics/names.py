"""Names as a user writes them: variables, packages, images, and what Modal calls things."""

from __future__ import annotations

import keyword
import re
import unicodedata

from zenml_modal_nb.errors import InvalidRequestError
from zenml_modal_nb.request import Place

_MODAL_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")  # modal's own rule for the names of objects, 1.6
_DEBIAN_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]*(?::[a-z0-9-]+)?(?:[=/]\S+)?")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]*")


def step(text: str) -> str:
    """Return the name of a step, a Python identifier."""
    if _is_variable(text):
        return text
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    words = re.sub(r"\W+", "_", plain).strip("_")
    suggestion = words if words[:1].isalpha() else f"step_{words}".rstrip("_")
    if keyword.iskeyword(suggestion):
        suggestion += "_"
    raise InvalidRequestError(
        f"Step name {text!r} is not a Python name. Write, for example, --name {suggestion}."
    )


def variables(text: str) -> tuple[str, ...]:
    """Return the names of "a,b", each once; none for an empty text."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if not _is_variable(name):
            raise InvalidRequestError(
                f"{name!r} is not the name of a variable. Write names with commas between: model,scores."
            )
    return names


def place(text: str) -> Place:
    """Return where the cell runs."""
    match text.strip().lower():
        case "local":
            return "local"
        case "modal":
            return "modal"
    raise InvalidRequestError(f"--on {text!r} is not a place. Write --on local (this machine) or --on modal.")


def modal_environment(text: str) -> str:
    """Return the name of a Modal environment."""
    return _modal_name("Modal environment", text)


def workspace(text: str) -> str:
    """Return the name of a Modal workspace."""
    return _modal_name("Workspace", text)


def operator(text: str) -> str:
    """Return the name of a ZenML step operator; which there are, ZenML knows."""
    if not text.strip():
        raise InvalidRequestError("--operator needs a name, as in --operator modal.")
    return text.strip()


def volume(text: str) -> str:
    """Return the name of a Modal volume."""
    return _modal_name("Volume", text)


def secret(text: str) -> str:
    """Return the name of a Modal secret."""
    if "=" in text:  # a value on a secret's option would be recorded with the cell
        raise InvalidRequestError(
            "--secret takes the name of a secret that exists in Modal, not a value. "
            "To send a value of this notebook, set it in a variable and write --env with its name alone."
        )
    return _modal_name("Secret", text)


def pip_requirement(text: str) -> str:
    """Return one requirement as pip reads it."""
    from zenml_modal_nb.cells.asked import asked  # here, so that loading the extension reads no cells

    wanted = text.strip()
    if wanted.startswith("-"):
        raise InvalidRequestError(
            f"--pip {text!r} is an option of pip. --pip takes one package, such as torch==2.9."
        )
    try:
        asked(wanted)
    except ValueError as error:
        raise InvalidRequestError(
            f"--pip {text!r} is not one package ({error}). Write --pip for each, as in --pip torch --pip numpy."
        ) from None
    if "file:" in wanted:
        raise InvalidRequestError(
            f"--pip {text!r} is a file of this machine, which the image's builder does not see. "
            "Name a release or a repository; a module next to the notebook travels with the cell by itself."
        )
    return wanted


def apt_package(text: str) -> str:
    """Return one Debian package, perhaps with a version."""
    wanted = text.strip()
    if not _DEBIAN_PACKAGE.fullmatch(wanted):
        raise InvalidRequestError(
            f"--apt {text!r} is not one Debian package. Write --apt for each, as in --apt git --apt curl."
        )
    return wanted


def image(text: str) -> str:
    """Return an image's reference in a registry."""
    wanted = text.strip()
    if not _IMAGE.fullmatch(wanted):
        raise InvalidRequestError(f"Image {text!r} is not a reference. Write one such as python:3.11-slim.")
    return wanted


def environment_variable(text: str) -> tuple[str, str | None]:
    """Return the name and value of "K=V"; None for the value of "K" alone, which the notebook will have."""
    name, equals, value = text.partition("=")
    if not (name.isascii() and name.isidentifier()):
        raise InvalidRequestError(
            f"--env {name!r} is no name of an environment variable. Write --env NAME=value or --env NAME."
        )
    return name, value if equals else None


def _modal_name(kind: str, text: str) -> str:
    wanted = text.strip()
    if not _MODAL_NAME.fullmatch(wanted):
        raise InvalidRequestError(
            f"{kind} {text!r} is not a name in Modal: those have at most 64 letters, digits and . _ -"
        )
    return wanted


def _is_variable(text: str) -> bool:
    return text.isidentifier() and not keyword.iskeyword(text)
