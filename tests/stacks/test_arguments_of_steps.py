"""Arguments of steps that run detached: those that ZenML gives the function where it runs the step itself."""

from __future__ import annotations

import time

import pytest
from frontend import Home
from launches import launched
from test_detached_steps import facts, run, state

KINDS = """
import dataclasses
import enum

from pydantic import BaseModel

class Limits(BaseModel):
    epochs: int = 3
    name: str = "x"

class Color(enum.Enum):
    RED = "red"

@dataclasses.dataclass
class Point:
    x: float
"""
STEPS = """
import datetime
import pathlib
import uuid
from typing import Annotated, Any, Literal, Optional

from kinds import Color, Limits, Point
from zenml import step

def told(values: dict) -> str:
    return repr({name: f"{type(value).__name__} {value!r}" for name, value in values.items()})

@step(enable_cache=False)
def takes(limits: Limits, rate: float, pair: tuple[int, int], chosen: set, color: Color, when: datetime.datetime,
          key: uuid.UUID, place: pathlib.Path, more: list[Limits], named: dict[str, Limits], point: Point, plain,
          loose,
          maybe: Optional[Limits] = None, size: int = 5, way: Literal["a", "b"] = "a", anything: Any = None,
          ) -> Annotated[str, "arguments"]:
    return told(dict(locals()))

@step(enable_cache=False)
def makes() -> tuple[Annotated[int, "count"], Annotated[Limits, "limits"]]:
    return 3, Limits(epochs=9)

@step(enable_cache=False)
def reads(count: float, limits: Limits) -> tuple[Annotated[float, "count"], Annotated[str, "arguments"]]:
    return count, told(dict(locals()))

@step(enable_cache=False)
def positive(rate: float) -> float:
    return rate
"""
PIPELINE = """
import datetime
import pathlib
import uuid

import later_steps
import steps
from kinds import Color, Limits, Point
from pydantic import BaseModel
from zenml import pipeline, step
from zenml.client import Client
from zenml_modal_nb.pipelines.stack import own_stack

class Own(BaseModel):
    n: int

@step(enable_cache=False)
def own(given: Own, count: float) -> str:
    return f"{type(given) is Own} {given!r} {count!r}"

@step(enable_cache=False)
def words() -> str:
    return "many"

def ran(module, **options):
    @pipeline(enable_cache=False, execution_mode="fail_fast")
    def given():
        module.takes.with_options(**options)(
            limits=Limits(epochs=4), rate=1, pair=(1, 2), chosen={1}, color=Color.RED,
            when=datetime.datetime(2020, 1, 1), key=uuid.UUID(int=5), place=pathlib.Path("/a"), more=[Limits()],
            named={"b": Limits()}, point=Point(1), plain=3, loose=(1, 2), maybe=Limits(epochs=1))
        module.reads.with_options(**options)(*module.makes.with_options(**options)())
        own.with_options(**options)(given=Own(n=2), count=7)
    found = given()
    shown = [found.steps[name].outputs["arguments"][0].load() for name in ("takes", "reads")]
    return [*shown, found.steps["own"].output.load()]

def refused():
    @pipeline(enable_cache=False, execution_mode="fail_fast")
    def wrong():
        steps.positive.with_options(step_operator="modal_notebook")(words())
    try:
        return str(wrong().status)
    except Exception as error:
        return f"{type(error).__name__}: {error}"

if __name__ == "__main__":
    own_stack()
    Client().activate_stack("modal_notebook")
    modules = (steps, later_steps)
    print("FACTS", repr([
        [ran(module) for module in modules],
        [ran(module, step_operator="modal_notebook") for module in modules],
        refused(),
    ]))
"""
WITH_LATER_ANNOTATIONS = f"from __future__ import annotations\n{STEPS}"


@pytest.mark.slow
def test_a_detached_step_gets_the_values_that_its_annotations_say_as_where_zenml_runs_it_here(
    home: Home,
) -> None:
    before = time.time()
    code, printed = run(
        home, "arguments", main=PIPELINE, kinds=KINDS, steps=STEPS, later_steps=WITH_LATER_ANNOTATIONS
    )
    assert code == 0, printed
    local, detached, refusal = facts(printed)
    assert "Limits Limits(epochs=4, name='x')" in local[0][0]
    assert "float 3.0" in local[0][1]
    assert local[0][2] == "True Own(n=2) 7.0"
    assert detached == local
    assert refusal.startswith(
        "StepInterfaceError: The step 'positive' cannot take its arguments: rate is 'many'"
    )
    assert "unable to parse string as a number" in refusal
    assert "Nothing was created." in refusal
    assert len(launched(state(home), before)) == 2 * 4
