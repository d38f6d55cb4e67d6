"""ZenML's Docker settings of a step, as far as Modal's own builder can honour them; the rest is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.requirements import InvalidRequirement, Requirement
from zenml.exceptions import StackComponentInterfaceError

from zenml_modal_nb.sandboxes.image import ImageSpec, other_python

if TYPE_CHECKING:
    from zenml.config import DockerSettings

# What only a Docker build can do, and what to write instead.
_REFUSED: Mapping[str, str] = {
    "dockerfile": "name an image in parent_image that was built from it",
    "build_context_root": "name an image in parent_image that holds the files",
    "pyproject_path": "list the packages in requirements",
    "local_project_install_command": "install the project in an image and name that in parent_image",
    "replicate_local_python_environment": "list the packages in requirements",
    "python_package_installer_args": "leave it out",
    "user": "leave it out",
    "build_config": "leave it out",
    "parent_image_build_config": "leave it out",
    "image_tag": "leave it out",
    "target_repository": "leave it out",
}
_DOCKER = "needs a build by Docker, and the image of this step is built by Modal"
_OR_STOCK = "or run the step with an operator of ZenML's flavor 'modal'. Nothing was created."
_COMMENT = re.compile(r"(?:^|\s)#.*")  # as pip reads them: e.g. not the # of git+https://host/a.git#egg=a
_OPTION = re.compile(r"(?:^|\s)-")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an image is made of; read from the settings, used by whoever defines the image."""

    base: str | None = None
    pip: tuple[str, ...] = ()
    apt: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def recipe_of(settings: DockerSettings, *, detached: bool = False) -> Recipe:
    """Return what the image is made of.

    Raises:
        StackComponentInterfaceError: a setting that only a Docker build can honour, an image with another Python, or
            requirements that are no packages.
    """
    for name, instead in _REFUSED.items():
        if getattr(settings, name):
            raise StackComponentInterfaceError(f"DockerSettings.{name} {_DOCKER}: {instead}, {_OR_STOCK}")
    if not settings.disable_automatic_requirements_detection:
        raise StackComponentInterfaceError(
            f"DockerSettings.disable_automatic_requirements_detection=False {_DOCKER}: list the packages in "
            f"requirements, or name the file there, {_OR_STOCK}"
        )
    if not (settings.install_stack_requirements or detached):  # a detached step needs none of them
        raise StackComponentInterfaceError(
            "DockerSettings.install_stack_requirements=False does not hold for a step that runs connected: its sandbox "
            "runs ZenML's own entrypoint, on the stack. Leave it out, or run the step detached, "
            "settings={'step_operator': {'execution': 'detached'}}. Nothing was created."
        )
    image, own = settings.parent_image, ImageSpec().python
    if image is not None and (other := other_python(image)) is not None:
        raise StackComponentInterfaceError(
            f"DockerSettings.parent_image {image} has Python {other}, this process has {own}: values cannot travel "
            f"between them. Write python:{own}-slim, or another image with Python {own}. Nothing was created."
        )
    pip = (*_required(settings), *_integrations(settings.required_integrations))
    variables = {**settings.environment, **settings.runtime_environment}
    environment = {name: str(value) for name, value in variables.items()}
    if settings.skip_build:  # the image has everything
        return Recipe(settings.parent_image, environment=environment)
    return Recipe(settings.parent_image, pip, tuple(settings.apt_packages), environment)


def _required(settings: DockerSettings) -> tuple[str, ...]:
    wanted = settings.requirements
    if wanted is None:
        return ()
    where = ""
    if isinstance(wanted, str):
        where = f" of {wanted}"
        try:
            wanted = Path(wanted).read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise StackComponentInterfaceError(
                f"The file {wanted} of DockerSettings.requirements cannot be read: {error}. Name one that is there, "
                f"from {Path.cwd()}, or list the packages. Nothing was created."
            ) from None
    lines = (_COMMENT.sub("", line).strip() for line in wanted)
    return tuple(_package(line, where) for line in lines if line)


def _package(line: str, where: str) -> str:
    """Return the line, if it is a package or an address."""
    if _OPTION.search(line):
        raise StackComponentInterfaceError(
            f"The line '{line}'{where} in DockerSettings.requirements has an option of pip, which Modal's builder is "
            f"not given: list packages and addresses alone, {_OR_STOCK}"
        )
    if "://" not in line:  # else pip finds out what the address has
        try:
            Requirement(line)
        except InvalidRequirement as error:
            raise StackComponentInterfaceError(
                f"The line '{line}'{where} in DockerSettings.requirements is no package: "
                f"{str(error).splitlines()[0]}. Write, for example, torch==2.9. Nothing was created."
            ) from None
    return line


def _integrations(names: list[str]) -> tuple[str, ...]:
    if not names:
        return ()
    from zenml.integrations.registry import integration_registry

    select: Callable[..., Any] = integration_registry.select_integration_requirements
    return tuple(dict.fromkeys(each for name in names for each in select(name)))
