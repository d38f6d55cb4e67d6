"""Definitions of images that are hard to read, impossible, or lead elsewhere: in both modes, through the SDK."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path

import modal
import modal.exception
import pytest
from local_api import Local, StartLocal
from test_sdk_images import build, found, slim

from zenml_modal_nb.emulator.places import HOME

numbers = count()


@pytest.fixture(scope="module")
def built(start_local: StartLocal) -> Local:
    return start_local(images="venv")


@pytest.fixture(scope="module", params=["host", "venv"])
def either(request: pytest.FixtureRequest, local: Local) -> Local:
    """A server of each mode of images."""
    if request.param == "host":
        return local
    server: Local = request.getfixturevalue("built")
    return server


def test_a_requirement_with_a_marker_is_one_requirement(
    built: Local, local: Local, capsys: pytest.CaptureFixture[str]
) -> None:
    image = slim().pip_install("six>=1; python_version<'4'", "idna>=2; python_version<'3'")
    assert found(built, image, "six", "idna") == ["True", "False"]
    absent = slim().pip_install("six>=1", "absent-from-here; python_version<'4'")
    log = build(local, absent.run_commands("pip install -q other-absent 2>/dev/null; echo done"), capsys)
    assert "Not installed in this Python environment: absent-from-here." in log
    assert "Not installed in this Python environment: other-absent." in log


def test_a_command_that_no_shell_can_run_is_a_failed_build(either: Local) -> None:
    image = slim().run_commands('echo once; pip install "a')
    with pytest.raises(modal.exception.ImageBuildError, match=r"exit status 2\n.*quoted string"):
        either.create("true", image=image)
    assert either.create("true", image=slim().run_commands("echo it is # isn't it")).wait() is None


def test_a_copy_that_cannot_be_read_is_a_failed_build(either: Local) -> None:
    with pytest.raises(modal.exception.ImageBuildError, match="No closing quotation"):
        either.create("true", image=slim().dockerfile_commands('ADD "a b'))


def test_a_command_that_is_no_json_is_a_line_for_the_shell(either: Local) -> None:
    image = slim().dockerfile_commands("CMD [ -e /dev/null ] && echo there")
    sandbox = either.create(image=image)
    assert sandbox.stdout.read() == "there\n"


def test_a_null_character_in_a_definition_is_refused(either: Local) -> None:
    with pytest.raises(modal.exception.InvalidError, match="null characters"):
        either.create("true", image=slim().run_commands("echo \0"))


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory of the machine, which no image may reach."""
    outside = tmp_path / "outside"
    outside.mkdir()
    return outside


@pytest.mark.parametrize("copy", [True, False])
def test_a_link_in_an_image_does_not_lead_files_out_of_it(
    built: Local, outside: Path, tmp_path: Path, copy: bool
) -> None:
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "f").write_text("added")
    up = "../" * 40
    linked = slim().run_commands(f"ln -s {up} /x && ln -s {up}{outside} /y && ln -s $(printf '\\057') /z")
    image = linked
    for link, target in (("x", f"/x{outside}"), ("y", "/y"), ("z", f"/z{outside}")):
        image = image.add_local_file(str(tmp_path / "local" / "f"), f"{target}/{link}-file", copy=copy)
        image = image.add_local_dir(str(tmp_path / "local"), f"{target}/{link}-dir", copy=copy)
    program = f'cd "$HOME/.." && cat .{outside}/x-file .{outside}/z-file .{outside}/y-dir/f'
    sandbox = built.create("sh", "-c", program, image=image)
    assert sandbox.stdout.read() == "added" * 3, sandbox.stderr.read()
    assert list(outside.iterdir()) == []


def test_a_link_in_an_image_leads_neither_workdir_nor_volume_out_of_it(built: Local, outside: Path) -> None:
    volume = modal.Volume.from_name(
        f"linked-{next(numbers)}",
        create_if_missing=True,
        client=built.client,
        environment_name="local",
        version=2,
    )
    image = slim().run_commands(f"ln -s {'../' * 40} /x && ln -s {'../' * 40} /usr")
    sandbox = built.create(
        "python", "-c", f"open('/x{outside}/data/f', 'w').write('1'); open('g', 'w')",
        image=image, workdir=f"/x{outside}/work", volumes={f"/x{outside}/data": volume},
    )  # fmt: skip
    sandbox.wait()
    assert sandbox.returncode == 0, sandbox.stderr.read()
    assert b"".join(volume.read_file("f")) == b"1"
    assert list(outside.iterdir()) == []


def test_an_images_own_links_lead_within_the_sandbox(built: Local) -> None:
    image = slim().run_commands("mkdir /models && echo m > /models/m && ln -s /models /latest")
    program = "cd $HOME/.. && echo changed > latest/m && cat models/m"
    for _ in range(2):
        assert built.create("sh", "-c", program, image=image).stdout.read() == "changed\n"
    assert built.create("sh", "-c", "cat $HOME/../models/m", image=image).stdout.read() == "m\n"


def test_a_command_does_not_change_the_layer_below(built: Local, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("f")
    below = slim().run_commands("echo below > /said")
    above = below.dockerfile_commands(
        f"COPY f {HOME}/f", "RUN echo above >> /said", context_dir=str(tmp_path)
    )
    show = "cat $HOME/../said"
    assert built.create("sh", "-c", show, image=above).stdout.read() == "below\nabove\n"
    assert built.create("sh", "-c", show, image=below).stdout.read() == "below\n"
    assert os.listdir(tmp_path) == ["f"]
