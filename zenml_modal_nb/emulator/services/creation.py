"""How the wire says what to do when a named thing is, or is not, there."""

from __future__ import annotations

from modal_proto import api_pb2

from zenml_modal_nb.emulator.state.creation import Creation
from zenml_modal_nb.emulator.state.refusals import InvalidArgumentError

_CREATIONS = {
    api_pb2.OBJECT_CREATION_TYPE_UNSPECIFIED: Creation.LOOK_UP,
    api_pb2.OBJECT_CREATION_TYPE_CREATE_IF_MISSING: Creation.IF_MISSING,
    api_pb2.OBJECT_CREATION_TYPE_CREATE_FAIL_IF_EXISTS: Creation.FAIL_IF_EXISTS,
    api_pb2.OBJECT_CREATION_TYPE_CREATE_OVERWRITE_IF_EXISTS: Creation.OVERWRITE,
    api_pb2.OBJECT_CREATION_TYPE_ANONYMOUS_OWNED_BY_APP: Creation.EPHEMERAL,
    api_pb2.OBJECT_CREATION_TYPE_EPHEMERAL: Creation.EPHEMERAL,
}


def creation_of(wire: api_pb2.ObjectCreationType.ValueType) -> Creation:
    """The creation type a client sent; raises InvalidArgumentError for one that does not exist."""
    creation = _CREATIONS.get(wire)
    if creation is None:
        raise InvalidArgumentError("This way of creating an object is unknown.")
    return creation
