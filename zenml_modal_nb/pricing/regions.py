"""The regions and clouds that Modal has, and those regions that it prices as broad ones."""

from __future__ import annotations

import re

from zenml_modal_nb.errors import InvalidRequestError
from zenml_modal_nb.spelling import one_slip_away

# Modal's placement guide, November 2026; every other name, e.g. "us-east" or "us-east-1", is a narrow one.
BROAD_REGIONS = ("us", "eu", "ap", "uk", "ca", "me", "sa", "af", "mx")
# Modal's region and cloud selection guide, November 2026. Providers' own names, e.g. us-east-1, hold as well.
NARROW_REGIONS = (
    "us-east", "us-central", "us-south", "us-west", "eu-west", "eu-north", "eu-south",
    "ap-northeast", "ap-southeast", "ap-south", "ap-melbourne", "jp", "au",
)  # fmt: skip
CLOUDS = ("aws", "gcp", "oci", "auto")
_CLOUD_OWNERS = {"amazon": "aws", "google": "gcp", "oracle": "oci"}
_NOT_MODALS_CLOUDS = ("azure", "microsoft")  # what people ask for; another may be newer than the list above


def region(text: str) -> str:
    """Return a region of Modal's, or what looks like a provider's own, e.g. us-east-1."""
    wanted = text.strip().lower()
    known = (*BROAD_REGIONS, *NARROW_REGIONS)
    if wanted in known:
        return wanted
    if re.fullmatch(r"[a-z]+(?:-[a-z]+)*-?\d+(?:-?[a-z])?", wanted) and "-" in wanted:
        return wanted
    meant = one_slip_away(wanted, known)
    if meant:
        raise InvalidRequestError(f"Region {text!r} is unknown to Modal. Did you mean {_either(meant)}?")
    if re.fullmatch(r"[a-z]{2}(?:-[a-z]+)*", wanted):
        return wanted  # the shape of Modal's own names: it may have one that is newer than the list above
    raise InvalidRequestError(
        f"Region {text!r} is unknown to Modal. It has {', '.join(known)}, "
        "and providers' own names such as us-east-1."
    )


def cloud(text: str) -> str:
    """Return a cloud provider's name as Modal spells it; a well-formed unknown one is passed on."""
    wanted = text.strip().lower()
    meant = (_CLOUD_OWNERS[wanted],) if wanted in _CLOUD_OWNERS else one_slip_away(wanted, CLOUDS)
    passed_on = not meant and wanted not in _NOT_MODALS_CLOUDS
    if wanted in CLOUDS or (passed_on and re.fullmatch(r"[a-z][a-z0-9-]*", wanted)):
        return wanted
    advice = f"Did you mean {_either(meant)}?" if meant else f"It has {', '.join(CLOUDS)}."
    raise InvalidRequestError(f"Cloud {text!r} is unknown to Modal. {advice}")


def _either(words: tuple[str, ...]) -> str:
    return " or ".join(repr(word) for word in words)
