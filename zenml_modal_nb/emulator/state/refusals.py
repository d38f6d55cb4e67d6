"""The reasons for which the local Modal API refuses a request; the wire gives each its gRPC status."""

from __future__ import annotations


class RefusedError(Exception):
    """Base of every refusal; the message is what the SDK's user reads."""


class UnauthenticatedError(RefusedError):
    """The token is wrong or has expired."""


class NotFoundError(RefusedError):
    """The named thing does not exist, or its sandbox has ended."""


class InvalidArgumentError(RefusedError):
    """The request cannot be met as it is written."""


class AlreadyExistsError(RefusedError):
    """The name is taken."""


class ConflictError(RefusedError):
    """The thing is in a state that does not allow this, e.g. its standard input is closed."""


class UnavailableError(RefusedError):
    """The thing is not there yet, or not at the moment; the SDK tries again for a while."""


class NoCapacityError(RefusedError):
    """There is no machine for what is asked."""


class TooLargeError(RefusedError):
    """The request is larger than this server reads into memory."""


class UnsupportedError(RefusedError):
    """Modal can do this, the local Modal API cannot."""
