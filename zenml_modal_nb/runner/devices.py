"""Arrays as their libraries do not pickle them: on a device, as memory for one of that name; with their gradients."""

from __future__ import annotations

import importlib
import pickle
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

_here = threading.local()


@contextmanager
def watched() -> Iterator[list[str]]:
    """Collect the devices that are missed here while objects are restored, each as often as it is missed."""
    missed: list[str] = []
    before, _here.missed = getattr(_here, "missed", None), missed
    try:
        yield missed
    finally:
        _here.missed = before


def reduce(obj: Any) -> Any:
    """Return how an array's memory is pickled; NotImplemented for everything that has a better way."""
    rule = _RULES.get((type(obj).__module__, type(obj).__name__))
    return NotImplemented if rule is None else rule(obj)


def told(moved: Mapping[str, str], where: str) -> str:
    """Say which variables are copies in memory here, by the device that they live on elsewhere."""
    by_device: dict[str, list[str]] = {}
    for name, device in moved.items():
        by_device.setdefault(device, []).append(name)
    parts = [f"{', '.join(names)} ({device} {where})" for device, names in by_device.items()]
    return f"Copies in the computer's own memory, as there is no such device here: {'; '.join(parts)}."


def device_of(obj: Any) -> str | None:
    """Return the device that an array lives on, None if that is the computer's own memory or no array."""
    root = type(obj).__module__.partition(".")[0]
    if root == "cupy" and type(obj).__name__ == "ndarray":
        return f"cuda:{obj.device.id}"
    if root in ("jax", "jaxlib") and type(obj).__name__ == "ArrayImpl":
        device = next(iter(obj.devices()))
        return None if device.platform == "cpu" else f"{device.platform}:{device.id}"
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(obj, torch.Tensor) and obj.device.type not in ("cpu", "meta"):
        return str(obj.device)
    return None


def write(array: Any, content: memoryview) -> None:
    """Give an array of cupy on its device what a copy of it in memory holds by now."""
    array.set(sys.modules["numpy"].frombuffer(content, array.dtype).reshape(array.shape))


def _reduce_storage(storage: Any) -> Any:
    # torch would copy the memory twice, and a storage on a GPU could not be read where there is none.
    device = str(storage.device)
    if device == "meta":
        return NotImplemented
    memory = storage if device == "cpu" else storage.cpu()
    return _restore_storage, (_buffer_of_storage(memory), device)


def _buffer_of_storage(storage: Any) -> Any:
    torch = sys.modules["torch"]
    if not storage.nbytes():
        return bytearray()
    flat = torch.empty(0, dtype=torch.uint8).set_(storage)
    try:
        return pickle.PickleBuffer(flat.numpy())
    except RuntimeError:  # torch without numpy
        return bytearray(flat.tolist())


def _restore_storage(buffer: Any, device: str) -> Any:
    torch = importlib.import_module("torch")
    if not len(buffer):
        return torch.UntypedStorage(0)
    memory = torch.frombuffer(buffer, dtype=torch.uint8)
    if device != "cpu":
        try:
            memory = memory.to(device)
        except (RuntimeError, AssertionError, NotImplementedError):  # what torch raises without such a device
            _miss(device)
    return memory.untyped_storage()


def _reduce_typed_storage(storage: Any) -> Any:
    return _restore_typed_storage, (storage._untyped_storage, storage.dtype)


def _restore_typed_storage(untyped: Any, dtype: Any) -> Any:
    torch = importlib.import_module("torch")
    return torch.storage.TypedStorage(wrap_storage=untyped, dtype=dtype, _internal=True)


def _reduce_tensor(tensor: Any) -> Any:
    # torch pickles a tensor without its gradient. It warns when one that was computed from others is asked for it.
    if not tensor.is_leaf or tensor.grad is None:
        return NotImplemented
    make, arguments, *rest = tensor.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
    state = rest[0] if rest else None
    return make, arguments, (state, tensor.grad), None, None, _set_gradient


def _set_gradient(tensor: Any, states: tuple[Any, Any]) -> None:
    state, tensor.grad = states
    if state is not None:
        sys.modules["torch"]._utils._set_obj_state(tensor, state)


def _reduce_cupy(array: Any) -> Any:
    return _restore_array, (array.get(), device_of(array), "cupy")


def _reduce_jax(array: Any) -> Any:
    device = device_of(array)
    if device is None:
        return NotImplemented
    return _restore_array, (sys.modules["numpy"].asarray(array), device, "jax")


def _restore_array(memory: Any, device: str, library: str) -> Any:
    """Put an array back on its device; without the device it stays in memory, as what is there to hold it."""
    try:
        if library == "cupy":
            cupy = importlib.import_module("cupy")
            with cupy.cuda.Device(int(device.rpartition(":")[2])):
                return cupy.asarray(memory)
        jax = importlib.import_module("jax")
        platform, _, number = device.rpartition(":")
        if not any(each.platform == platform for each in jax.devices()):
            _miss(device)
            return jax.numpy.asarray(memory)
        devices = {each.id: each for each in jax.devices(platform)}
        return jax.device_put(memory, devices.get(int(number)))
    except Exception:  # noqa: BLE001  # no such library, no driver, no such device: each says it in its own way
        _miss(device)
        return memory


def _miss(device: str) -> None:
    missed = getattr(_here, "missed", None)
    if missed is not None:
        missed.append(device)


_RULES: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("torch.storage", "UntypedStorage"): _reduce_storage,
    ("torch.storage", "TypedStorage"): _reduce_typed_storage,
    ("torch", "Tensor"): _reduce_tensor,
    ("torch.nn.parameter", "Parameter"): _reduce_tensor,
    ("cupy", "ndarray"): _reduce_cupy,
    ("jaxlib._jax", "ArrayImpl"): _reduce_jax,
    ("jaxlib.xla_extension", "ArrayImpl"): _reduce_jax,
}
# Of the classes with a rule, which may depend on the array.
MODULES = frozenset(module for module, _ in _RULES)
