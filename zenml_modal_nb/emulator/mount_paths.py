"""Where the mount paths of a sandbox lead on this machine, where no process has a file system of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "MODAL_LOCAL_MOUNTS"  # a JSON object: mount path to directory


@dataclass(frozen=True)
class MountPaths:
    """The directories of mounts, by their path in the container; made when a sandbox is."""

    directories: Mapping[str, Path]

    def environment(self) -> dict[str, str]:
        """The variable that tells a program where its mounts are."""
        if not self.directories:
            return {}
        return {VARIABLE: json.dumps({path: str(directory) for path, directory in self.directories.items()})}

    def text(self, text: str) -> str:
        """`text` with its mount paths led to their directories, e.g. `cat /data/x` or `open('/data/x')`."""
        if not self.directories:
            return text
        longest_first = sorted(self.directories, key=len, reverse=True)
        paths = "|".join(re.escape(path) for path in longest_first)
        # Not within another path, e.g. /mnt/data or /database
        pattern = rf"(?<![\w./~$}}-])({paths})(?![\w.-])"
        return re.sub(pattern, lambda found: str(self.directories[found.group()]), text)

    def path(self, path: Path) -> Path:
        """A path of the container; one below no mount stays as it is."""
        for mount, directory in self.directories.items():
            if path.is_relative_to(mount):
                return directory / path.relative_to(mount)
        return path
