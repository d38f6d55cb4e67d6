"""Blobs on the wire: contents too large for a message."""

from __future__ import annotations

from collections.abc import Mapping

from modal_proto import api_pb2

from zenml_modal_nb.emulator.services.calls import Method
from zenml_modal_nb.emulator.state.addresses import Address, Addresses
from zenml_modal_nb.emulator.state.blobs import Blobs


class BlobService:
    """Say where a content can be put, and from where it can be read."""

    def __init__(self, blobs: Blobs, addresses: Addresses) -> None:
        self._blobs = blobs
        self._addresses = addresses

    def methods(self) -> Mapping[str, Method]:
        return {"BlobCreate": self.create, "BlobGet": self.get}

    async def create(self, _: api_pb2.BlobCreateRequest) -> api_pb2.BlobCreateResponse:
        blob_id = self._blobs.create()
        url = self._addresses.url(Address("PUT", "blob", blob_id))
        # Older SDKs read the first two fields, newer ones the lists.
        return api_pb2.BlobCreateResponse(
            blob_id=blob_id,
            upload_url=url,
            blob_ids=[blob_id],
            upload_urls=api_pb2.UploadUrlList(items=[url]),
        )

    async def get(self, request: api_pb2.BlobGetRequest) -> api_pb2.BlobGetResponse:
        self._blobs.path(request.blob_id)
        return api_pb2.BlobGetResponse(
            download_url=self._addresses.url(Address("GET", "blob", request.blob_id))
        )
