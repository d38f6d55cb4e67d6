"""Images that are really built: `venv` mode through the real SDK, with uv and the configured package index."""

from __future__ import annotations

import gc
import io
import os
import subprocess
import sys
import tracemalloc
from contextlib import redirect_stdout
from pathlib import Path

import modal
import modal.exception
import pytest
from local_api import Local, StartLocal

from zenml_modal_nb.emulator import virtualenvs, wall
from zenml_modal_nb.emulator.places import HOME
from zenml_modal_nb.emulator.state.images import Image
from zenml_modal_nb.emulator.state.output import Reading

SERIES = f"3.{sys.version_info.minor}"
FOUND = "import importlib.util as u, sys; print(*[u.find_spec(n) is not None for n in sys.argv[1:]])"


@pytest.fixture(scope="module")
def built(start_local: StartLocal) -> Local:
    return start_local(images="venv")


def slim() -> modal.Image:
    return modal.Image.debian_slim(SERIES)


def found(local: Local, image: modal.Image, *names: str) -> list[str]:
    sandbox = local.create("python", "-c", FOUND, *names, image=image)
    output: list[str] = sandbox.stdout.read().split()
    assert output, sandbox.stderr.read()
    return output


def build(local: Local, image: modal.Image, capsys: pytest.CaptureFixture[str]) -> str:
    with modal.enable_output():
        image.build(local.app)
    return capsys.readouterr().out


def test_only_what_was_declared_can_be_imported(built: Local) -> None:
    assert found(built, slim(), "pip", "six", "psutil", "zenml", "modal") == ["True", *["False"] * 4]
    assert found(built, slim().pip_install("six"), "six", "idna") == ["True", "False"]
    assert found(built, slim().uv_pip_install("idna"), "six", "idna") == ["False", "True"]


