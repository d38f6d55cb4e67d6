"""The private directory of one sandbox, laid out like the small part of a container a program expects."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from zenml_modal_nb.emulator.short_paths import ShortPaths
from zenml_modal_nb.emulator.state.refusals import InvalidArgumentError

HOME = PurePosixPath("/", "root")  # of the container: Modal's default working directory
TMP = PurePosixPath("/tmp")  # noqa: S108  a path inside the sandbox's own directory
MOST_LINKS = 40  # on one way, as Linux counts


@dataclass(frozen=True)
class Place:
    """`root` stands for the container's `/` where a path has to be made; removed when the sandbox ends.

    Programs are told of the temporary directory by a short path, where there are `short` ones.

    Sandboxes are subprocesses of the user, not containers: an absolute path that a program opens, or that the
    filesystem API names, is a path of the host. Only the working directory, `HOME`, `TMPDIR` and files added to
    the image are placed below `root`.
    """

    root: Path
    short: ShortPaths | None = None

    def create(self) -> None:
        """Make the home and temporary directories, readable by the user only."""
        self.root.mkdir(mode=0o700, parents=True)
        self.inside(HOME).mkdir()
        self.inside(TMP).mkdir()
        if self.short is not None:
            self.short.link(self.inside(TMP))

    def inside(self, path: PurePath | str) -> Path:
        """Where a container path lies; a path that already lies below `root` is taken as it is.

        `..` cannot lead out: the path is resolved as if `root` were the top. Raises InvalidArgumentError for
        what is no path.
        """
        if "\0" in str(path):
            raise InvalidArgumentError("A path holds no null characters.")
        parts: list[str] = []
        for part in self._parts(path):
            if part == "..":
                parts = parts[:-1]
            else:
                parts.append(part)
        return self.root.joinpath(*parts)

    def within(self, path: PurePath | str) -> Path:
        """Where a container path lies once links are followed, as if `root` were the top: they cannot lead out.

        E.g. below a link `x` to `/`, `/x/tmp` is `/tmp` of the container. Raises InvalidArgumentError as
        `inside` does, and for links that lead in a circle.
        """
        waiting = list(reversed(self._parts(self.inside(path))))
        found, links = self.root, 0
        while waiting:
            part = waiting.pop()
            if part == "..":
                found = found if found == self.root else found.parent
                continue
            step = found / part
            try:
                target = os.readlink(step)
            except OSError:  # no link, or nothing there yet
                found = step
                continue
            links += 1
            if links > MOST_LINKS:
                raise InvalidArgumentError(f"The links of {path} lead in a circle.")
            if target.startswith("/"):
                found = self.root
            waiting.extend(reversed(self._parts(target)))
        return found

    def vacant(self, path: PurePath | str) -> Path:
        """Where a new file is to be written: its directories made, a file or link that was there removed.

        Raises what `within` does, and OSError, e.g. where there is a directory.
        """
        whole = self.inside(path)
        if whole == self.root:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        folder = self.within(whole.parent)
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / whole.name
        if target.is_dir() and not target.is_symlink():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        target.unlink(missing_ok=True)  # not written in place: it may be another image's file, or a link
        return target

    def _parts(self, path: PurePath | str) -> list[str]:
        below = PurePosixPath(path)
        if below.is_relative_to(self.root):
            below = below.relative_to(self.root)  # e.g. what a program read from HOME
        # The first of an absolute path is one slash, or two.
        return [part for part in below.parts if not part.startswith("/")]

    def directory(self, path: str) -> Path:
        """The directory a process starts in, made if it is missing."""
        directory = self.within(path or HOME)
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:  # e.g. a name too long, or one that is a file's
            raise InvalidArgumentError(
                f"The working directory {path} cannot be made: {error.strerror}."
            ) from error
        return directory

    def environment(self) -> dict[str, str]:
        """The variables that point a program at this place."""
        temporary = self.inside(TMP)
        if self.short is not None:
            temporary = self.short.of(temporary)
        return {"HOME": str(self.inside(HOME)), "TMPDIR": str(temporary)}

    def remove(self) -> None:
        """Delete everything, also what the sandbox made unwritable."""
        if self.short is not None:
            self.short.unlink(self.inside(TMP))
        try:
            shutil.rmtree(self.root, onerror=_make_writable_and_retry)
        except RecursionError:  # a sandbox may nest directories as deep as it likes
            subprocess.run(["rm", "-rf", "--", self.root], check=True)


def _make_writable_and_retry(function: object, path: str, _: object) -> None:
    """Give a read-only directory back its permissions and remove it again."""
    target = Path(path)
    if not target.is_symlink() and not target.exists():
        return
    target.parent.chmod(0o700)
    if target.is_dir() and not target.is_symlink():
        target.chmod(0o700)
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)
