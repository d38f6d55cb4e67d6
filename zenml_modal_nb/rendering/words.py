"""A panel's facts in words: the same in HTML, in a terminal and in a log file.

What others wrote (a user, a sandbox, a server) leaves here without control characters. HTML escaping is
`markup`'s.
"""

from __future__ import annotations

from zenml_modal_nb.events import File, Reason, Recorded, Started, Target, Transfer
from zenml_modal_nb.rendering.ansi import plain
from zenml_modal_nb.rendering.panel import Panel, Phase

SEPARATOR = " · "
_LEAST = 0.0001  # USD; less would be shown as nothing
_MOST_FILES = 20  # listed by name
_MODAL = "https://modal.com/id/"  # what the SDK's `Sandbox.get_dashboard_url` gives, 1.6.4
# When a request was far off: of defaults, which are small, nobody needs to hear.
_FAR = 4
_MUCH_MEMORY = 8 * 1024  # MiB
_MANY_CORES = 4
_IDLE_GPU = 10  # percent
_ENOUGH_SAMPLES = 3  # the third comes after eight seconds
LONGEST_MESSAGE = 300  # characters of an error's message in the panel; the error itself is shown below it


def clock(seconds: float) -> str:
    """Return e.g. "0:12" or "1:02:03"."""
    minutes, second = divmod(max(0, int(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def taken(seconds: float) -> str:
    """Return how long something took, as `clock` does."""
    return "< 1 s" if seconds < 1 else clock(seconds)


def span(seconds: int) -> str:
    """Return e.g. "1 h 30 min", for a limit rather than a stopwatch."""
    minutes, second = divmod(max(0, seconds), 60)
    hours, minute = divmod(minutes, 60)
    parts = [(hours, "h"), (minute, "min"), (second, "s")]
    return " ".join(f"{amount} {unit}" for amount, unit in parts if amount) or "0 s"


def money(usd: float) -> str:
    """Return dollars with as many decimals as a short run needs, e.g. "$0.0123", "$3.15" or "< $0.0001"."""
    if 0 < usd < _LEAST:
        return f"< ${_LEAST}"
    return f"${usd:,.4f}" if usd < 1 else f"${usd:,.2f}"


def name(target: Target) -> str:
    """Return the step's name on one line."""
    return shortened(target.step_name, 80)


def place(target: Target) -> str:
    """Return where the run goes and whether it costs anything there."""
    where = shortened(target.place, 120)
    return where if target.billed or "not billed" in where else f"{where}, not billed"


def resources(target: Target) -> str:
    """Return e.g. "2 × A100 · 4 cores · 8 GiB · us-east"."""
    parts: list[str] = []
    if target.gpu:
        kind, _, count = target.gpu.partition(":")
        parts.append(f"{count} × {kind}" if count not in ("", "1") else kind)
    if target.cpu is not None:
        parts.append(f"{target.cpu:g} core" + ("" if target.cpu == 1 else "s"))
    if target.memory_mib is not None:
        whole_gib = target.memory_mib >= 1024
        parts.append(f"{target.memory_mib / 1024:.4g} GiB" if whole_gib else f"{target.memory_mib} MiB")
    parts += [place for place in (target.region, target.cloud) if place]
    return shortened(SEPARATOR.join(parts), 200)


def rate(target: Target) -> str:
    """Return the price per hour and its source, or what it would be where nothing is billed."""
    if target.hourly_rate is None:
        return "price per hour unknown"
    amount = f"${target.hourly_rate:,.2f}/h"
    source = f" ({shortened(target.rate_source, 80)})" if target.rate_source else ""
    return f"{amount}{source}" if target.billed else f"would cost {amount} on Modal{source}"


def limit(target: Target) -> str:
    """Return the time limit, and how much of it the run may go on alone."""
    alone = f"{SEPARATOR}ends {span(target.grace)} after the notebook is gone" if target.grace else ""
    return f"timeout {span(target.timeout)}{alone}"


def note(target: Target) -> str:
    """Return what a user must not misread about this place, or an empty text."""
    if target.billed:
        return ""
    gpu = "GPU recorded and priced, not provided here" if target.gpu else ""
    image = "image recorded, not used here" if target.own_image else ""
    packages = (
        "packages recorded, not installed here (--pip: unless the local Modal API runs with --images venv)"
        if target.packages
        else ""
    )
    return SEPARATOR.join(part for part in (gpu, image, packages) if part)


def facts(target: Target) -> list[str]:
    """Return the header's lines below the name, each as a list of facts already joined."""
    return [
        place(target),
        SEPARATOR.join(part for part in (resources(target), rate(target), limit(target)) if part),
    ]


def state(panel: Panel) -> str:
    """Return what the run is doing, e.g. "running 0:12" or "failed: timed out after 1:00:00"."""
    doing, since = activity(panel)
    return doing if since is None else f"{doing} {clock(since)}"


def activity(panel: Panel) -> tuple[str, float | None]:
    """Return what the run is doing, and for how many seconds where a clock is to follow the words."""
    match panel.phase:
        case Phase.WAITING:
            return (
                f"{Phase.WAITING} {shortened(panel.detail, 80)}",
                panel.elapsed if panel.elapsed >= 1 else None,
            )
        case Phase.RUNNING:
            return str(Phase.RUNNING), panel.elapsed
        case _:
            return _stage(panel), None


def _stage(panel: Panel) -> str:
    match panel.phase:
        case Phase.PACKAGING:
            return str(Phase.PACKAGING)
        case Phase.BUILDING:
            line = shortened(panel.detail, 100)
            return f"{building(panel)}: {line}" if line else building(panel)
        case Phase.SENDING | Phase.COLLECTING:
            return f"{panel.phase} {_carried(panel.transfer)}"
        case Phase.DONE:
            if panel.cached:
                return f"cached: outputs of {shortened(panel.cached, 160)}, no sandbox, $0"
            return f"done in {taken(panel.elapsed)}"
        case Phase.FAILED:
            why = str(panel.reason or Phase.FAILED)
            why = why if why.startswith("failed") else f"failed: {why}"
            return f"{why} after {taken(panel.elapsed)}"
        case Phase.STOPPED:
            why = str(panel.reason or Reason.STOPPED)
            why = why if why.startswith("stopped") else f"stopped: {why}"
            return f"{why} after {taken(panel.elapsed)}"
        case _:  # those of `activity`
            return str(panel.phase)


def saved(panel: Panel) -> tuple[str, ...]:
    """Return what is known of a run in a file that was saved before its end: that, and where to look and to stop."""
    log = f"the log so far: {shortened(panel.log, 300)}" if panel.log else ""
    lines = ("running when this was saved", log, "how it ended: in ZenML", "to stop it: interrupt the kernel")
    return tuple(line for line in lines if line)


def building(panel: Panel) -> str:
    """Return e.g. "building image (pandas added), layer 2 of 3"."""
    why = shortened(panel.why, 200)
    layer = f", layer {min(panel.done + 1, panel.layers)} of {panel.layers}" if panel.layers > 1 else ""
    return f"{Phase.BUILDING} ({why}){layer}" if why else f"{Phase.BUILDING}{layer}"


def sandbox(started: Started) -> str:
    """Return what answered, e.g. "sandbox sb-123 · Python 3.11.7 · NVIDIA A100-SXM4-40GB"."""
    parts = (f"sandbox {started.sandbox_id}", f"Python {started.python}", started.gpu or "")
    return shortened(SEPARATOR.join(part for part in parts if part), 200)


def cost(panel: Panel) -> str:
    """Return the estimate so far, or an empty text while there is none or nothing to pay."""
    if not panel.usd:
        return ""
    amount = money(panel.usd)
    amount = amount if amount.startswith("<") else f"≈ {amount}"
    return f"{amount} (estimate)" if panel.target.billed else f"{amount} on Modal (estimate), not billed"


def usage(panel: Panel) -> list[tuple[str, str]]:
    """Return each resource's label and what is used of it, now or at the end at most."""
    use, target = panel.use, panel.target
    if not use.samples:
        return []
    now = use.peaks if panel.phase.is_end else (use.cpu[-1], use.memory_mib[-1], (use.gpu or (0.0,))[-1])
    most = "at most " if panel.phase.is_end else ""
    of_cpu = "" if target.cpu is None else f" of {target.cpu:g}"
    of_memory = "" if target.memory_mib is None else f" of {_memory(target.memory_mib)}"
    told = [
        ("CPU", f"{most}{now[0]:.1f}{of_cpu} cores"),
        ("memory", f"{most}{_memory(now[1])}{of_memory}"),
    ]
    return [*told, ("GPU", f"{most}{now[2]:.0f} %")] if use.gpu else told


def remark(panel: Panel) -> str:
    """Return what to ask for next time, when the run has used far less or more than it asked for."""
    use, target = panel.use, panel.target
    if not panel.phase.is_end or use.samples < _ENOUGH_SAMPLES:
        return ""
    cpu, memory, gpu = use.peaks
    parts: list[str] = []
    asked = target.memory_mib or 0
    if asked >= _MUCH_MEMORY and memory * _FAR <= asked:
        parts.append(f"asked for {_memory(asked)} of memory, used {_memory(memory)}")
    elif asked and memory > asked:
        parts.append(f"used {_memory(memory)} of memory, asked for {_memory(asked)}: what is used is billed")
    if (target.cpu or 0) >= _MANY_CORES and cpu * _FAR <= (target.cpu or 0):
        parts.append(f"asked for {target.cpu:g} cores, used {cpu:.1f}")
    if use.gpu and gpu < _IDLE_GPU:
        parts.append(f"the GPU was at {gpu:.0f} % at most")
    return "; ".join(parts)


def _memory(mib: float) -> str:
    return f"{mib / 1024:.3g} GiB" if mib >= 1024 else f"{mib:.0f} MiB"


def links(panel: Panel) -> list[tuple[str, str]]:
    """Return labels and addresses of the dashboards that have this run."""
    found = []
    if panel.target.billed and panel.started is not None:
        sandbox_id = plain(panel.started.sandbox_id)
        if sandbox_id.replace("-", "").isalnum():
            found.append(("Modal", f"{_MODAL}{sandbox_id}"))
    if panel.recorded is not None and address(panel.recorded):
        found.append(("ZenML", address(panel.recorded)))
    return found


def message(panel: Panel) -> str:
    """Return the error's message, bounded, or an empty text."""
    return shortened(panel.message, LONGEST_MESSAGE)


def outputs(panel: Panel) -> tuple[str, ...]:
    """Return the names of the variables that came back."""
    return tuple(shortened(output, 80) for output in panel.outputs)


def files(panel: Panel) -> list[str]:
    """Return what became of the cell's files, a line each for those that came back and those that stayed."""
    told = panel.files
    lines = []
    if told.fetched:
        lines.append(f"files fetched: {_listed(told.fetched, len(told.fetched) - _MOST_FILES)}")
    lines += [f"--fetch {shortened(pattern, 80)} matched nothing" for pattern in told.unmatched]
    if told.written:
        lines.append(
            f"files left in the sandbox: {_listed(told.written, told.more)} (--fetch brings files back)"
        )
    elif told.unlisted:
        lines.append("files left in the sandbox: not listed, its working directory holds too many")
    return lines


def _listed(listed: tuple[File, ...], more: int) -> str:
    names = [f"{shortened(each.path, 80)} ({size(each.size)})" for each in listed[:_MOST_FILES]]
    more = max(0, more)
    return ", ".join(names) + (f" and {more} more" if more else "")


def size(count: int) -> str:
    """Return bytes as e.g. "44.3 KiB" or "1.2 GiB"."""
    if count == 1:
        return "1 byte"
    amount = float(count)
    for unit in ("bytes", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.4g} {unit}"
        amount /= 1024
    return f"{amount:.4g} GiB"


def left_out(lines: int) -> str:
    """Return the line that stands for lines of a log that a page does not show."""
    which = "1 line is" if lines == 1 else f"{lines:,} lines are"
    return f"[… {which} not shown here; the whole log is in ZenML …]"


def lookup(recorded: Recorded) -> str:
    """Return the expression that finds the run in ZenML."""
    return f'Client().get_pipeline_run("{shortened(recorded.run_name, 120)}")'


def address(recorded: Recorded) -> str:
    """Return the dashboard's address if it can be a link: it comes from a server's settings."""
    url = plain(recorded.url or "")
    return url if url.startswith(("https://", "http://")) and " " not in url else ""


def _carried(transfer: Transfer | None) -> str:
    """Return e.g. "312 MiB of 1 GiB (30 %)"."""
    if transfer is None or not transfer.total:
        return "values"
    share = min(100, 100 * transfer.done // transfer.total)
    return f"{size(transfer.done)} of {size(transfer.total)} ({share} %)"


def shortened(text: str, most: int) -> str:
    """Return the text on one line, without control characters, with an ellipsis where it is too long."""
    line = plain(text[: 8 * most])
    return line if len(line) <= most else line[: most - 1] + "…"
