"""Arrays on a device that only one side has, by fakes of cupy and JAX: they travel as memory, and the user is told."""

from __future__ import annotations

import re

from frontend import Kernel

# Leaves a module of that name loaded, as `import cupy` does where there is a GPU.
CUPY = '''
import sys, types
sys.modules["cupy"] = types.ModuleType("cupy")
exec("""
import numpy as np
from types import SimpleNamespace
class ndarray:
    def __init__(self, values, device=0):
        self.values, self.device = np.asarray(values), SimpleNamespace(id=device)
        self.dtype, self.shape = self.values.dtype, self.values.shape
    def get(self):
        return self.values.copy()
    def set(self, values):
        self.values = np.array(values)
    def __reduce__(self):  # by the driver, which only one side has
        return ndarray, (self.values, self.device.id)
ndarray.__module__ = "cupy"
asarray = ndarray
""", sys.modules["cupy"].__dict__)
'''

# As JAX's own arrays look from outside: a class of another name than what the user imports, and devices as a set.
JAX = '''
import sys, types
sys.modules["jaxlib"] = types.ModuleType("jaxlib")
sys.modules["jaxlib._jax"] = types.ModuleType("jaxlib._jax")
exec("""
import numpy as np
from types import SimpleNamespace
class Device(SimpleNamespace):
    __hash__ = object.__hash__
class ArrayImpl:
    def __init__(self, values, device=0):
        self.values, self.device = np.asarray(values), Device(platform="cuda", id=device)
    def devices(self):
        return {self.device}
    def __array__(self, dtype=None, copy=None):
        return self.values.copy()
    def __reduce__(self):
        raise RuntimeError("only where its device is")
ArrayImpl.__module__ = "jaxlib._jax"
""", sys.modules["jaxlib._jax"].__dict__)
'''


def test_an_array_of_the_sandboxs_device_is_memory_here_and_the_cell_says_so(kernel: Kernel) -> None:
    reply = kernel.run(
        f"%%modal_step\n{CUPY}\n"
        "on_gpu = sys.modules['cupy'].ndarray([1.0, 2.0])\n"
        "holder = {'inner': [on_gpu, sys.modules['cupy'].ndarray([3], 1)]}\n"
        "beside = 1"
    )
    assert kernel.ask("[type(on_gpu).__module__, on_gpu.tolist(), beside]") == ["numpy", [1.0, 2.0], 1]
    assert kernel.ask("[holder['inner'][0] is on_gpu, holder['inner'][1].tolist()]") == [True, [3]]
    told = "Copies in the computer's own memory, as there is no such device here: "
    assert told in reply.stderr
    assert "on_gpu" in reply.stderr
    assert "cuda:1 in the sandbox" in reply.stderr
    kernel.run("on_gpu.sort()")  # as any array


def test_an_array_of_the_notebooks_device_is_memory_there_and_stays_where_it_is_here(
    new_kernel: Kernel,
) -> None:
    new_kernel.run("%load_ext zenml_modal_nb")
    new_kernel.run(f"{CUPY}\nhere = sys.modules['cupy'].ndarray([4.0])\nbox = [here]")
    reply = new_kernel.run("%%modal_step\nkinds = type(here).__module__, box[0] is here, float(here.sum())")
    assert new_kernel.ask("kinds") == ["numpy", True, 4.0]
    assert new_kernel.ask("[type(here).__module__, box[0] is here]") == ["cupy", True]
    assert re.search(r"no such device here: (here, box|box, here) \(cuda:0 in the notebook\)", reply.stderr)


def test_an_array_of_the_notebooks_device_that_the_cell_changes_in_memory_is_changed_on_its_device(
    new_kernel: Kernel,
) -> None:
    new_kernel.run("%load_ext zenml_modal_nb")
    new_kernel.run(f"{CUPY}\nhere = sys.modules['cupy'].ndarray([[4.0, 5.0]])\nbox = [here]")
    new_kernel.run("%%modal_step\nhere[0, 1] = 7\nbox.append(here)")
    assert new_kernel.ask("[type(here).__module__, here.get().tolist(), box[0] is here, box[1] is here]") == [
        "cupy", [[4.0, 7.0]], True, True,
    ]  # fmt: skip


def test_an_array_of_jax_on_the_sandboxs_device_is_memory_here(kernel: Kernel) -> None:
    reply = kernel.run(
        f"%%modal_step\n{JAX}\nin_jax = sys.modules['jaxlib._jax'].ArrayImpl([1.0, 2.0], 3)\nwith_it = [in_jax]"
    )
    assert kernel.ask("[type(in_jax).__module__, in_jax.tolist(), with_it[0] is in_jax]") == [
        "numpy", [1.0, 2.0], True,
    ]  # fmt: skip
    assert re.search(r"no such device here: .*in_jax.* \(cuda:3 in the sandbox\)", reply.stderr)


def test_an_array_of_jax_on_the_notebooks_device_is_memory_there(new_kernel: Kernel) -> None:
    new_kernel.run("%load_ext zenml_modal_nb")
    new_kernel.run(f"{JAX}\nhere = sys.modules['jaxlib._jax'].ArrayImpl([4.0])")
    reply = new_kernel.run("%%modal_step\nkinds = type(here).__module__, float(here.sum())")
    assert new_kernel.ask("[kinds, type(here).__module__]") == [["numpy", 4.0], "jaxlib._jax"]
    assert "no such device here: here (cuda:0 in the notebook)" in reply.stderr
