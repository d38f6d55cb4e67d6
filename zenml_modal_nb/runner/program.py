"""What a sandbox does from the arrival of its input to its end; called by `bootstrap`'s text."""

from __future__ import annotations

import builtins
import getpass
import os
import shutil
import signal
import subprocess
import sys
import threading
import traceback
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import cloudpickle

from zenml_modal_nb.runner import (
    cell,
    clocks,
    definitions,
    devices,
    displays,
    errors,
    figures,
    files,
    frames,
    mounts,
    pickling,
    recording,
    resources,
    results,
)
from zenml_modal_nb.runner.children import hand_on_definitions
from zenml_modal_nb.runner.functions import Namespace
from zenml_modal_nb.runner.imports import AfterImport, StandIn
from zenml_modal_nb.runner.known import Known
from zenml_modal_nb.runner.liveness import Liveness
from zenml_modal_nb.runner.output import Output
from zenml_modal_nb.runner.pickling import PAYLOAD
from zenml_modal_nb.runner.session import Session
from zenml_modal_nb.runner.shell import Shell
from zenml_modal_nb.runner.shipment import RESULTS, SHIPPED, Shipment

MODULES = "modules.zip"
_UNPACKED = "modules"  # its directory, below the run's
BROKEN = 70  # the exit code when the runner itself fails: EX_SOFTWARE of sysexits.h
_ERROR_ROOM = frames.LINE_LIMIT - 400  # bytes; the rest is the frame around it


@dataclass(frozen=True, slots=True)
class Arrived:
    """What the notebook has sent: the variables, and the objects whose identity it remembers."""

    values: Mapping[str, Any]
    known: Known
    session: Session | None = None


class Terminated(BaseException):
    """The sandbox was told to end while the cell ran; not an Exception, so that a cell does not catch it."""


def main(directory: str, nonce: str, header: Mapping[str, Any]) -> NoReturn:
    """Run the cell that the header describes and end the process; exit code 0 means acknowledged."""
    place = Path(directory)
    run = cell.Run.of_header(header)
    _choose_backend()
    output = Output(place, nonce, header["position"])
    store = results.Store(
        place, os.environ.pop(RESULTS, None), nonce, lambda fields: output.emit("stored", fields)
    )
    try:
        _serve(run, header, output, place, store)
    except BaseException as error:  # noqa: BLE001  # whatever it is, it is said, and the process ends
        if output.here:
            traceback.print_exception(error)
            output.emit("end", {}, "stderr", last=True)
        os._exit(BROKEN)
    os._exit(0)


def _serve(
    run: cell.Run, header: Mapping[str, Any], output: Output, place: Path, store: results.Store
) -> None:
    shipments = _shipments(header)
    output.emit("begin", {"gpu": None, "cloudpickle": cloudpickle.__version__})
    output.emit("begin", {"cloudpickle": cloudpickle.__version__}, "stderr")
    threading.Thread(target=_report_gpu, args=(output,), name="zenml_modal_nb gpu", daemon=True).start()
    resources.report(output)
    liveness = Liveness(place, run.grace, lambda: output.emit_within(2.0, "abandoned", {}))
    shown = displays.Displays(output, place)
    imports = AfterImport()
    namespace = _make_main(place, imports)
    shell = _make_shell(namespace, shown, imports)
    definitions.offer(namespace, place)
    cell.show_sources(run)
    mounts.follow(run.volumes)
    directory = files.opened(run.fetch, place, run.volumes)
    _catch_signals()
    outcome, arrived = _run(run, shipments, place, namespace, imports, directory)
    if not output.here:
        _leave_fork(output, outcome)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)  # from here on there is nothing to interrupt
    mounts.explain(outcome.error)
    outcome = _end_cell(outcome, shell, shown)
    _show(lambda: directory.report(output))
    _report(run, outcome, arrived, namespace, place, output, shown, store)
    liveness.wait_for_acknowledgement()


