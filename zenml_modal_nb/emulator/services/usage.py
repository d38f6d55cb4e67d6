"""What sandboxes have used and would cost, on the wire."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from decimal import Decimal

from modal_proto import api_pb2

from zenml_modal_nb.emulator.services.calls import Method
from zenml_modal_nb.emulator.services.moments import SECOND, nanoseconds_of, timestamp_of
from zenml_modal_nb.emulator.state.apps import App, Apps
from zenml_modal_nb.emulator.state.environments import Environments
from zenml_modal_nb.emulator.state.ledger import HOUR
from zenml_modal_nb.emulator.state.refusals import NotFoundError
from zenml_modal_nb.emulator.state.registry import Sandboxes

_POINTS = (0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)


class UsageService:
    """Statistics of one sandbox, and a report of all."""

    def __init__(self, environments: Environments, apps: Apps, sandboxes: Sandboxes) -> None:
        self._environments = environments
        self._apps = apps
        self._sandboxes = sandboxes

    def methods(self) -> Mapping[str, Method]:
        return {
            "SandboxGetStats": self.describe,
            "SandboxGetStatsV2": self.describe,
            "WorkspaceBillingReport": self.report,
        }

    async def describe(self, request: api_pb2.SandboxGetStatsRequest) -> api_pb2.SandboxGetStatsResponse:
        """Differs: up to date at once, and always of the whole life of the sandbox."""
        sandbox = self._sandboxes.get(request.sandbox_id)
        usage, cost = sandbox.usage, sandbox.usage.cost()
        return api_pb2.SandboxGetStatsResponse(
            cost=str(cost.total),
            cost_by_resource={name: str(value) for name, value in cost.by_resource.items()},
            num_datapoints=len(usage.cpu_samples),
            duration_hours=usage.seconds / 3600,
            billed_cpu_core_seconds=usage.cpu_core_seconds,
            billed_memory_gib_seconds=usage.memory_gib_seconds,
            since=timestamp_of(round(sandbox.created_at * SECOND)),
            until=timestamp_of(round((sandbox.ended_at or time.time()) * SECOND)),
            percentile_stats={
                "cpu_cores": _distribution("cores", usage.cpu_samples),
                "memory_gib": _distribution("GiB", usage.memory_samples),
            },
        )

    async def report(
        self, request: api_pb2.WorkspaceBillingReportRequest
    ) -> AsyncIterator[api_pb2.WorkspaceBillingReportItem]:
        """Differs: up to date at once."""
        width = HOUR if request.resolution == "h" else 24 * HOUR
        begin = nanoseconds_of(request.start_timestamp) / SECOND
        end = nanoseconds_of(request.end_timestamp) / SECOND or time.time()
        costs: dict[tuple[int, str], dict[str, Decimal]] = {}
        for hour, app_id, amount in self._sandboxes.ledger.between(begin, end):
            sums = costs.setdefault((hour // width * width, app_id), {})
            for name, value in amount.cost().by_resource.items():
                sums[name] = sums.get(name, Decimal(0)) + value
        environments = {self._environments.by_id(wanted).name for wanted in request.environment_ids}
        for (interval, app_id), sums in sorted(costs.items()):
            try:
                app = self._apps.get(app_id)
            except NotFoundError:  # its record was damaged; what it has used is billed all the same
                app = App(app_id, "", "", 0.0)
            if request.app_ids and app_id not in request.app_ids:
                continue
            if environments and app.environment not in environments:
                continue
            yield api_pb2.WorkspaceBillingReportItem(
                object_id=app_id,
                description=app.name,
                environment_name=app.environment,
                interval=timestamp_of(interval * SECOND),
                cost=str(sum(sums.values(), Decimal(0))),
                tags={name: app.tags[name] for name in request.tag_names if name in app.tags},
                cost_by_resource={name: str(value) for name, value in sums.items()},
            )


def _distribution(unit: str, samples: Sequence[float]) -> api_pb2.StatsPercentileDistribution:
    ordered = sorted(samples)
    points = [
        api_pb2.StatsPercentile(
            percentile_basis_points=round(point * 10_000), value=ordered[round(point * (len(ordered) - 1))]
        )
        for point in _POINTS
        if ordered
    ]
    return api_pb2.StatsPercentileDistribution(unit=unit, percentiles=points)
