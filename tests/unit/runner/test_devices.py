"""Arrays on a device, with a fake of cupy: this machine has no GPU."""

import sys
import types

import numpy as np
import pytest
from sandboxed import ran

from zenml_modal_nb.runner import pickling

CUPY = '''
import sys, types
import numpy as np
cupy = types.ModuleType("cupy")
exec("""
import numpy as np
from types import SimpleNamespace
from contextlib import nullcontext
class ndarray:
    def __init__(self, values, device=0):
        self.values, self.device = np.asarray(values), SimpleNamespace(id=device)
    def get(self):
        return self.values.copy()
    def __reduce__(self):
        raise RuntimeError("no CUDA driver")
ndarray.__module__ = "cupy"
asarray = ndarray
cuda = SimpleNamespace(Device=lambda number: nullcontext())
""", cupy.__dict__)
'''


@pytest.fixture
def cupy(monkeypatch):
    """A GPU in the notebook."""
    namespace = {}
    exec(CUPY, namespace)
    monkeypatch.setitem(sys.modules, "cupy", namespace["cupy"])
    return namespace["cupy"]


def test_arrays_of_a_device_come_back_as_memory_where_there_is_none():
    cell = (
        f"{CUPY}\nsys.modules['cupy'] = cupy\n"
        "on_gpu = cupy.ndarray([1.0, 2.0])\nholder = {'inner': [cupy.ndarray([3], 1)]}\nplain = np.ones(2)"
    )
    run = ran(cell, outputs=["on_gpu", "holder", "plain"], isolated=False)
    returned = run.returned()
    assert returned.lost == {}
    assert isinstance(returned.named["on_gpu"], np.ndarray)
    assert (returned.named["on_gpu"].tolist(), returned.named["holder"]["inner"][0].tolist()) == ([1, 2], [3])
    assert returned.moved == {"on_gpu": "cuda:0", "holder": "cuda:1"}


def test_an_array_comes_back_to_the_device_where_there_is_one(cupy):
    cell = f"{CUPY}\nsys.modules['cupy'] = cupy\non_gpu = cupy.ndarray([1.0, 2.0])"
    returned = ran(cell, outputs=["on_gpu"], isolated=False).returned()
    assert isinstance(returned.named["on_gpu"], cupy.ndarray)
    assert returned.moved == {}


def test_inputs_of_a_device_are_memory_in_a_sandbox_without_and_it_says_so(cupy):
    values = {"gpu": cupy.ndarray([4]), "box": types.SimpleNamespace(part=[cupy.ndarray([5])]), "n": 1}
    run = ran(
        "kinds = type(gpu).__name__, box.part[0].tolist(), n",
        values=values,
        outputs=["kinds"],
        isolated=False,
    )
    assert run.values()["values"]["kinds"] == ("ndarray", [5], 1)
    assert "no such device here: gpu, box (cuda:0 in the notebook)" in run.stderr.text.shown


def test_of_two_arrays_of_one_class_each_is_asked_for_its_device():
    class ArrayImpl:
        def __init__(self, platform):
            self.platform = platform

        def devices(self):
            return [types.SimpleNamespace(platform=self.platform, id=0)]

        def __array__(self, dtype=None, copy=None):
            return np.ones(2)

        def __reduce__(self):
            return str, (f"{self.platform} by its own rule",)

    ArrayImpl.__module__ = "jaxlib._jax"
    values = pickling.dump([ArrayImpl("cpu"), ArrayImpl("gpu")], {})
    in_memory, on_a_device = pickling.load(bytes(values), {})
    assert (in_memory, on_a_device.tolist()) == ("cpu by its own rule", [1, 1])
