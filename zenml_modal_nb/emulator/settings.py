"""What a local Modal API is started with."""

from __future__ import annotations

import ipaddress
import sys
from dataclasses import dataclass, field
from pathlib import Path

MEBIBYTE = 1024 * 1024
IMAGE_MODES = ("host", "venv")


@dataclass(frozen=True)
class ServerSettings:
    """Everything `server.serve` needs to know; made by the lifecycle, read by the server only.

    `log_retention` is in bytes per output stream of a V2 sandbox: only the most recent part is kept, as at
    Modal. `read_delay` (seconds) and `read_size` (bytes) slow down and split what a reader of an output
    stream receives, so that tests meet the reads a real network makes. `images` is "host" (sandboxes run in
    the environment of `python`) or "venv" (each image is a virtual environment built with uv). Raises
    ValueError for a host other machines could reach: the server runs whatever it is sent.
    """

    state_dir: Path
    token_id: str
    token_secret: str = field(repr=False)
    host: str = "127.0.0.1"
    port: int = 0
    python: str = sys.executable
    log_retention: int = 4 * MEBIBYTE
    read_delay: float = 0.0
    read_size: int = 65536
    workspace: str = "local"
    environment: str = "local"
    images: str = "host"

    def __post_init__(self) -> None:
        if not ipaddress.ip_address(self.host).is_loopback:
            raise ValueError(f"The local Modal API listens on a loopback address only, not on {self.host}.")
        if self.read_size < 1 or self.log_retention < 1:
            raise ValueError("read_size and log_retention are numbers of bytes and at least 1.")
        if self.images not in IMAGE_MODES:
            raise ValueError(f"Images are {' or '.join(IMAGE_MODES)}, not {self.images!r}.")
