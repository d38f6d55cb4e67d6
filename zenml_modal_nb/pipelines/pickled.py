"""Artifacts by our own pickling, for values that ZenML cannot save, or would not restore as they are.

A value travels to its materializer inside a `PickledValue`, by whose type ZenML's registry finds the materializer; so
the artifact's data type in ZenML is that class, and loading it anywhere needs this package and nothing of the notebook.
"""

from __future__ import annotations

import builtins
import hashlib
import os
import platform
from typing import TYPE_CHECKING, Any, ClassVar

import cloudpickle
from zenml.enums import ArtifactType
from zenml.materializers.base_materializer import BaseMaterializer

from zenml_modal_nb.errors import ArtifactError
from zenml_modal_nb.runner import functions, pickling
from zenml_modal_nb.runner.blocks import DamagedValuesError
from zenml_modal_nb.runner.copies import Copies

if TYPE_CHECKING:
    from zenml.metadata.metadata_types import MetadataType

_FILE = "value.zmnb"


class PickledValue:
    """Carries a value to its materializer; made by `artifacts`. What is loaded is the value itself."""

    def __init__(self, value: object) -> None:
        self.value = value


class PickledValueMaterializer(BaseMaterializer):
    """A values file of two graphs, see ARCHITECTURE.md: what wrote it, and the value with its definitions."""

    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (PickledValue,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA

    _digest: str | None = None

    def save(self, data: PickledValue) -> None:
        """Write the value; raises what pickling it raises."""
        writer = pickling.Writer(functions.current_namespace(), definitions=True, announced=[data.value])
        writer.add(_about(data.value))
        writer.add(data.value)
        values = writer.finish()
        with self.artifact_store.open(self._path, "wb") as file:
            values.write(file)
        self._digest = values.digest

    def load(self, data_type: type[Any]) -> Any:
        """Restore the value, its classes and functions included.

        Functions get globals of their own, and nothing that this process has is changed.

        Raises:
            ArtifactError: says what is missing here.
        """
        with self.artifact_store.open(self._path, "rb") as file:
            data = bytearray(file.read())
        if self.expected_content_hash not in (None, hashlib.sha256(data).hexdigest()):
            raise ArtifactError(f"The artifact at {self.uri} is not what was recorded: its digest differs.")
        about: dict[str, str] = {}
        namespace = {"__name__": "__main__", "__builtins__": builtins}
        try:
            with pickling.Reader(data, namespace, copies=Copies()) as reader:
                about = reader.read()
                return reader.read()
        except DamagedValuesError as error:
            raise ArtifactError(f"The artifact at {self.uri} is damaged: {error}.") from error
        except Exception as error:  # a class may do anything when it is restored
            raise ArtifactError(_told(about, error)) from error

    def extract_metadata(self, data: PickledValue) -> dict[str, MetadataType]:
        """Return what the dashboard shows: the value's own type, and what it was pickled with."""
        return dict(_about(data.value))

    def compute_content_hash(self, data: PickledValue) -> str | None:
        """Return the file's digest."""
        return self._digest

    @property
    def _path(self) -> str:
        return os.path.join(self.uri, _FILE)


def _about(value: object) -> dict[str, str]:
    kind = type(value)
    return {
        "type": f"{kind.__module__}.{kind.__qualname__}",
        "python": platform.python_version(),
        "cloudpickle": cloudpickle.__version__,
    }


def _told(about: dict[str, str], error: Exception) -> str:
    what = about.get("type", "value")
    text = f"The recorded {what} cannot be restored here: {type(error).__name__}: {error}."
    if isinstance(error, ImportError | AttributeError):
        return f"{text} Install the package that it needs, or load it where the notebook ran."
    if about.get("python", "").split(".")[:2] != platform.python_version().split(".")[:2]:
        recorded = about.get("python", "another version")
        return f"{text} It was recorded by Python {recorded}; load it with the same minor version."
    return text
