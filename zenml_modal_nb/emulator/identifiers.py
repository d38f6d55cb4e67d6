"""Identifiers of the shapes the Modal SDK recognises."""

from __future__ import annotations

import hashlib
import secrets
import string

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
LENGTH = 22  # of the random part of an app, image, secret or V1 sandbox identifier

# modal/sandbox/_common.py: "sb-" and 22 base62 characters is V1, any other shape is V2.
V2_LENGTH = 26


def random_id(prefix: str, length: int = LENGTH) -> str:
    """A fresh identifier, e.g. `ap-3kF…`."""
    return f"{prefix}-{''.join(secrets.choice(BASE62) for _ in range(length))}"


def content_id(prefix: str, content: bytes) -> str:
    """An identifier that is the same for the same content."""
    number = int.from_bytes(hashlib.sha256(content).digest(), "big")
    digits = []
    for _ in range(LENGTH):
        number, digit = divmod(number, len(BASE62))
        digits.append(BASE62[digit])
    return f"{prefix}-{''.join(digits)}"


def sandbox_id(version: int) -> str:
    """An identifier whose shape tells the SDK which of the two sandbox backends it belongs to."""
    return random_id("sb", LENGTH if version == 1 else V2_LENGTH)


def task_id(version: int) -> str:
    """A task identifier; the SDK takes one that ends in V for a V2 sandbox's."""
    return random_id("ta", LENGTH - 1) + ("0" if version == 1 else "V")
