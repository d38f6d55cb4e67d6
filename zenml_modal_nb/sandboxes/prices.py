"""The prices that hold for a connection: the workspace's own where it is billed, else the package's dated figures."""

from __future__ import annotations

import logging
import os

from zenml_modal_nb.events import Target
from zenml_modal_nb.pricing import rates
from zenml_modal_nb.pricing.meter import Meter
from zenml_modal_nb.pricing.rates import Rates
from zenml_modal_nb.sandboxes.connection import Connection

logger = logging.getLogger(__name__)


_told: dict[Connection, Rates] = {}  # what workspaces have answered; anything else may be another next time


def prices_for(connection: Connection) -> Rates:
    """Return the rates for a connection; a workspace is asked until it answers, a refusal is no reason not to run."""
    if not connection.billed or _overridden():
        return rates.snapshot()
    known = _told.get(connection)
    if known is not None:
        return known
    import modal

    try:
        workspace = modal.Workspace.from_context(client=connection.client)
        found = rates.from_workspace(workspace.billing.rates(), f"rates of workspace {connection.workspace}")
    except modal.exception.Error as error:
        logger.debug("No rates from %s: %r", connection.url, error)
        return rates.snapshot()
    _told[connection] = found
    return found


def priced(
    connection: Connection,
    *,
    step_name: str,
    gpu: str | None,
    cpu: float,
    memory_mib: int,
    region: str | None,
    cloud: str | None,
    timeout: int,
    grace: int = 0,
) -> tuple[Target, Meter]:
    """Return where a run goes and at what price, with the meter that counts it; `gpu` is in Modal's own notation."""
    prices = prices_for(connection)
    meter = Meter(gpu, cpu, memory_mib, region, prices)
    target = Target(
        step_name=step_name,
        place=connection.label,
        billed=connection.billed,
        gpu=gpu,
        cpu=cpu,
        memory_mib=memory_mib,
        region=region,
        cloud=cloud,
        timeout=timeout,
        grace=grace,
        hourly_rate=None if meter.hourly is None else float(meter.hourly),
        rate_source=prices.source,
    )
    return target, meter


def _overridden() -> bool:
    return bool(os.environ.get(rates.OVERRIDE_VARIABLE))
