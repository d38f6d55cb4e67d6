"""Images and the files of their build context on the wire."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping

from modal_proto import api_pb2

from zenml_modal_nb.emulator.services.calls import Method
from zenml_modal_nb.emulator.state.blobs import Blobs
from zenml_modal_nb.emulator.state.builds import Layer
from zenml_modal_nb.emulator.state.images import Image, Images
from zenml_modal_nb.emulator.state.mounts import MountedFile, Mounts
from zenml_modal_nb.emulator.state.output import Reading
from zenml_modal_nb.emulator.state.refusals import InvalidArgumentError, UnsupportedError
from zenml_modal_nb.emulator.state.secrets import Secrets


class ImageService:
    """Accept build requests and tell how they went."""

    def __init__(self, images: Images, mounts: Mounts, blobs: Blobs, secrets: Secrets) -> None:
        self._images = images
        self._mounts = mounts
        self._blobs = blobs
        self._secrets = secrets

    def methods(self) -> Mapping[str, Method]:
        return {
            "ImageGetOrCreate": self.get_or_create,
            "ImageJoinStreaming": self.join,
            "ImageFromId": self.find,
            "MountBatchedCheckExistence": self.check_files,
            "MountPutFile": self.put_file,
            "MountGetOrCreate": self.create_mount,
        }

    async def get_or_create(
        self, request: api_pb2.ImageGetOrCreateRequest
    ) -> api_pb2.ImageGetOrCreateResponse:
        """Differs: in `host` mode files are copied and nothing is installed: the sandbox runs in this machine's
        Python environment. In `venv` mode each layer is a virtual environment built with uv; system packages and
        registry images are recorded, not provided. Build functions and builds with volumes are refused.
        """
        if request.build_function_id or request.image.HasField("build_function"):
            raise UnsupportedError("Image.run_function needs Modal: functions do not run here.")
        if request.image.volume_mounts:
            raise UnsupportedError("A build with volumes needs Modal.")
        image = await self._images.get_or_create(
            self._layer(request.image, request.builder_version),
            request.builder_version,
            request.force_build or request.ignore_cache,
        )
        # Without a result the SDK joins the build and shows its log.
        if not image.built:
            return api_pb2.ImageGetOrCreateResponse(image_id=image.id)
        return api_pb2.ImageGetOrCreateResponse(
            image_id=image.id, result=_result(image), metadata=_metadata(image)
        )

    def _layer(self, definition: api_pb2.Image, builder_version: str) -> Layer:
        variables = self._secrets.values(definition.secret_ids)
        mount_id = definition.context_mount_id
        # A secret made for this definition has another ID each time: what it holds tells whether it is the same.
        plain = api_pb2.Image()
        plain.CopyFrom(definition)
        plain.ClearField("secret_ids")
        plain.image_registry_config.ClearField("secret_id")
        held = hashlib.sha256(json.dumps(variables, sort_keys=True).encode()).digest()
        return Layer(
            content=plain.SerializeToString(deterministic=True) + builder_version.encode() + held,
            bases=tuple(base.image_id for base in definition.base_images),
            commands=tuple(definition.dockerfile_commands),
            files={file.filename: file.data for file in definition.context_files},
            mount=mount_id,
            mount_name=self._mounts.get(mount_id).name if mount_id else "",
            secrets=variables,
            credentials=bool(definition.image_registry_config.secret_id),
        )

    async def join(
        self, request: api_pb2.ImageJoinStreamingRequest
    ) -> AsyncIterator[api_pb2.ImageJoinStreamingResponse]:
        image = self._images.get(request.image_id)
        # An entry is named by the position after it, so a reader can go on where it stopped.
        entry = request.last_entry_id or "0"
        if not entry.isdecimal():
            raise InvalidArgumentError(f"This log has no entry {entry!r}.")
        deadline = asyncio.get_running_loop().time() + request.timeout
        async for piece in image.log.texts(int(entry), Reading(), deadline):
            if piece is not None:
                entry = str(piece[0])
                line = api_pb2.TaskLogs(data=piece[1], task_state=api_pb2.TASK_STATE_ACTIVE)
                yield api_pb2.ImageJoinStreamingResponse(task_logs=[line], entry_id=entry)
        if image.built:
            yield api_pb2.ImageJoinStreamingResponse(
                result=_result(image), metadata=_metadata(image), entry_id=entry, eof=True
            )

    async def find(self, request: api_pb2.ImageFromIdRequest) -> api_pb2.ImageFromIdResponse:
        image = self._images.get(request.image_id)
        return api_pb2.ImageFromIdResponse(image_id=image.id, metadata=_metadata(image))

    async def check_files(
        self, request: api_pb2.MountBatchedCheckExistenceRequest
    ) -> api_pb2.MountBatchedCheckExistenceResponse:
        missing = self._mounts.missing(request.sha256_hex_hashes)
        return api_pb2.MountBatchedCheckExistenceResponse(missing_sha256_hex_hashes=missing)

    async def put_file(self, request: api_pb2.MountPutFileRequest) -> api_pb2.MountPutFileResponse:
        # Asked first without the content, whether the file is there already; a large one comes as a blob.
        match request.WhichOneof("data_oneof"):
            case "data":
                self._mounts.put(request.sha256_hex, request.data)
            case "data_blob_id":
                blob = self._blobs.path(request.data_blob_id)
                await asyncio.to_thread(self._mounts.adopt, request.sha256_hex, blob)
        return api_pb2.MountPutFileResponse(exists=not self._mounts.missing([request.sha256_hex]))

    async def create_mount(
        self, request: api_pb2.MountGetOrCreateRequest
    ) -> api_pb2.MountGetOrCreateResponse:
        files = [MountedFile(file.filename, file.sha256_hex, file.mode) for file in request.files]
        mount = self._mounts.create(request.deployment_name, files)
        return api_pb2.MountGetOrCreateResponse(
            mount_id=mount.id, handle_metadata=api_pb2.MountHandleMetadata(content_checksum_sha256_hex="")
        )


def _result(image: Image) -> api_pb2.GenericResult:
    if image.failure:
        return api_pb2.GenericResult(
            status=api_pb2.GenericResult.GENERIC_STATUS_FAILURE, exception=image.failure
        )
    return api_pb2.GenericResult(status=api_pb2.GenericResult.GENERIC_STATUS_SUCCESS)


def _metadata(image: Image) -> api_pb2.ImageMetadata:
    return api_pb2.ImageMetadata(
        python_version_info=f"Python {image.recipe.python}" if image.recipe.python else "",
        workdir=image.recipe.workdir,
        image_builder_version=image.builder_version,
    )
