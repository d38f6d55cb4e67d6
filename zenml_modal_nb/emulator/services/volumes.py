"""Volumes on the wire, of both versions."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path

from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2

from zenml_modal_nb.emulator.services.calls import Method
from zenml_modal_nb.emulator.services.creation import creation_of
from zenml_modal_nb.emulator.state.addresses import Address, Addresses
from zenml_modal_nb.emulator.state.blobs import Blobs
from zenml_modal_nb.emulator.state.blocks import BLOCK_SIZE
from zenml_modal_nb.emulator.state.environments import Environments
from zenml_modal_nb.emulator.state.mounts import Mounts
from zenml_modal_nb.emulator.state.refusals import InvalidArgumentError
from zenml_modal_nb.emulator.state.registry import Sandboxes
from zenml_modal_nb.emulator.state.trees import Entry, File, Tree
from zenml_modal_nb.emulator.state.volumes import Volume, Volumes

BATCH = 1000  # entries of a listing in one message
LARGEST_INLINE = 2 * 1024 * 1024  # bytes of a file that travel in the answer itself (version 1)


class VolumeService:
    """Find, make, list and remove volumes; put, read, list, copy and remove their files."""

    def __init__(
        self,
        environments: Environments,
        volumes: Volumes,
        mounts: Mounts,
        blobs: Blobs,
        sandboxes: Sandboxes,
        addresses: Addresses,
    ) -> None:
        self._environments = environments
        self._volumes = volumes
        self._mounts = mounts
        self._blobs = blobs
        self._sandboxes = sandboxes
        self._addresses = addresses

    def methods(self) -> Mapping[str, Method]:
        return {
            "VolumeGetOrCreate": self.get_or_create,
            "VolumeGetById": self.find,
            "VolumeHeartbeat": self.beat,
            "VolumeList": self.list,
            "VolumeRename": self.rename,
            "VolumeDelete": self.delete,
            "VolumeListFiles": self.list_files,
            "VolumeListFiles2": self.list_files_2,
            "VolumePutFiles": self.put_files,
            "VolumePutFiles2": self.put_files_2,
            "VolumeGetFile": self.get_file,
            "VolumeGetFile2": self.get_file_2,
            "VolumeRemoveFile": self.remove_file,
            "VolumeRemoveFile2": self.remove_file,
            "VolumeCopyFiles": self.copy_files,
            "VolumeCopyFiles2": self.copy_files,
            "VolumeCommit": self.commit,
            "VolumeReload": self.reload,
        }

    async def get_or_create(
        self, request: api_pb2.VolumeGetOrCreateRequest
    ) -> api_pb2.VolumeGetOrCreateResponse:
        volume = self._volumes.get_or_create(
            request.deployment_name,
            self._environments.existing(request.environment_name),
            # As at Modal: who asks for no version gets the first.
            request.version or api_pb2.VOLUME_FS_VERSION_V1,
            creation_of(request.object_creation_type),
        )
        return api_pb2.VolumeGetOrCreateResponse(
            volume_id=volume.id, version=_version(volume), metadata=_metadata(volume)
        )

    async def find(self, request: api_pb2.VolumeGetByIdRequest) -> api_pb2.VolumeGetByIdResponse:
        volume = self._volumes.get(request.volume_id)
        return api_pb2.VolumeGetByIdResponse(volume_id=volume.id, metadata=_metadata(volume))

    async def beat(self, request: api_pb2.VolumeHeartbeatRequest) -> Empty:
        self._volumes.beat(request.volume_id)
        return Empty()

    async def list(self, request: api_pb2.VolumeListRequest) -> api_pb2.VolumeListResponse:
        environment = self._environments.existing(request.environment_name)
        page = request.pagination
        found = self._volumes.listed(environment, page.created_before or math.inf, page.max_objects or 100)
        items = [
            api_pb2.VolumeListItem(
                label=volume.name,
                volume_id=volume.id,
                created_at=volume.created_at,
                metadata=_metadata(volume),
            )
            for volume in found
        ]
        return api_pb2.VolumeListResponse(items=items, environment_name=environment)

    async def rename(self, request: api_pb2.VolumeRenameRequest) -> Empty:
        self._volumes.rename(request.volume_id, request.name)
        return Empty()

    async def delete(self, request: api_pb2.VolumeDeleteRequest) -> Empty:
        await self._volumes.delete(request.volume_id)
        return Empty()

    async def list_files(
        self, request: api_pb2.VolumeListFilesRequest
    ) -> AsyncIterator[api_pb2.VolumeListFilesResponse]:
        for entries in self._batches(request):
            yield api_pb2.VolumeListFilesResponse(entries=entries)

    async def list_files_2(
        self, request: api_pb2.VolumeListFiles2Request
    ) -> AsyncIterator[api_pb2.VolumeListFiles2Response]:
        for entries in self._batches(request):
            yield api_pb2.VolumeListFiles2Response(entries=entries)

    async def put_files(self, request: api_pb2.VolumePutFilesRequest) -> Empty:
        self._volumes.get(request.volume_id)
        # Their contents have been put like those of an image's files.
        if absent := self._mounts.missing(file.sha256_hex for file in request.files):
            raise InvalidArgumentError(f"{len(absent)} files have not been uploaded.")
        paths = {file.filename: self._mounts.content(file.sha256_hex) for file in request.files}
        modes = {file.filename: file.mode or 0o644 for file in request.files}
        stored = {name: await asyncio.to_thread(self._stored, path) for name, path in paths.items()}
        now = time.time()
        files = {name: File(size, modes[name], now, blocks) for name, (size, blocks) in stored.items()}
        self._volumes.put(request.volume_id, files, not request.disallow_overwrite_existing_files)
        return Empty()

    async def put_files_2(self, request: api_pb2.VolumePutFiles2Request) -> api_pb2.VolumePutFiles2Response:
        self._volumes.get(request.volume_id)
        now = time.time()
        files = {
            file.path: File(
                file.size,
                file.mode or 0o644,
                now,
                tuple(block.contents_sha256.hex() for block in file.blocks),
            )
            for file in request.files
        }
        missing = await asyncio.to_thread(self._volumes.missing, list(files.values()))
        if not missing:
            self._volumes.put(request.volume_id, files, not request.disallow_overwrite_existing_files)
            return api_pb2.VolumePutFiles2Response()
        wanted = set(missing)
        blocks = []
        for file_index, file in enumerate(request.files):
            for block_index, block in enumerate(file.blocks):
                digest = block.contents_sha256.hex()
                if digest in wanted:
                    wanted.discard(digest)
                    url = self._addresses.url(Address("PUT", "block", digest))
                    blocks.append(
                        api_pb2.VolumePutFiles2Response.MissingBlock(
                            file_index=file_index, block_index=block_index, put_url=url
                        )
                    )
        return api_pb2.VolumePutFiles2Response(missing_blocks=blocks)

    async def get_file(self, request: api_pb2.VolumeGetFileRequest) -> api_pb2.VolumeGetFileResponse:
        file = self._file(request.volume_id, request.path)
        start, length = _part(request.start, request.len, file.size)
        response = api_pb2.VolumeGetFileResponse(size=file.size, start=start, len=length)
        data = await asyncio.to_thread(self._read, file, start, length)
        if length > LARGEST_INLINE:
            response.data_blob_id = await asyncio.to_thread(self._blobs.keep, data)
        else:
            response.data = data
        return response

    async def get_file_2(self, request: api_pb2.VolumeGetFile2Request) -> api_pb2.VolumeGetFile2Response:
        file = self._file(request.volume_id, request.path)
        start, length = _part(request.start, request.len, file.size)
        urls = []
        position = start
        while position < start + length:
            number, offset = divmod(position, BLOCK_SIZE)
            size = min(BLOCK_SIZE - offset, start + length - position)
            # Older SDKs take a body as it is; newer ones restore the zeros that a block's end leaves out.
            address = Address(
                "GET", "block", file.blocks[number], offset, size, not request.client_pads_blocks
            )
            urls.append(self._addresses.url(address))
            position += size
        return api_pb2.VolumeGetFile2Response(get_urls=urls, size=file.size, start=start, len=length)

    async def remove_file(
        self, request: api_pb2.VolumeRemoveFileRequest | api_pb2.VolumeRemoveFile2Request
    ) -> Empty:
        await self._volumes.remove(request.volume_id, request.path, request.recursive)
        return Empty()

    async def copy_files(
        self, request: api_pb2.VolumeCopyFilesRequest | api_pb2.VolumeCopyFiles2Request
    ) -> Empty:
        self._volumes.copy(request.volume_id, request.src_paths, request.dst_path, request.recursive)
        return Empty()

    async def commit(self, request: api_pb2.VolumeCommitRequest) -> api_pb2.VolumeCommitResponse:
        """Differs: it commits what every running sandbox that mounts the volume has written, whoever asks."""
        self._volumes.get(request.volume_id)
        await self._sandboxes.commit_volume(request.volume_id)
        return api_pb2.VolumeCommitResponse(skip_reload=True)

    async def reload(self, request: api_pb2.VolumeReloadRequest) -> Empty:
        """Differs: it reloads every running sandbox that mounts the volume, whoever asks."""
        self._volumes.get(request.volume_id)
        await self._sandboxes.reload_volume(request.volume_id)
        return Empty()

    def _batches(
        self, request: api_pb2.VolumeListFilesRequest | api_pb2.VolumeListFiles2Request
    ) -> Iterator[Sequence[api_pb2.FileEntry]]:
        tree: Tree = self._volumes.read(request.volume_id)
        entries = [_entry(entry) for entry in tree.listed(request.path, request.recursive)]
        entries = entries[: request.max_entries or None]
        return (entries[begin : begin + BATCH] for begin in range(0, len(entries), BATCH))

    def _file(self, volume_id: str, path: str) -> File:
        return self._volumes.read(volume_id).file(path)

    def _stored(self, path: Path) -> tuple[int, tuple[str, ...]]:
        with path.open("rb") as source:
            return self._volumes.blocks.add(source.fileno())

    def _read(self, file: File, start: int, length: int) -> bytes:
        pieces = []
        for number in range(start // BLOCK_SIZE, -(-(start + length) // BLOCK_SIZE)):
            with self._volumes.blocks.open(file.blocks[number]) as block:
                size = min(BLOCK_SIZE, file.size - number * BLOCK_SIZE)
                pieces.append(block.read().ljust(size, b"\0"))
        offset = start % BLOCK_SIZE
        return b"".join(pieces)[offset : offset + length]


def _part(start: int, length: int, size: int) -> tuple[int, int]:
    if start > size:
        raise InvalidArgumentError(f"The file has {size} bytes; there is nothing at {start}.")
    return start, min(length or size, size - start)


def _version(volume: Volume) -> api_pb2.VolumeFsVersion.ValueType:
    first = volume.version == api_pb2.VOLUME_FS_VERSION_V1
    return api_pb2.VOLUME_FS_VERSION_V1 if first else api_pb2.VOLUME_FS_VERSION_V2


def _metadata(volume: Volume) -> api_pb2.VolumeMetadata:
    return api_pb2.VolumeMetadata(
        version=_version(volume),
        name=volume.name,
        creation_info=api_pb2.CreationInfo(created_at=volume.created_at),
    )


def _entry(entry: Entry) -> api_pb2.FileEntry:
    kind = api_pb2.FileEntry.FileType.FILE if entry.file else api_pb2.FileEntry.FileType.DIRECTORY
    size = entry.file.size if entry.file else 0
    return api_pb2.FileEntry(path=entry.path, type=kind, mtime=int(entry.modified), size=size)
