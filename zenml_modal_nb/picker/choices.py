"""What is chosen in the picker, and what it means: a request, or what stands in its way; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from zenml_modal_nb.errors import InvalidRequestError
from zenml_modal_nb.magics.options import BY_FLAG, Option
from zenml_modal_nb.picker import words
from zenml_modal_nb.pricing import gpus
from zenml_modal_nb.pricing.quote import Quote, quote
from zenml_modal_nb.pricing.rates import Rates
from zenml_modal_nb.request import DEFAULT_CPU, DEFAULT_MEMORY_MIB, StepRequest

# A provider's own names: Google's have no dash before the number (us-east1), Amazon's and Oracle's do (us-east-1).
_GOOGLES = re.compile(r"[a-z]+-[a-z]+\d+")
_DECIMAL = re.compile(r"[GT]B\s*\Z", re.IGNORECASE)
_OTHERS = re.compile(r"[a-z]+-[a-z]+-\d+")

OF_OPERATOR = ""  # a GPU that is left to the step operator, as empty texts leave other matters


@dataclass(frozen=True, slots=True)
class Choices:
    """What the form shows, as texts of the magic line; an empty text leaves the matter to the default.

    Made from a request by `of` and by the form, read by the form and by `ResourcePicker`.
    """

    gpu: str | None = None  # None: a run without one; OF_OPERATOR: the type that the step operator has
    gpu_count: int = 1  # with OF_OPERATOR 0 is the step operator's count too
    cpu: str = ""
    memory: str = ""
    on: str = ""
    region: str = ""
    cloud: str = ""
    modal_environment: str = ""
    timeout: str = ""
    rest: StepRequest = field(
        default_factory=StepRequest
    )  # what the form does not show, e.g. --pip: it is kept

    @classmethod
    def of(cls, request: StepRequest) -> Choices:
        """Return the choices that make this request."""
        plain = StepRequest()
        texts = {
            name: option.write(getattr(request, option.field))
            for name, option in TEXTS.items()
            if getattr(request, option.field) != getattr(plain, option.field)
        }
        gpu, count = request.gpu, request.gpu_count
        if request.operator is not None and not request.says("gpu"):
            gpu, count = OF_OPERATOR, count if request.says("gpu_count") else 0
        return cls(gpu=gpu, gpu_count=count, rest=request, **texts)

    def request(self) -> StepRequest:
        """Return the request, the same as the magic line makes; raises `InvalidRequestError`."""
        gpu = gpus.check(self.gpu) if self.gpu else None
        count = 1 if gpu is None else gpus.check_count(gpu, self.gpu_count)
        said = {"gpu"} if self.gpu is None else set()
        if self.gpu == OF_OPERATOR and self.gpu_count:
            count, said = self.gpu_count, {"gpu_count"}
        values = {option.field: self._value(name) for name, option in TEXTS.items()}
        explicit = (*said, *(name for name in self.rest.explicit if name not in ("gpu", "gpu_count")))
        return replace(self.rest, gpu=gpu, gpu_count=count, explicit=explicit, **values)

    def problems(self) -> dict[str, str]:
        """Return what is wrong, by the name of the field that it is about; empty when there is a request."""
        found: dict[str, str] = {}
        for name in TEXTS:
            try:
                self._value(name)
            except InvalidRequestError as error:
                found[name] = str(error)
        try:
            if self.gpu:
                gpus.check_count(self.gpu, self.gpu_count)
        except InvalidRequestError as error:
            found["gpu_count"] = str(error)
        if "region" not in found and (clash := _clash(self.region.strip().lower(), self.cloud)):
            found["region"] = clash
        return found

    def remarks(self, has_token: bool) -> dict[str, str]:
        """Return what a user must not misread, by field; none of it keeps a cell from running."""
        return self._remarks_on_place(has_token) | self._remarks_on_gpu() | self._remarks_on_memory()

    def _remarks_on_gpu(self) -> dict[str, str]:
        if self.gpu != OF_OPERATOR:
            return {}
        return {
            "gpu": f"If the step operator {self.rest.operator} has a GPU, the cell gets it, and the price lacks it."
        }

    def _remarks_on_memory(self) -> dict[str, str]:
        """Explain a decimal size, which is a little more at Modal than its number says."""
        try:
            mib: int | None = self._value("memory")
        except InvalidRequestError:  # told as a problem
            return {}
        if mib is None or not _DECIMAL.search(self.memory):
            return {}
        return {
            "memory": f"{self.memory.strip()} is {mib} MiB at Modal, as in any ZenML step: {words.gib(mib)} GiB."
        }

    def _remarks_on_place(self, has_token: bool) -> dict[str, str]:
        place = self.on or ("modal" if has_token else "local")
        if place == "modal" and not has_token:
            return {"on": "No Modal token is configured: run `modal token new` first."}
        if place == "modal":
            return {}
        without = " The GPU is recorded and priced, not provided." if self.gpu else ""
        return {"on": f"On this machine nothing is billed.{without}"}

    def fitted(self) -> Choices:
        """Return the same with a count that the GPU's type allows."""
        if self.gpu is None:
            return replace(self, gpu_count=1)
        if self.gpu == OF_OPERATOR:
            return replace(self, gpu_count=max(0, self.gpu_count))
        return replace(self, gpu_count=min(max(1, self.gpu_count), gpus.find(self.gpu).max_count))

    def _value(self, name: str) -> Any:
        text, option = getattr(self, name).strip(), TEXTS[name]
        return option.parse(text) if text else getattr(StepRequest(), option.field)


# The form's fields that hold a text, by name, with the option that each stands for.
TEXTS: Mapping[str, Option] = {
    each.name: BY_FLAG[f"--{each.name.replace('_', '-')}"]
    for each in fields(Choices)
    if each.name not in ("gpu", "gpu_count", "rest")
}


@dataclass(frozen=True, slots=True)
class Preset:
    """A choice of machine under a name; the place and the timeout stay as they are."""

    label: str
    meaning: str
    gpu: str | None
    gpu_count: int = 1
    cpu: str = ""
    memory: str = ""

    def applied(self, choices: Choices) -> Choices:
        """Return the choices with this machine."""
        return replace(choices, gpu=self.gpu, gpu_count=self.gpu_count, cpu=self.cpu, memory=self.memory)


PRESETS: tuple[Preset, ...] = (
    Preset("Cheapest CPU", "0.125 core and 128 MiB, the least that Modal bills", None, 1, "0.125", "128MiB"),
    Preset("Small GPU", "one T4 with 16 GiB", "T4"),
    Preset("One big GPU", "one H100 with 80 GiB, 4 cores and 32 GiB of memory", "H100", 1, "4", "32GiB"),
    Preset("Eight big GPUs", "eight H100, 16 cores and 128 GiB of memory", "H100", 8, "16", "128GiB"),
)


def priced(request: StepRequest, rates: Rates) -> Quote:
    """Price a request with the machine's defaults: with large inputs more memory is asked for, and paid."""
    return quote(
        request.modal_gpu,
        request.cpu or DEFAULT_CPU,
        request.memory_mib or DEFAULT_MEMORY_MIB,
        request.region,
        rates,
    )


def _clash(region: str, cloud: str) -> str | None:
    """Say why no machine can be in this region of that cloud, None if it may."""
    if cloud == "gcp" and _OTHERS.fullmatch(region):
        return f"{region} is a name of Amazon's or Oracle's form, and the cloud is gcp. Change one of them."
    if cloud in ("aws", "oci") and _GOOGLES.fullmatch(region):
        return f"{region} is a name of Google's form, and the cloud is {cloud}. Change one of them."
    return None
