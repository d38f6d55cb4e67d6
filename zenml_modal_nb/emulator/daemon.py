"""The server's own process: it holds the state directory, says where it is, and ends when nobody needs it."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from zenml_modal_nb.emulator import orphans, record
from zenml_modal_nb.emulator.options import ServeOptions
from zenml_modal_nb.emulator.record import ServerRecord

if TYPE_CHECKING:
    from grpclib.events import RecvRequest

    from zenml_modal_nb.emulator.server import Server

CLOSE_SECONDS = 20.0
LOOK_SECONDS = 1.0  # between two looks at what is active

log = logging.getLogger(__name__)


def run(
    options: ServeOptions,
    announce: Callable[[ServerRecord], None],
    *,
    lifeline: bool = False,
    temporary: bool = False,
) -> int:
    """Serve until SIGTERM, SIGINT or idleness, and return the exit code.

    `announce` is called once the port answers. With `lifeline` the server also ends when its standard input
    does, that is, with the process that holds the other end; with `temporary` it removes its state directory.
    SIGUSR1 ends it only if no sandbox runs. Raises `directory.HeldError` when another server has the directory.
    """
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s: %(message)s")
    options.directory.prepare()
    with options.directory.claim():
        # With the lock ours, a record found here is that of a server that was killed.
        options.directory.record_path.unlink(missing_ok=True)
        code = asyncio.run(_serve(options, announce, lifeline))
        if temporary:
            shutil.rmtree(options.directory.path)
        return code


async def _serve(options: ServeOptions, announce: Callable[[ServerRecord], None], lifeline: bool) -> int:
    stop = asyncio.Event()
    orphans.adopt()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    settings = options.settings(f"ak-{secrets.token_urlsafe(12)}", f"as-{secrets.token_urlsafe(32)}")

    # Heavy, so only once the state directory is ours.
    from grpclib.events import RecvRequest, listen

    from zenml_modal_nb.emulator.server import serve

    server = await serve(settings)
    try:
        if lifeline:
            loop.add_reader(sys.stdin.fileno(), _let_go, stop)
        present = ServerRecord(
            url=server.url,
            token_id=settings.token_id,
            token_secret=settings.token_secret,
            pid=os.getpid(),
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            version=record.package_version(),
            python=settings.python,
            python_chosen=options.chosen_python is not None,
            active=server.active,
            images=settings.images,
        )
        watch = _Watch(options, server, stop, present, options.directory.lock_path.stat(), time.monotonic())
        loop.add_signal_handler(signal.SIGUSR1, watch.retire)
        # Listeners are called in order: the server's own, which refuses a call without the token, is first.
        listen(server._listener, RecvRequest, watch.note_request)
        record.write(options.directory.record_path, present)
        log.info("version %s answers at %s, process %d", present.version, present.url, present.pid)
        announce(present)
        await watch.run()
    finally:
        # First the record, so that nobody finds a server that is about to go.
        _withdraw(options)
        ended = await _close(server)
    return 0 if ended else 1


def _let_go(stop: asyncio.Event) -> None:
    asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
    log.info("the process that started this server is gone: ending")
    stop.set()


def _withdraw(options: ServeOptions) -> None:
    # A directory that was removed may have been made again by another server, whose record it is then.
    found = record.read(options.directory.record_path)
    if found and found.pid == os.getpid():
        options.directory.record_path.unlink(missing_ok=True)


async def _close(server: Server) -> bool:
    try:
        await asyncio.wait_for(server.close(), CLOSE_SECONDS)
    except TimeoutError:
        log.error("sandboxes did not end within %.0f s", CLOSE_SECONDS)
        return False
    finally:
        orphans.end()
    log.info("ended")
    return True


@dataclass
class _Watch:
    """Looks after a running server: keeps its record true, ends it when idle or without its directory."""

    options: ServeOptions
    server: Server
    stop: asyncio.Event
    present: ServerRecord
    lock: os.stat_result
    last_use: float

    async def note_request(self, _: RecvRequest) -> None:
        """Count a request with the right token as use."""
        self.last_use = time.monotonic()

    def retire(self) -> None:
        """End if no sandbox runs; else say in the record that one does, which is what the asker looks at."""
        if self.server.active:
            self._keep_record_true()
        else:
            log.info("asked to make room for another server: ending")
            self.stop.set()

    async def run(self) -> None:
        """Return when the server shall end."""
        timeout = self.options.idle_timeout
        interval = min(LOOK_SECONDS, timeout / 4) if timeout else LOOK_SECONDS
        while not self.stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stop.wait(), interval)
            if not self.stop.is_set():
                await asyncio.to_thread(orphans.collect)
            if self.server.active:
                self.last_use = time.monotonic()
            if timeout and time.monotonic() - self.last_use >= timeout:
                log.info("idle for %.0f s: ending", timeout)
                self.stop.set()
            elif self._directory_is_lost():
                log.error("the state directory was removed: ending")
                self.stop.set()
            else:
                self._keep_record_true()

    def _directory_is_lost(self) -> bool:
        try:
            return not os.path.samestat(self.lock, self.options.directory.lock_path.stat())
        except FileNotFoundError:
            return True

    def _keep_record_true(self) -> None:
        # Also brings back a record that something else damaged: without it the server could not be reached.
        self.present = replace(self.present, active=self.server.active)
        if record.read(self.options.directory.record_path) != self.present:
            try:
                record.write(self.options.directory.record_path, self.present)
            except OSError as error:  # e.g. a full disk; the next look tries again
                log.warning("the record could not be written: %s", error)
