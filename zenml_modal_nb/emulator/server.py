"""The local Modal API: one loopback port that answers both of Modal's gRPC services."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection

import grpclib.events
from modal_proto.api_grpc import ModalClientBase
from modal_proto.task_command_router_grpc import TaskCommandRouterBase

from zenml_modal_nb.emulator import virtualenvs
from zenml_modal_nb.emulator.faults import control
from zenml_modal_nb.emulator.faults.plan import Faults
from zenml_modal_nb.emulator.faults.wire import Interception
from zenml_modal_nb.emulator.host_images import HostImages
from zenml_modal_nb.emulator.interpreters import Interpreters
from zenml_modal_nb.emulator.listener import Listener, bind
from zenml_modal_nb.emulator.services import callers
from zenml_modal_nb.emulator.services.apps import AppService
from zenml_modal_nb.emulator.services.auth import AuthService, Guard
from zenml_modal_nb.emulator.services.blobs import BlobService
from zenml_modal_nb.emulator.services.callers import RouterAddress
from zenml_modal_nb.emulator.services.calls import Servable, Service, assemble
from zenml_modal_nb.emulator.services.environments import EnvironmentService
from zenml_modal_nb.emulator.services.images import ImageService
from zenml_modal_nb.emulator.services.journal import JournalService
from zenml_modal_nb.emulator.services.router import RouterService
from zenml_modal_nb.emulator.services.sandboxes import SandboxCalls
from zenml_modal_nb.emulator.services.sandboxes_v1 import SandboxServiceV1
from zenml_modal_nb.emulator.services.sandboxes_v2 import SandboxServiceV2
from zenml_modal_nb.emulator.services.secrets import SecretService
from zenml_modal_nb.emulator.services.usage import UsageService
from zenml_modal_nb.emulator.services.volumes import VolumeService
from zenml_modal_nb.emulator.settings import ServerSettings
from zenml_modal_nb.emulator.state.addresses import Addresses
from zenml_modal_nb.emulator.state.apps import Apps
from zenml_modal_nb.emulator.state.archive import Archive
from zenml_modal_nb.emulator.state.assembled import Assembled
from zenml_modal_nb.emulator.state.blobs import Blobs
from zenml_modal_nb.emulator.state.blocks import Blocks
from zenml_modal_nb.emulator.state.builds import Builder
from zenml_modal_nb.emulator.state.credentials import Credentials
from zenml_modal_nb.emulator.state.environments import Environments
from zenml_modal_nb.emulator.state.images import Images
from zenml_modal_nb.emulator.state.ledger import Ledger
from zenml_modal_nb.emulator.state.mounts import Mounts
from zenml_modal_nb.emulator.state.output import Reading
from zenml_modal_nb.emulator.state.preparation import Preparation
from zenml_modal_nb.emulator.state.records import Records
from zenml_modal_nb.emulator.state.registry import Sandboxes
from zenml_modal_nb.emulator.state.secrets import Secrets
from zenml_modal_nb.emulator.state.volumes import Volumes
from zenml_modal_nb.emulator.transfers import Transfers
from zenml_modal_nb.emulator.venv_images import VenvImages

RECORDS = "records-1"  # another number where the form of a record changes: older ones are then left alone


class Server:
    """A running server; made by `serve`, closed by its lifecycle."""

    def __init__(
        self,
        listener: Listener,
        sandboxes: Sandboxes,
        images: Images,
        interpreters: Interpreters,
        transfers: Transfers,
        url: str,
        port: int,
    ) -> None:
        self._listener = listener
        self._sandboxes = sandboxes
        self._images = images
        self._transfers = transfers
        self._interpreters = interpreters
        self.url = url
        self.port = port

    @property
    def services(self) -> Collection[Servable]:
        """Both of Modal's services, with what answers each of their calls."""
        return self._listener.services

    @property
    def active(self) -> int:
        """The number of sandboxes that run now."""
        return self._sandboxes.active

    async def close(self) -> None:
        """End every sandbox with all its processes, then stop listening; nothing of them is left after."""
        # What waits for an image is told that its build has ended, so no creation waits any longer.
        self._sandboxes.refuse_more()
        await self._images.close()
        await self._sandboxes.close()
        await self._interpreters.settle()
        await asyncio.to_thread(self._transfers.close)
        self._listener.close()
        self._listener.disconnect()
        await self._listener.wait_closed()


