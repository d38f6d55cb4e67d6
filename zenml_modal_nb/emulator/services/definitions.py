"""What both sandbox backends share on the wire: the definition, the result, the list."""

from __future__ import annotations

import math
from collections.abc import Iterable

from modal_proto import api_pb2

from zenml_modal_nb.emulator.state.mounted import VolumeMount
from zenml_modal_nb.emulator.state.refusals import UnsupportedError
from zenml_modal_nb.emulator.state.resources import (
    LEAST_CORES,
    LEAST_MEMORY,
    Gpu,
    Request,
    check_placement,
)
from zenml_modal_nb.emulator.state.sandboxes import Definition, End, Outcome, Sandbox
from zenml_modal_nb.emulator.state.secrets import Secrets

_STATUSES = {
    End.TIMED_OUT: api_pb2.GenericResult.GENERIC_STATUS_TIMEOUT,
    End.TERMINATED: api_pb2.GenericResult.GENERIC_STATUS_TERMINATED,
    End.OUT_OF_MEMORY: api_pb2.GenericResult.GENERIC_STATUS_KERNEL_OOM_KILL,
    End.IDLE: api_pb2.GenericResult.GENERIC_STATUS_IDLE_TIMEOUT,
    End.LOST: api_pb2.GenericResult.GENERIC_STATUS_INTERNAL_FAILURE,
}

_OPEN = (
    api_pb2.NetworkAccess.NetworkAccessType.UNSPECIFIED,
    api_pb2.NetworkAccess.NetworkAccessType.OPEN,
)

# Parts of a definition that a subprocess cannot be given; asking for one must not pass unnoticed.
_UNSUPPORTED = (
    "nfs_mounts",
    "cloud_bucket_mounts",
    "s3_mounts",
    "pty_info",
    "readiness_probe",
    "proxy_id",
    "enable_snapshot",
    "i6pn_enabled",
    "custom_domain",
    "include_oidc_identity_token",
    "include_x509_svid",
    "inbound_cidr_allowlist",
    "outbound_policy",
    "experimental_outbound_policy",
)


def definition_of(
    version: int,
    app_id: str,
    wire: api_pb2.Sandbox,
    sources: Iterable[api_pb2.SecretSource],
    tags: Iterable[api_pb2.SandboxTag],
    secrets: Secrets,
) -> Definition:
    """The definition a client sent; raises UnsupportedError for what only Modal can provide."""
    for name in _UNSUPPORTED:
        if any(field.name == name for field, _ in wire.ListFields()):
            raise UnsupportedError(
                f"The local Modal API does not support a sandbox with {name}. Run this on Modal."
            )
    # The SDK always sends these two, so it is their content that tells.
    if wire.open_ports.ports:
        raise UnsupportedError("The local Modal API has no tunnels to a sandbox's ports. Run this on Modal.")
    if wire.network_access.network_access_type not in _OPEN:
        raise UnsupportedError("The local Modal API cannot restrict a sandbox's network. Run this on Modal.")
    asked, gpu = wire.resources, wire.resources.gpu_config
    check_placement(wire.scheduler_placement.regions, wire.cloud_provider_str)
    return Definition(
        version=version,
        app_id=app_id,
        image_id=wire.image_id,
        command=tuple(wire.entrypoint_args),
        variables={**secrets.values(wire.secret_ids), **variables_of(sources, secrets)},
        workdir=wire.workdir,
        timeout=wire.timeout_secs,
        name=wire.name,
        tags={tag.tag_name: tag.tag_value for tag in tags},
        gpu=Gpu(gpu.gpu_type, gpu.count) if gpu.gpu_type or gpu.count else None,
        request=Request(
            cores=max(asked.milli_cpu / 1000, LEAST_CORES),
            memory_mib=max(asked.memory_mb, LEAST_MEMORY),
            memory_limit=asked.memory_mb_max,
            threads=0 if asked.skip_num_threads_env_vars else math.ceil(asked.milli_cpu / 1000),
        ),
        idle_timeout=wire.idle_timeout_secs,
        regions=tuple(wire.scheduler_placement.regions),
        cloud=wire.cloud_provider_str,
        mounts=tuple(wire.mount_ids),
        volumes=tuple(
            VolumeMount(mount.volume_id, mount.mount_path, mount.read_only, mount.sub_path)
            for mount in wire.volume_mounts
        ),
    )


def variables_of(sources: Iterable[api_pb2.SecretSource], secrets: Secrets) -> dict[str, str]:
    """The variables of secrets by ID and of those sent along, later ones winning."""
    merged: dict[str, str] = {}
    for source in sources:
        if source.WhichOneof("source") == "secret_id":
            merged.update(secrets.values([source.secret_id]))
        else:
            merged.update(source.env.contents)
    return merged


def result_of(outcome: Outcome | None) -> api_pb2.GenericResult:
    """The result; one without status while the sandbox is running."""
    if outcome is None:
        return api_pb2.GenericResult()
    finished = (
        api_pb2.GenericResult.GENERIC_STATUS_FAILURE
        if outcome.code
        else api_pb2.GenericResult.GENERIC_STATUS_SUCCESS
    )
    return api_pb2.GenericResult(status=_STATUSES.get(outcome.end, finished), exitcode=outcome.code)


def metadata_of(sandbox: Sandbox) -> api_pb2.SandboxHandleMetadata:
    """What the SDK keeps in a handle."""
    metadata = api_pb2.SandboxHandleMetadata(app_id=sandbox.definition.app_id)
    if sandbox.outcome:
        metadata.result.CopyFrom(result_of(sandbox.outcome))
    return metadata


def info_of(sandbox: Sandbox) -> api_pb2.SandboxInfo:
    """One line of a list."""
    return api_pb2.SandboxInfo(
        id=sandbox.id,
        created_at=sandbox.created_at,
        app_id=sandbox.definition.app_id,
        name=sandbox.name,
        idle_timeout_secs=sandbox.definition.idle_timeout,
        image_id=sandbox.definition.image_id,
        timeout_secs=sandbox.definition.timeout,
        tags=tags_of(sandbox),
        task_info=api_pb2.TaskInfo(
            id=sandbox.task_id,
            sandbox_id=sandbox.id,
            started_at=sandbox.created_at,
            result=result_of(sandbox.outcome),
        ),
        metadata=metadata_of(sandbox),
    )


def tags_of(sandbox: Sandbox) -> list[api_pb2.SandboxTag]:
    """The sandbox's present tags."""
    return [api_pb2.SandboxTag(tag_name=name, tag_value=value) for name, value in sandbox.tags.items()]
