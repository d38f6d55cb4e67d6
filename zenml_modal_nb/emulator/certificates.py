"""A certificate for loopback, for the SDKs that speak to a command router through TLS only."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
from pathlib import Path

from zenml_modal_nb.emulator.state.refusals import ConflictError

DAYS = 3650


async def secured(directory: Path) -> ssl.SSLContext:
    """TLS with the certificate below `directory`, made once with the `openssl` program.

    It proves nothing to anybody and need not: such an SDK does not check the certificate of a server on its own
    machine. Raises ConflictError when there is no such program, which the SDK takes for "no command router".
    """
    certificate, key = directory / "loopback.crt", directory / "loopback.key"
    if not certificate.exists():
        try:
            await asyncio.to_thread(_make, directory, certificate, key)
        except (OSError, subprocess.CalledProcessError) as error:
            raise ConflictError(
                "This version of Modal's SDK runs commands through TLS, for which the local Modal API needs the "
                "program openssl; modal 1.5 and later do not."
            ) from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["h2"])
    return context


def _make(directory: Path, certificate: Path, key: Path) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(key, os.O_WRONLY | os.O_CREAT, 0o600))  # first, so that nobody else ever reads it
    draft = certificate.with_suffix(".new")
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
            ),
            *("-days", str(DAYS), "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(draft)),
        ],
        check=True,
        capture_output=True,
    )
    draft.replace(certificate)