def test_an_image_has_the_python_that_it_asks_for(
    start_local: StartLocal, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv = virtualenvs.find_uv()
    assert uv is not None
    # pyenv's programs on PATH answer only for the version that is chosen: look at the versions themselves.
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    monkeypatch.setenv("PATH", os.pathsep.join([*map(str, pyenv.glob("*/bin")), os.environ["PATH"]]))
    find = [uv, "python", "find", "--no-python-downloads", "--system"]
    for series in ("3.14", "3.13", "3.12", "3.11"):
        if (
            series != SERIES
            and subprocess.run([*find, series], capture_output=True, check=False).returncode == 0
        ):
            break
    else:
        pytest.skip(f"no other Python than {SERIES} is installed")
    server = start_local(images="venv")
    image = modal.Image.debian_slim(series).pip_install("six")
    program = "import six, sys; print('{}.{}'.format(*sys.version_info), six.__file__)"
    sandbox = server.create("python", "-c", program, image=image)
    told, where = sandbox.stdout.read().split()
    assert told == series, sandbox.stderr.read()
    assert f"python{series}/site-packages" in where


def test_a_package_more_builds_one_layer_and_the_same_definition_none(
    built: Local, capsys: pytest.CaptureFixture[str]
) -> None:
    first = build(built, slim().pip_install("six==1.17.0"), capsys)
    assert "+ six==1.17.0" in first
    second = build(built, slim().pip_install("six==1.17.0").pip_install("idna"), capsys)
    assert "+ idna==" in second
    assert "six" not in second
    assert build(built, slim().pip_install("six==1.17.0").pip_install("idna"), capsys).strip() == ""
    # The layer below is as it was.
    assert found(built, slim().pip_install("six==1.17.0"), "six", "idna") == ["True", "False"]


class Watched(io.StringIO):
    """Standard output that makes a file as soon as a word has been written."""

    def __init__(self, word: str, path: Path) -> None:
        super().__init__()
        self._word, self._path = word, path

    def write(self, text: str) -> int:
        written = super().write(text)
        if self._word in self.getvalue():
            self._path.touch()
        return written


def test_the_log_of_a_build_is_shown_while_it_runs(built: Local, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    # The build ends well only if somebody has read its first line before.
    waiting = 'echo "first line"; for n in $(seq 600); do [ -e "$SEEN" ] && exit 0; sleep 0.05; done; exit 1'
    image = slim().run_commands(waiting, secrets=[modal.Secret.from_dict({"SEEN": str(seen)})])
    watched = Watched("first line\n", seen)
    with redirect_stdout(watched), modal.enable_output():
        image.build(built.app)
    assert seen.exists()


def test_an_unchanged_layer_is_there_at_once(built: Local) -> None:
    def layers(last: str) -> modal.Image:
        return slim().run_commands("python -c 'import uuid; print(uuid.uuid4())' > ~/made").run_commands(last)

    images = [layers(last) for last in ("echo 1", "echo 1", "echo 2")]
    made = [built.create("sh", "-c", "cat ~/made", image=image).stdout.read() for image in images]
    assert made[0]
    assert made == [made[0]] * 3  # it ran once


def test_in_host_mode_an_image_is_there_at_once(local: Local, capsys: pytest.CaptureFixture[str]) -> None:
    image = slim().run_commands("sleep 3600").pip_install("absent-from-every-index==9.9.9")
    log = build(local, image, capsys)  # ends although its commands would not
    assert "Not installed in this Python environment: absent-from-every-index." in log


def test_the_logs_of_builds_do_not_fill_the_servers_memory(start_local: StartLocal) -> None:
    server = start_local()
    said = "x" * 30_000

    def build_some(count: int) -> None:
        for number in range(count):
            # The log tells every command.
            slim().dockerfile_commands(*[f"RUN echo {number} {said}"] * 20).build(server.app)

    build_some(1)
    images = server.server._images._images.values()
    tracemalloc.start()
    try:
        build_some(6)
        gc.collect()
        # Of the process, which is the SDK's too, what output streams hold.
        kept = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*/state/output.py")])
    finally:
        tracemalloc.stop()
    assert sum(trace.size for trace in kept.traces) < 1_000_000  # of 3 MB of logs
    logs = [server.loop.run(_text(image)) for image in images]
    assert sum(said in log for log in logs) == 6  # and they can still be read


async def _text(image: Image) -> str:
    pieces = [piece[1] async for piece in image.log.texts(0, Reading(), float("inf")) if piece]
    return "".join(pieces)


def test_requirements_files_and_projects_are_installed(built: Local, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("six==1.17.0  # pinned\n")
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "x"\nversion = "1"\ndependencies = ["idna"]\n'
    )
    for image in (
        slim().pip_install_from_requirements(str(tmp_path / "requirements.txt")),
        slim().uv_pip_install(requirements=[str(tmp_path / "requirements.txt")]),
        slim().pip_install_from_pyproject(str(tmp_path / "pyproject.toml")).pip_install("six"),
    ):
        assert found(built, image, "six") == ["True"]
    synced = slim().uv_sync(str(tmp_path), frozen=False)
    assert found(built, synced, "idna", "six") == ["True", "False"]


def test_a_failing_build_is_the_sdks_error_with_the_end_of_the_log(built: Local) -> None:
    image = slim().run_commands("echo before the failure; exit 3")
    with pytest.raises(modal.exception.ImageBuildError, match=r"exit status 3\nbefore the failure"):
        built.create("true", image=image)
    absent = slim().pip_install("six==0.0.0.1")
    with pytest.raises(modal.exception.ImageBuildError, match=r"six==0\.0\.0\.1"):
        built.create("true", image=absent)


def test_commands_run_in_the_environment_of_the_image(built: Local) -> None:
    image = (
        slim()
        .env({"GREETING": "hello there"})
        .workdir("/work")
        .pip_install("six")
        .run_commands(
            "python -c 'import six; print(six.__version__)' > version", "echo $GREETING $KEY > said"
        )
        .run_commands("cat /work/said > again", secrets=[modal.Secret.from_dict({"KEY": "other"})])
    )
    sandbox = built.create("sh", "-c", "cat version said again; echo $GREETING", image=image)
    assert sandbox.stdout.read().splitlines() == ["1.17.0", *["hello there"] * 3]


def test_a_secret_of_a_build_reaches_its_commands_only(
    built: Local, capsys: pytest.CaptureFixture[str]
) -> None:
    def image(value: str) -> modal.Image:
        secret = modal.Secret.from_dict({"KEY": value})
        return slim().run_commands("echo the key has ${#KEY} characters", secrets=[secret])

    assert "the key has 5 characters" in build(built, image("12345"), capsys)
    # A secret from a dictionary is another object each time; the same values are the same definition.
    assert build(built, image("12345"), capsys).strip() == ""
    assert "the key has 6 characters" in build(built, image("123456"), capsys)
    assert built.create("sh", "-c", "echo -$KEY-", image=image("12345")).stdout.read() == "--\n"


def test_absolute_paths_of_commands_lead_into_the_image(built: Local, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    image = slim().run_commands(
        f"rm -rf {tmp_path}/* /var/lib/apt/lists/*", "mkdir /models && echo m > /models/m"
    )
    place = "import os; print(open(os.environ['HOME'] + '/../models/m').read())"
    assert built.create("python", "-c", place, image=image).stdout.read() == "m\n\n"
    assert precious.read_text() == "kept"
    assert not Path("/models").exists()


@pytest.mark.parametrize(
    "command",
    [
        "rm -rf /{path}",
        "rm -rf /usr/bin/../..{path}",
        "rm -rf /proc/../{path}",
        "rm -rf $UNSET{path} ${{UNSET}}{path}/*",
        "cd / && rm -rf .{path}",
        "find / -path '{path}*' -delete",
        'sh -c "cd / && rm -rf .{path}"',
        "bash -lc 'cd / && rm -rf .{path}/*'",
        'eval "cd /; rm -rf .{path}"',
        "echo .{path} | (cd / && xargs rm -rf)",
        "find / -path '{path}' -exec rm -rf {{}} +",
        "rm -rf ${{X:-{path}}} ${{X-{path}}}/*",
        "sed -i -e's/kept/lost/' {path}/precious; sed -i --expression=s/kept/lost/ {path}/precious",
        'sh -c "cd \\"/\\" && rm -rf .{path}"',
        "echo / | xargs -I+ rm -rf +{path}",
        "printf 'rm -rf {path}' > x.sh; printf 'rm -rf /%s' '.{path}' >> x.sh; sh x.sh",
        "python -c 'import os, shutil; shutil.rmtree(os.sep + \".{path}\")'",
        "mkdir -p /tmp && cd /tmp && echo | tar -C / --exclude-from=- -cf x.tar .{path}; rm -rf '/'{path}",
    ],
)
def test_no_spelling_of_a_path_leads_a_command_out_of_the_image(
    built: Local, tmp_path: Path, command: str
) -> None:
    (tmp_path / "precious").write_text("kept")
    image = slim().run_commands(command.format(path=tmp_path) + "; true")
    assert built.create("true", image=image).wait() is None
    assert (tmp_path / "precious").read_text() == "kept"


def test_a_command_that_would_change_the_machine_fails_and_says_where_it_can_write(
    built: Local, tmp_path: Path
) -> None:
    image = slim().run_commands(f'python -c \'import os; open(os.sep + ".{tmp_path}/new", "w")\'')
    with pytest.raises(modal.exception.RemoteError, match="writes only below its image's own directory"):
        image.build(built.app)
    assert not (tmp_path / "new").exists()


def test_a_command_whose_effect_on_permissions_nobody_can_foresee_is_not_run(
    built: Local, tmp_path: Path
) -> None:
    (tmp_path / "precious").touch(0o640)
    image = slim().run_commands(f"echo / | xargs -I+ chmod 0 +{tmp_path}/precious")
    with pytest.raises(modal.exception.RemoteError, match="xargs is given text with a path"):
        image.build(built.app)
    assert (tmp_path / "precious").stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(wall.abi() < 6, reason="Landlock keeps signals back since its version 6")
def test_a_command_ends_no_process_of_the_machine(built: Local) -> None:
    with subprocess.Popen(["sleep", "600"]) as other:
        image = slim().run_commands(f"kill -9 {other.pid} && false || true")
        assert built.create("true", image=image).wait() is None
        assert other.poll() is None
        other.kill()


def test_a_program_that_an_image_puts_among_the_systems_is_found_and_harms_none(built: Local) -> None:
    image = slim().run_commands(
        "mkdir -p /usr/bin && printf '#!/bin/sh\\necho its own\\n' > /usr/bin/zmnb-tool && chmod +x /usr/bin/zmnb-tool",
        "zmnb-tool > /said && /usr/bin/zmnb-tool >> /said",
    )
    sandbox = built.create("sh", "-c", "zmnb-tool; cat $HOME/../said", image=image)
    assert sandbox.stdout.read() == "its own\n" * 3, sandbox.stderr.read()
    assert not Path("/usr/bin/zmnb-tool").exists()


def test_system_packages_are_recorded_and_not_provided(
    built: Local, capsys: pytest.CaptureFixture[str]
) -> None:
    log = build(built, slim().apt_install("ffmpeg"), capsys)
    assert "apt-get install -y ffmpeg" in log
    assert "Not run on this machine" in log
    mixed = build(built, slim().run_commands("apt-get update && echo after"), capsys)
    assert "apt-get update: not run on this machine\nafter\n" in mixed


def test_files_are_added_to_the_image(built: Local, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "inner.txt").write_text("inner")
    (tmp_path / "single.txt").write_text("single")
    image = (
        slim()
        .add_local_dir(str(tmp_path / "data"), str(HOME / "data"), copy=True)
        .add_local_file(str(tmp_path / "single.txt"), "/opt/single.txt", copy=True)
        .run_commands("cat /opt/single.txt > /root/seen.txt")
        .add_local_file(str(tmp_path / "single.txt"), str(HOME / "late.txt"))
    )
    sandbox = built.create("sh", "-c", "cat data/inner.txt seen.txt late.txt", image=image)
    assert sandbox.stdout.read() == "innersinglesingle", sandbox.stderr.read()


def test_files_are_added_in_host_mode_too(local: Local, tmp_path: Path) -> None:
    (tmp_path / "single.txt").write_text("single")
    image = (
        slim().add_local_file(str(tmp_path / "single.txt"), str(HOME / "f.txt"), copy=True).env({"A": "1"})
    )
    assert local.create("cat", "f.txt", image=image).stdout.read() == "single"


def test_a_directory_is_added_in_host_mode_too(local: Local, tmp_path: Path) -> None:
    (tmp_path / "data" / "deeper").mkdir(parents=True)
    (tmp_path / "data" / "one").write_text("one")
    (tmp_path / "data" / "deeper" / "two").write_text("two")
    for copy in (True, False):
        image = slim().add_local_dir(str(tmp_path / "data"), str(HOME / "there"), copy=copy)
        sandbox = local.create("cat", "there/one", "there/deeper/two", image=image)
        assert sandbox.stdout.read() == "onetwo", sandbox.stderr.read()


@pytest.mark.parametrize("mode", ["host", "venv"])
def test_another_content_of_an_added_file_is_another_image(
    local: Local, built: Local, tmp_path: Path, mode: str
) -> None:
    server = local if mode == "host" else built
    added = tmp_path / "added.txt"

    def image(content: str) -> modal.Image:
        added.write_text(content)
        image = slim().add_local_file(str(added), str(HOME / "f.txt"), copy=True)
        image.build(server.app)
        return image

    first, same, other = image("first"), image("first"), image("other")
    assert first.object_id == same.object_id != other.object_id
    said = [server.create("cat", "f.txt", image=each).stdout.read() for each in (first, other)]
    assert said == ["first", "other"]


def test_a_registry_image_is_recorded_with_or_without_credentials(
    built: Local, capsys: pytest.CaptureFixture[str]
) -> None:
    credentials = modal.Secret.from_dict({"REGISTRY_USERNAME": "me", "REGISTRY_PASSWORD": "s3cret"})
    private = modal.Image.from_registry("example/private:1", secret=credentials)
    log = build(built, private, capsys)
    assert "FROM example/private:1" in log
    assert "with credentials" in log
    assert "s3cret" not in log
    public = modal.Image.from_registry("ubuntu:24.04", add_python=SERIES)
    assert "without credentials" in build(built, public, capsys)
    assert found(built, public.pip_install("six"), "six") == ["True"]


def test_programs_of_packages_are_on_the_path(built: Local, local: Local) -> None:
    # `idna` and `wheel` come with programs; host mode shows those of the packages it does not hide.
    image = slim().pip_install("idna")
    program = built.create("sh", "-c", "command -v idna && idna --help | head -c 12", image=image)
    path, told = program.stdout.read().splitlines()
    assert path.startswith(str(built.state_dir / "sandboxes"))
    assert told.startswith("usage: "), program.stderr.read()
    shown = local.create("sh", "-c", "ipython --version && command -v zenml", image=local.image)
    assert shown.stdout.read().strip().replace(".", "").isdigit(), shown.stderr.read()


def test_what_a_sandbox_installs_stays_its_own(built: Local) -> None:
    image = slim().pip_install("idna")
    installing = "python -m pip install -q --no-input six && python -c 'import six, idna; print(1)'"
    sandbox = built.create("sh", "-c", installing, image=image)
    assert sandbox.stdout.read() == "1\n", sandbox.stderr.read()
    assert found(built, image, "six", "idna") == ["False", "True"]


def test_built_images_survive_a_restart(start_local: StartLocal, capsys: pytest.CaptureFixture[str]) -> None:
    first = start_local(images="venv")
    image = slim().pip_install("six")
    image.build(first.app)
    first.close()
    second = start_local(state_dir=first.state_dir, images="venv")
    assert found(second, image, "six") == ["True"]  # known by its ID only, as in a kernel that has used it
    assert build(second, slim().pip_install("six"), capsys).strip() == ""