async def serve(settings: ServerSettings) -> Server:
    """Start answering on `settings.host`; port 0 takes any free one.

    One server at a time may use a state directory: what it finds there of an earlier one is ended and
    removed. Raises OSError when the port is taken.
    """
    settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    bound = bind(settings.host, settings.port)
    port = bound.getsockname()[1]
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{port}"
    credentials = Credentials(settings.token_id, settings.token_secret, time.time)
    interpreters = Interpreters(settings.python, settings.state_dir / "interpreters")
    mounts = Mounts(Records(settings.state_dir / RECORDS / "mounts"), settings.state_dir / "files")
    images = _images(settings, interpreters, mounts)
    faults = Faults()
    blocks, blobs = Blocks(settings.state_dir / "blocks"), Blobs(settings.state_dir / "blobs")
    assembled = Assembled(settings.state_dir / "assembled", blocks)
    volumes = Volumes(Records(settings.state_dir / RECORDS / "volumes"), blocks, assembled, faults)
    preparation = Preparation(images, mounts, volumes)
    # Written so often that waiting for the disk would be felt.
    kept = Records(settings.state_dir / RECORDS / "sandboxes-2", synced=False)
    archive = Archive(kept, settings.state_dir / "finished")
    ledger = Ledger(Records(settings.state_dir / RECORDS / "ledger", synced=False))
    apps = Apps(Records(settings.state_dir / RECORDS / "apps"))
    sandboxes = Sandboxes(
        settings.state_dir, apps, preparation, archive, ledger, settings.log_retention, faults
    )
    images.sweep()
    sandboxes.sweep()
    volumes.sweep()
    blobs.sweep()
    transfers = Transfers(settings.host, blocks, blobs, faults.latency)
    addresses = Addresses(transfers.url, time.time)
    transfers.start(addresses)

    async def secure() -> str:
        return f"https://{host}:{await listener.listen_with_tls(settings.host, settings.state_dir / 'tls')}"

    router = RouterAddress(url, secure)
    services = _services(
        settings, router, credentials, images, mounts, volumes, blobs, addresses, apps, sandboxes
    )
    listener = Listener([*services, control.service(faults)])
    grpclib.events.listen(listener, grpclib.events.RecvRequest, Guard(credentials).check)
    grpclib.events.listen(listener, grpclib.events.RecvRequest, callers.note)
    grpclib.events.listen(listener, grpclib.events.RecvRequest, Interception(faults).intercept)
    await listener.start(sock=bound)
    if settings.images == "host":
        interpreters.prepare()
    return Server(listener, sandboxes, images, interpreters, transfers, url, port)


def _images(settings: ServerSettings, interpreters: Interpreters, mounts: Mounts) -> Images:
    """Images in the mode asked for; each mode knows its own only. Raises ValueError without uv in `venv` mode."""
    directory = settings.state_dir / "images" / settings.images
    builder: Builder = HostImages(interpreters, mounts)
    if settings.images == "venv":
        uv = virtualenvs.find_uv()
        if uv is None:
            raise ValueError("Images in venv mode are built with uv, which is not installed: pip install uv.")
        builder = VenvImages(uv, interpreters, mounts, directory)
    return Images(Records(settings.state_dir / RECORDS / f"images-{settings.images}"), directory, builder)


def _services(
    settings: ServerSettings,
    router: RouterAddress,
    credentials: Credentials,
    images: Images,
    mounts: Mounts,
    volumes: Volumes,
    blobs: Blobs,
    addresses: Addresses,
    apps: Apps,
    sandboxes: Sandboxes,
) -> list[Servable]:
    secrets = Secrets(Records(settings.state_dir / RECORDS / "secrets"))
    reading = Reading(settings.read_size, settings.read_delay)
    environments = Environments(Records(settings.state_dir / RECORDS / "environments"), settings.environment)
    v1 = SandboxCalls(1, (1,), environments, apps, sandboxes)
    v2 = SandboxCalls(2, (1, 2), environments, apps, sandboxes)  # V2's list has both kinds
    control: list[Service] = [
        AuthService(settings, credentials),
        AppService(environments, apps, sandboxes),
        JournalService(apps, sandboxes),
        UsageService(environments, apps, sandboxes),
        BlobService(blobs, addresses),
        ImageService(images, mounts, blobs, secrets),
        EnvironmentService(environments, apps, secrets, volumes, sandboxes),
        SecretService(environments, secrets),
        SandboxServiceV1(v1, apps, sandboxes, secrets, credentials, reading, router),
        SandboxServiceV2(v2, apps, sandboxes, secrets, credentials, router),
        VolumeService(environments, volumes, mounts, blobs, sandboxes, addresses),
    ]
    inside = RouterService(sandboxes, secrets, reading)
    return [assemble(ModalClientBase, control), assemble(TaskCommandRouterBase, [inside])]
