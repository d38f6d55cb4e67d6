"""Logs after the fact on the wire: fetched by time, counted, or the last lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from modal_proto import api_pb2

from zenml_modal_nb.emulator.services.calls import Method
from zenml_modal_nb.emulator.services.moments import SECOND, nanoseconds_of, timestamp_of
from zenml_modal_nb.emulator.state import journal
from zenml_modal_nb.emulator.state.apps import Apps
from zenml_modal_nb.emulator.state.journal import STDERR, STDOUT, Line, Search
from zenml_modal_nb.emulator.state.registry import Sandboxes
from zenml_modal_nb.emulator.state.sandboxes import Sandbox

_STREAMS = {
    api_pb2.FILE_DESCRIPTOR_UNSPECIFIED: (STDOUT, STDERR),
    api_pb2.FILE_DESCRIPTOR_STDOUT: (STDOUT,),
    api_pb2.FILE_DESCRIPTOR_STDERR: (STDERR,),
}
_DESCRIPTORS = {STDOUT: api_pb2.FILE_DESCRIPTOR_STDOUT, STDERR: api_pb2.FILE_DESCRIPTOR_STDERR}
MOST = 20_000  # lines in one answer


class JournalService:
    """Lines that sandboxes have printed, with their times."""

    def __init__(self, apps: Apps, sandboxes: Sandboxes) -> None:
        self._apps = apps
        self._sandboxes = sandboxes

    def methods(self) -> Mapping[str, Method]:
        return {"AppFetchLogs": self.fetch, "AppCountLogs": self.count}

    async def fetch(self, request: api_pb2.AppFetchLogsRequest) -> api_pb2.AppFetchLogsResponse:
        most = min(request.limit or MOST, MOST)
        found: list[tuple[Sandbox, Line]] = []
        for sandbox in self._wanted(request):
            found += [(sandbox, line) for line in await journal.latest(sandbox, _search(request), most)]
            found = sorted(found, key=lambda pair: pair[1].at)[-most:]
        batches = [
            api_pb2.TaskLogsBatch(
                task_id=sandbox.task_id,
                items=[
                    api_pb2.TaskLogs(
                        data=line.text,
                        timestamp=line.at / SECOND,
                        timestamp_ns=line.at,
                        file_descriptor=_DESCRIPTORS[line.stream],
                    )
                ],
            )
            for sandbox, line in found
        ]
        return api_pb2.AppFetchLogsResponse(batches=batches)

    async def count(self, request: api_pb2.AppCountLogsRequest) -> api_pb2.AppCountLogsResponse:
        width = max(request.bucket_secs, 1) * SECOND
        begin = nanoseconds_of(request.since)
        out: Counter[int] = Counter()
        err: Counter[int] = Counter()
        for sandbox in self._wanted(request):
            async for line in journal.matching(sandbox, _search(request)):
                (out if line.stream == STDOUT else err)[(line.at - begin) // width] += 1
        buckets = []
        for number in sorted(out.keys() | err.keys()):
            buckets.append(
                api_pb2.AppCountLogsResponse.LogBucket(
                    bucket_start_at=timestamp_of(begin + number * width),
                    stdout_logs=out[number],
                    stderr_logs=err[number],
                )
            )
        return api_pb2.AppCountLogsResponse(app_id=request.app_id, buckets=buckets)

    def _wanted(self, request: api_pb2.AppFetchLogsRequest | api_pb2.AppCountLogsRequest) -> list[Sandbox]:
        return [
            sandbox
            for sandbox in self._sandboxes.of_app(self._apps.get(request.app_id).id)
            if request.task_id in ("", sandbox.task_id) and request.sandbox_id in ("", sandbox.id)
        ]


def _search(request: api_pb2.AppFetchLogsRequest | api_pb2.AppCountLogsRequest) -> Search:
    since, until = nanoseconds_of(request.since), nanoseconds_of(request.until)
    return Search(_STREAMS.get(request.source, ()), since, until, request.search_text)
