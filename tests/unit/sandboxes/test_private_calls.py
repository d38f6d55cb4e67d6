"""The places inside Modal's SDK that large values and floods lean on and that are not its public interface.

When one of these fails, the SDK has changed: look at `sandboxes/blocks.py` or `sandboxes/chunks.py`, then at the
versions in pyproject.toml. Until then large values travel by the SDK's own `put_file` and `read_file`, and output is
read line by line: slower, and as safe.
"""

from __future__ import annotations

import inspect

from modal_proto import api_pb2

from zenml_modal_nb.sandboxes import blocks

MOVED = "Modal's SDK has moved or changed {}; see the module's docstring for what it is used for."


def fields(message: type) -> set[str]:
    return {field.name for field in message.DESCRIPTOR.fields}  # type: ignore[attr-defined]


def test_all_that_is_taken_from_the_sdk_is_there() -> None:
    calls = blocks._calls()  # raises UnavailableError, which says what is not
    assert hasattr(calls.put, "aio"), MOVED.format("synchronize_api")
    assert hasattr(calls.get, "aio"), MOVED.format("synchronize_api")
    assert list(inspect.signature(calls.proxy).parameters) == ["host", "use_ssl"], MOVED.format(
        "get_proxy_url"
    )


def test_a_volumes_calls_have_the_fields_that_are_used() -> None:
    put, got = api_pb2.VolumePutFiles2Request, api_pb2.VolumeGetFile2Request
    assert fields(put) >= {"volume_id", "files"}, MOVED.format("VolumePutFiles2Request")
    assert fields(put.File) >= {"path", "size", "mode", "blocks"}, MOVED.format("VolumePutFiles2Request.File")
    assert fields(put.Block) >= {"contents_sha256", "put_response"}, MOVED.format(
        "VolumePutFiles2Request.Block"
    )
    missing = api_pb2.VolumePutFiles2Response.MissingBlock
    assert fields(missing) >= {"file_index", "put_url"}, MOVED.format("VolumePutFiles2Response.MissingBlock")
    assert fields(got) >= {"volume_id", "path", "client_pads_blocks"}, MOVED.format("VolumeGetFile2Request")
    assert fields(api_pb2.VolumeGetFile2Response) >= {"size", "get_urls"}, MOVED.format(
        "VolumeGetFile2Response"
    )


def test_the_sdk_cuts_and_names_blocks_as_we_do() -> None:
    from io import BytesIO

    from modal._utils.blob_utils import BLOCK_SIZE, _gather_block

    from zenml_modal_nb.runner import digests

    assert BLOCK_SIZE == digests.BLOCK, MOVED.format("BLOCK_SIZE")
    for content in (b"abc", b"abc" + bytes(5000), bytes(3_000_000), b"x" + bytes(3_000_000) + b"y\0"):
        theirs = _gather_block(lambda content=content: BytesIO(content), 0)  # type: ignore[misc]
        assert digests.of_blocks([content]) == [theirs.contents_sha256.hex()], MOVED.format("a block's name")
        assert sum(part.nbytes for part in digests.stripped([content])) == theirs.end