def _run(
    run: cell.Run,
    shipments: Mapping[str, Shipment],
    place: Path,
    namespace: Namespace,
    imports: AfterImport,
    directory: files.WorkingDirectory,
) -> tuple[cell.Outcome, Arrived]:
    arrived = Arrived({}, Known((), namespace, place, {}))
    try:
        for name, shipment in shipments.items():
            if name != PAYLOAD:
                shipment.fill(place / "in" / name)
        _add_modules(place)
        directory.receive(place / "in" / files.ARCHIVE)
        arrived = _restore(place / "in" / PAYLOAD, namespace, imports, shipments.get(PAYLOAD))
    except BaseException as error:  # noqa: BLE001  # restoring runs the objects' own code
        error.add_note("while the notebook's values were restored in the sandbox")
        return cell.Outcome(0.0, error=error), arrived
    return cell.execute(run, namespace), arrived


def _shipments(header: Mapping[str, Any]) -> Mapping[str, Shipment]:
    """Return what the parts lack, by name; of the payload it is on its way."""
    mounted = os.environ.pop(SHIPPED, None)
    shipments = {each["name"]: Shipment.of_part(each, mounted) for each in header["parts"]}
    if PAYLOAD in shipments:
        shipments[PAYLOAD].begin()
    return shipments


def _restore(payload: Path, namespace: Namespace, imports: AfterImport, shipment: Shipment | None) -> Arrived:
    if not payload.exists():
        return Arrived({}, Known((), namespace, payload, {}))
    with pickling.Reader(payload, namespace, shipment=shipment) as reader:
        with devices.watched() as missed:
            graph = reader.read()
        namespace.update(graph["values"])
        moved = {name: device for name, device in reader.read().items() if device in missed}
        if moved:
            sys.stderr.write(f"{devices.told(moved, 'in the notebook')}\n")
        known = Known(reader.read(), namespace, payload, reader.buffers.origins, missed)
    # Last, since all of the above may draw random numbers or set something.
    return Arrived(dict(namespace), known, Session(graph["session"], namespace, imports))


def _add_modules(place: Path) -> None:
    """Make the notebook's local modules importable, in processes that the cell starts too."""
    archive = place / "in" / MODULES
    if not archive.exists():
        return
    modules = str(place / _UNPACKED)
    shutil.unpack_archive(
        archive, modules
    )  # files rather than a zip: a package may open what lies beside its code
    sys.path.insert(1, modules)  # behind the runner's own
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [modules, os.environ.get("PYTHONPATH")]))


def _report(
    run: cell.Run,
    outcome: cell.Outcome,
    arrived: Arrived,
    namespace: Namespace,
    place: Path,
    output: Output,
    shown: displays.Displays,
    store: results.Store,
) -> None:
    last = outcome.last
    try:
        session = {} if arrived.session is None else arrived.session.changes()
        result = results.collect(run, namespace, arrived.values, arrived.known, last, session)
        stored = store.put(result)
    except Exception as error:  # noqa: BLE001  # e.g. no memory, no space on the disk
        error.add_note("while the cell's results were saved; the cell itself had ended")
        if outcome.error is not None:  # which is the one that the notebook raises
            traceback.print_exception(error)
        outcome = cell.Outcome(outcome.seconds, error=outcome.error or error)
        result = results.nothing()
        stored = store.put(result)
    if last is not None and not result.last:
        _show(lambda: shown.show(last))
    if outcome.error is not None:
        modules = str(place / _UNPACKED)
        output.emit("error", errors.record(outcome.error, run.filename, namespace, _ERROR_ROOM, modules))
    if run.declared is not None:
        _record(run, run.declared, outcome, result, arrived.values, namespace, place)
    output.flush_c()
    output.emit("end", {}, "stderr", last=True)
    results.send(result, stored, outcome, output, store)


def _record(
    run: cell.Run,
    declared: tuple[str, ...],
    outcome: cell.Outcome,
    result: results.Result,
    arrived: Mapping[str, Any],
    namespace: Namespace,
    place: Path,
) -> None:
    """Leave to the ZenML step around the runner what it records: its outputs, and whatever else has been made."""
    outputs = () if outcome.error is not None else declared  # a step that fails has none
    bound = [name for name in run.outputs if name in namespace and namespace[name] is not arrived.get(name)]
    bound = [name for name in bound if name.strip("_") and name != "_exit_code"]
    others = [name for name in dict.fromkeys([*bound, *result.changed]) if name not in outputs]
    recording.write(place, outputs, others, namespace)


