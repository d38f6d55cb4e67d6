"""Files as a user names them: what to send, what to bring back, where a volume is mounted."""

from __future__ import annotations

import posixpath

from zenml_modal_nb.errors import InvalidRequestError
from zenml_modal_nb.magics import names

# Modal refuses the first three; below the others a mount would hide what the sandbox runs on.
_TAKEN = ("/", "/root", "/tmp", "/home", "/opt", "/var")  # noqa: S108 - a path of the sandbox, refused
_SYSTEM = (
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/run", "/sbin", "/sys", "/usr",
    "/__modal",
)  # fmt: skip


def sent(text: str) -> str:
    """Return the path or pattern of what to send; whether it is there is seen when the cell is packaged."""
    if not text or "\0" in text:
        raise InvalidRequestError("--file needs a path, as in --file data.csv or --file images.")
    return text


def fetched(text: str) -> str:
    """Return a pattern of files in the sandbox's working directory."""
    if not text or "\0" in text:
        raise InvalidRequestError('--fetch needs a pattern, as in --fetch "out/*.pt".')
    if text.startswith(("/", "~")) or ".." in text.split("/"):
        raise InvalidRequestError(
            f"--fetch {text!r} leads out of the sandbox's working directory, whose files alone come back. "
            'Write the file there, and name it as in --fetch "out/*.pt".'
        )
    return text


def volume(text: str) -> tuple[str, str]:
    """Return the name and the mount path of "NAME:/path"."""
    name, colon, path = text.strip().partition(":")
    if not colon or not path:
        raise InvalidRequestError(
            f"--volume {text!r} is not understood. Write a name and where it is mounted, as in --volume data:/data."
        )
    path = path.rstrip("/") or "/"
    if (
        not path.startswith("/")
        or path.startswith("//")
        or posixpath.normpath(path) != path
        or not path.isprintable()
    ):
        raise InvalidRequestError(
            f"--volume {text!r} is not mounted at an absolute path. Write, for example, --volume {name}:/data."
        )
    if path in _TAKEN or any(path == taken or path.startswith(f"{taken}/") for taken in _SYSTEM):
        raise InvalidRequestError(
            f"A volume cannot be mounted at {path}, which the sandbox itself needs. "
            f"Write, for example, --volume {name}:/data."
        )
    return names.volume(name), path


def volume_text(item: tuple[str, str]) -> str:
    """Return the volume as `volume` reads it."""
    return ":".join(item)
