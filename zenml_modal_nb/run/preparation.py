"""From a request and a cell's text to a job: analysed, packaged, priced; creates nothing anywhere."""

from __future__ import annotations

import ast
import importlib
import linecache
import os
import secrets
import threading
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zenml_modal_nb.cells.cell import AnalyzedCell, analyze, requiring
from zenml_modal_nb.cells.distributions import local_module
from zenml_modal_nb.cells.imports import Import
from zenml_modal_nb.errors import InvalidRequestError
from zenml_modal_nb.events import File, Target
from zenml_modal_nb.packaging.archive import runner_archive
from zenml_modal_nb.packaging.files import Shipment, find
from zenml_modal_nb.packaging.local_modules import modules_archive
from zenml_modal_nb.packaging.module import write_module
from zenml_modal_nb.packaging.payload import pack
from zenml_modal_nb.packaging.recognition import Recognized
from zenml_modal_nb.pipelines.execution import CellJob
from zenml_modal_nb.pipelines.operators import Operator, connection_of
from zenml_modal_nb.pricing.meter import Meter
from zenml_modal_nb.request import DEFAULT_CPU, DEFAULT_MEMORY_MIB, StepRequest
from zenml_modal_nb.run import values
from zenml_modal_nb.run.cache_key import cache_key, definition_digest
from zenml_modal_nb.run.dispatch import choose, image_of, parameters_of
from zenml_modal_nb.runner import digests, files, pickling, session
from zenml_modal_nb.runner.pickling import PAYLOAD
from zenml_modal_nb.sandboxes.connection import Connection
from zenml_modal_nb.sandboxes.image import refuse_other_python
from zenml_modal_nb.sandboxes.launch import Part
from zenml_modal_nb.sandboxes.prices import priced
from zenml_modal_nb.sandboxes.volumes import check as check_volumes

_GRACE = 3600.0  # seconds that a sandbox goes on without its client; a closed lid must not end a training
_MIB = 1 << 20
_MAGIC_LINE = "#\n"  # stands for it, so that every line number is the notebook's own
# Steps of a dynamic pipeline are prepared in threads, and Python 3.11 fails when two of them parse source
# ("AST constructor recursion depth mismatch").
_one_at_a_time = threading.Lock()
_FUTURE = "from __future__ import {0} as __{0}__"  # a name that nobody reads


@dataclass(frozen=True, slots=True)
class Cell:
    """The cell as the front end has it."""

    body: str  # below the magic line
    label: str  # e.g. "Cell In[5]"
    filename: str  # what frames of the cell carry as their file
    notebook: str  # names the ZenML pipeline and the Modal app
    futures: tuple[str, ...] = ()  # features of `__future__` that earlier cells have turned on
    interactivity: str = "last_expr"  # whose values are shown, IPython's `ast_node_interactivity`


@dataclass(frozen=True, slots=True)
class Prepared:
    """A job, and what the notebook must do itself when it is done."""

    job: CellJob
    meter: Meter
    cell: Cell
    deleted: tuple[str, ...]
    imported: tuple[Import, ...]
    code: tuple[str, ...]  # functions and classes of the notebook that travel
    modules: tuple[str, ...]  # files of the user's that travel, as `helpers.py` or `package/`
    futures: tuple[str, ...]  # features of `__future__` that the cell turns on
    sizes: Mapping[str, int]  # bytes of each input by itself; what two of them share is sent once
    shipment: Shipment
    analyzed: AnalyzedCell

    def spent(self, job: CellJob) -> Prepared:
        """Return what is left when the run has ended: its handle must not keep the notebook's values alive."""
        captured = replace(self.analyzed.captured, values={}, definitions={}, references={})
        return replace(self, job=job, analyzed=replace(self.analyzed, captured=captured))


def prepare(
    request: StepRequest,
    cell: Cell,
    namespace: dict[str, Any],
    seen: Mapping[str, object] | None = None,
    operator: Operator | None = None,
) -> Prepared:
    """Analyse and package a cell; `seen` are the names that it finds, if they are not those of `namespace`.

    `operator` is the one that it runs on, if the request does not name it.

    Raises:
        ModalStepError: the request, the cell or one of its values makes the run impossible.
    """
    with _one_at_a_time:
        return _prepare(request, cell, namespace, seen, operator)


