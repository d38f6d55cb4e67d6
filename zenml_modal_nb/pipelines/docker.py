"""ZenML's Docker settings of a step, as far as Modal's own builder can honour them; the rest is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an image is made of; read from the settings, used by whoever defines the image."""

    base: str | None = None
    pip: tuple[str, ...] = ()
    apt: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def recipe_of(settings: DockerSettings) -> Recipe:
    """Return what the image is made of.

    Raises:
        StackComponentInterfaceError: a setting that only a Docker build can honour, or an image with another Python.
    """
    for name, instead in _REFUSED.items():
        if getattr(settings, name):
            raise StackComponentInterfaceError(
                f"DockerSettings.{name} needs a build by Docker, and the image of this step is built by Modal: "
                f"{instead}, or run the step with an operator of ZenML's flavor 'modal'. Nothing was created."
            )
    image, own = settings.parent_image, ImageSpec().python
    if image is not None and (other := other_python(image)) is not None:
        raise StackComponentInterfaceError(
            f"DockerSettings.parent_image {image} has Python {other}, this process has {own}: values cannot travel "
            f"between them. Write python:{own}-slim, or another image with Python {own}. Nothing was created."
        )
    pip = (*_required(settings), *_integrations(settings.required_integrations))
    environment = {name: str(value) for name, value in settings.environment.items()}
    if settings.skip_build:  # the image has everything
        return Recipe(settings.parent_image, environment=environment)
    return Recipe(settings.parent_image, pip, tuple(settings.apt_packages), environment)


def _required(settings: DockerSettings) -> tuple[str, ...]:
    wanted = settings.requirements
    if wanted is None:
        return ()
    if isinstance(wanted, str):
        wanted = Path(wanted).read_text(encoding="utf-8").splitlines()
    lines = (line.strip() for line in wanted)
    return tuple(line for line in lines if line and not line.startswith("#"))


def _integrations(names: list[str]) -> tuple[str, ...]:
    if not names:
        return ()
    from zenml.integrations.registry import integration_registry

    select: Callable[..., Any] = integration_registry.select_integration_requirements
    return tuple(dict.fromkeys(each for name in names for each in select(name)))