def _end_cell(outcome: cell.Outcome, shell: Shell, shown: displays.Displays) -> cell.Outcome:
    """Show what the cell leaves to be shown; the outcome has the last value that comes back, if there is one."""
    last = outcome.last
    if last is not None and (shown.captured is not None or not displays.comes_back(last)):
        _show(lambda: shown.show_last(outcome.last))
        last = None
    _show(lambda: shell.events.trigger("post_execute"))
    _show(shown.show_figures)
    shell.end_capture()
    return replace(outcome, last=last)


def _show(show: Callable[[], object]) -> None:
    try:
        show()
    except Exception:  # noqa: BLE001  # what an object does to show itself must not cost the cell its results
        traceback.print_exc()


def _choose_backend() -> None:
    # A notebook's own backend needs its kernel; figures are shown by `displays`.
    if os.environ.get("MPLBACKEND", "module://").startswith("module://"):
        os.environ["MPLBACKEND"] = "Agg"


def _make_main(place: Path, imports: AfterImport) -> Namespace:
    """Make the module `__main__` whose variables are the cell's, as in a notebook's kernel."""
    module = types.ModuleType("__main__")
    module.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = module
    builtins.input = _refuse_input
    getpass.getpass = _refuse_input
    # `breakpoint()` calls it too, unless PYTHONBREAKPOINT says otherwise.
    imports.add("pdb", lambda pdb: setattr(pdb, "set_trace", _refuse_debugger))
    imports.add("multiprocessing.spawn", lambda spawn: hand_on_definitions(spawn, module.__dict__, place))
    return module.__dict__


def _make_shell(namespace: Namespace, shown: displays.Displays, imports: AfterImport) -> Shell:
    """Make what a notebook's kernel provides besides Python itself."""
    shell = Shell(namespace, shown)

    def get_ipython() -> Shell:
        return shell

    builtins.__dict__.update(display=shown.show, get_ipython=get_ipython)
    sys.displayhook = shown.hook
    figures.begin()
    shown.take_over(imports, get_ipython)
    StandIn({**clocks.modules(), **definitions.stand_in(namespace)})
    return shell


def _refuse_input(*_: object, **__: object) -> str:
    raise RuntimeError(
        "input() is not available in a sandbox: nobody can answer it there. Ask in a cell that runs here, "
        "and use the answer's variable in this one."
    )


def _refuse_debugger(*_: object, **__: object) -> None:
    raise RuntimeError(
        "A debugger is not available in a sandbox: nobody can answer it there. Debug in a cell that runs here, "
        "or print what you want to see."
    )


def _report_gpu(output: Output) -> None:
    program = shutil.which("nvidia-smi")
    if program is None:
        return
    command = [program, "--query-gpu=name", "--format=csv,noheader"]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=5, check=True, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):  # no driver answers: then there is no GPU to speak of
        return
    names = ", ".join(answer.stdout.split("\n")).strip(", ")
    if names:
        output.emit("gpu", {"name": names[:200]})


def _catch_signals() -> None:
    def terminate(number: int, frame: types.FrameType | None) -> None:
        raise Terminated("the sandbox was told to end (SIGTERM)")

    masks = threading.local()

    def hold() -> None:
        # A forked Python drops signals that come before it is ready: blocked, they wait for `release` or `forget`.
        masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def release() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.before)

    def forget() -> None:
        # A worker process is ended by SIGTERM as a matter of course, e.g. by multiprocessing.
        if signal.getsignal(signal.SIGTERM) is terminate:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        release()

    signal.signal(signal.SIGTERM, terminate)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.register_at_fork(before=hold, after_in_parent=release, after_in_child=forget)


def _leave_fork(output: Output, outcome: cell.Outcome) -> NoReturn:
    """End a forked process that ran on to the end of the cell: only the first one has a result to send."""
    output.flush()
    os._exit(0 if outcome.error is None else 1)