def _prepare(
    request: StepRequest,
    cell: Cell,
    namespace: dict[str, Any],
    seen: Mapping[str, object] | None,
    operator: Operator | None,
) -> Prepared:
    if request.cache and (request.fetch or request.volumes):
        raise InvalidRequestError(
            "--cache keeps variables and what is shown, no files: it cannot be used with --fetch or --volume. "
            "Leave out one of them; --no-cache drops a default. Nothing was created."
        )
    if request.image is not None:
        refuse_other_python(request.image)
    if operator is None:
        request, operator = choose(request)
    state = session.take()
    analyzed = analyze(
        _MAGIC_LINE + cell.body,
        namespace if seen is None else seen,
        inputs=request.inputs,
        outputs=request.outputs,
        gpu=request.gpu is not None,
        futures=cell.futures,
        pip=request.pip,
        own_image=request.image is not None,
        code=session.code(state),
        parameters=request.define,
    )
    captured = analyzed.captured
    needed = {**captured.values, **captured.definitions, **captured.references}
    needed |= {alias: importlib.import_module(module) for alias, module in captured.modules.items()}
    directory = Path(os.path.abspath(os.curdir)) if os.path.exists(os.curdir) else Path()
    shipment = find(request.files, directory)
    check_volumes(request.volumes)
    dumped = values.dumped(captured.values, namespace)
    needed = values.ordered(needed, dumped)
    packed = pack(needed, namespace, captured.submodules, state, analyzed.lines)
    hashed = Recognized()
    analyzed = requiring(analyzed, packed.modules, gpu=request.gpu is not None, pip=request.pip)
    sizes = {name: each.size for name, each in dumped.items()}
    values.refuse_too_large(packed.values.size, request.max_inputs_mib, sizes)
    environment, ephemeral = _environment(request)
    connection = connection_of(operator, request.on, request.modal_environment, request.workspace)
    name = request.name or analyzed.default_name
    source = _with_futures(analyzed.source.text, cell.futures)
    run = {
        "source": source,
        "filename": cell.filename,
        "step": name,
        "outputs": [*analyzed.outputs, *analyzed.optional_outputs],
        "grace": min(_GRACE, request.timeout),
        "narrowed": request.outputs is not None,
        "imports": [(each.name, each.module) for each in analyzed.imported_names],
        "sources": _sources(captured.definitions.values()),
        "fetch": request.fetch,
        "volumes": [path for _, path in request.volumes],
        "interactivity": cell.interactivity,
    }
    target, meter = _target(request, analyzed, connection, name, packed.values.size)
    image = image_of(request, analyzed, operator)
    module = write_module(
        analyzed.source.text.removeprefix(_MAGIC_LINE),
        name=name,
        inputs=_parameters(request, analyzed) if request.define else parameters_of(captured.values, operator),
        outputs=analyzed.outputs,
        modules=captured.modules,
        definitions=captured.definitions,
        references=captured.references,
    )
    # What a dry run shows of files is their sizes.
    parts = _parts(analyzed, packed.values, hashed) + (() if request.dry_run else _files(shipment))
    cache = None
    if request.cache and not (request.define or request.dry_run):  # a defined step's is ZenML's own affair
        definition = definition_digest(
            request,
            analyzed,
            f"{cell.interactivity}\n{source}",
            needed,
            namespace,
            image,
            parts,
            module.digest,
        )
        cache = cache_key(definition, analyzed, state, namespace, ephemeral, connection.billed)
    job = CellJob(
        nonce=secrets.token_hex(16),
        target=target,
        connection=connection,
        image=image,
        module=module,
        inputs=captured.values,
        digests={name: hashed.of_content(each.pieces) for name, each in dumped.items()},
        parts=parts,
        known=packed.known,
        session=state,
        run=run,
        grace=min(_GRACE, request.timeout),
        environment=environment,
        ephemeral=ephemeral,
        secrets=request.secrets,
        gpu_type=request.gpu,
        gpu_count=request.gpu_count,
        notebook=cell.notebook,
        directory=directory,
        sent=tuple(File(each.inside, each.size) for each in shipment.entries),
        fetch=request.fetch,
        volumes=request.volumes,
        cache=cache,
        operator=operator,
    )
    names = analyzed.names
    turned_on = tuple(e.attribute for e in names.imports if e.module == "__future__" and e.attribute)
    return Prepared(
        job,
        meter,
        cell,
        analyzed.deleted,
        analyzed.imported_names,
        code=tuple(sorted(captured.definitions)),
        modules=_modules(analyzed),
        futures=turned_on,
        sizes=sizes,
        shipment=shipment,
        analyzed=analyzed,
    )


def _parameters(request: StepRequest, analyzed: AnalyzedCell) -> tuple[str, ...]:
    """What a defined step takes: variables that the cell itself reads, in the order in which it names them."""
    if request.inputs is not None:
        return request.inputs
    captured, names = analyzed.captured, analyzed.names
    own = names.required | names.optional
    wanted = {name for name in captured.values if name in own} | set(captured.missing) - set(captured.rebinds)
    used = [node for node in ast.walk(ast.parse(analyzed.source.text)) if isinstance(node, ast.Name)]
    used.sort(key=lambda node: (node.lineno, node.col_offset))
    return tuple(dict.fromkeys([node.id for node in used if node.id in wanted] + sorted(wanted)))


def _with_futures(text: str, futures: Iterable[str]) -> str:
    """Put the imports that earlier cells' code was compiled with into the line that stands for the magic."""
    imports = "; ".join(_FUTURE.format(each) for each in futures)
    return f"{imports}\n{text.removeprefix(_MAGIC_LINE)}" if imports else text


def _target(
    request: StepRequest, analyzed: AnalyzedCell, connection: Connection, name: str, input_bytes: int
) -> tuple[Target, Meter]:
    target, meter = priced(
        connection,
        step_name=name,
        gpu=request.modal_gpu,
        cpu=request.cpu or DEFAULT_CPU,
        memory_mib=request.memory_mib or max(DEFAULT_MEMORY_MIB, 3 * input_bytes // _MIB),
        region=request.region,
        cloud=request.cloud,
        timeout=request.timeout,
        grace=int(min(_GRACE, request.timeout)),
    )
    installed = connection.installs and not request.apt
    packages = bool(request.pip or request.apt or analyzed.source.pip) and not installed
    return replace(target, packages=packages, own_image=request.image is not None), meter


def _sources(definitions: Iterable[object]) -> dict[str, str]:
    """The text of the cells that define what this one uses, by file name: for tracebacks and code that reads it."""
    members = (vars(each).values() if isinstance(each, type) else [each] for each in definitions)
    files = {
        member.__code__.co_filename
        for group in members
        for member in group
        if isinstance(member, types.FunctionType)
    }
    texts = {file: "".join(linecache.getlines(file)) for file in files}
    return {file: text for file, text in texts.items() if text}


def _parts(analyzed: AnalyzedCell, payload: pickling.Values, hashed: digests.Seen) -> tuple[Part, ...]:
    parts = [
        Part.of("runner.zip", [runner_archive()]),
        Part.of(PAYLOAD, payload.pieces, hashed),
    ]
    local = modules_archive(analyzed.requirements.by_value_modules)
    if local is not None:
        parts.append(Part.of("modules.zip", [local]))
    return tuple(parts)


def _modules(analyzed: AnalyzedCell) -> tuple[str, ...]:
    places = map(local_module, sorted(analyzed.requirements.by_value_modules))
    return tuple(f"{place.name}/" if place.is_dir() else place.name for place in places if place is not None)


def _files(shipment: Shipment) -> tuple[Part, ...]:
    if not shipment.entries:
        return ()
    return (Part.of(files.ARCHIVE, [shipment.archive().content]),)


def _environment(request: StepRequest) -> tuple[dict[str, str], dict[str, str]]:
    plain = {key: value for key, value in request.env if value is not None}
    wanted = [key for key, value in request.env if value is None]
    missing = [key for key in wanted if key not in os.environ]
    if missing:
        raise InvalidRequestError(
            f"--env {missing[0]} sends the notebook's own value, but {missing[0]} is not set here. "
            f"Set it with `%env {missing[0]}=...` in another cell, or write --env {missing[0]}=VALUE."
        )
    return plain, {key: os.environ[key] for key in wanted}
