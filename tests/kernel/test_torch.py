"""PyTorch itself, where it is installed: `.ci/full` has an environment with it, 4.5 GB with the CUDA libraries."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from frontend import Kernel

pytest.importorskip("torch", reason="PyTorch is not installed here")
pytestmark = pytest.mark.slow

DATA = """
import torch
from torch import nn
class Squares(torch.utils.data.Dataset):
    def __len__(self):
        return 64
    def __getitem__(self, index):
        return torch.tensor([float(index)]), torch.tensor([float(index * index)])
squares = Squares()
SUM_OF_SQUARES = sum(index * index for index in range(64))
class Line(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1)
    def forward(self, x):
        return self.layer(x)
"""


@pytest.fixture(scope="module")
def torch_kernel(kernel: Kernel) -> Kernel:
    kernel.run(DATA)
    return kernel


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_loaders_of_data_have_workers_with_classes_of_other_cells(torch_kernel: Kernel, context: str) -> None:
    torch_kernel.run(
        "%%modal_step\n"
        f"loader = torch.utils.data.DataLoader(squares, 8, num_workers=2, multiprocessing_context='{context}')\n"
        "loaded = sum(float(y.sum()) for _, y in loader)\n"
        "del loader"
    )
    assert torch_kernel.ask("loaded == SUM_OF_SQUARES")


def test_a_model_of_the_notebook_is_trained_in_place_as_here(torch_kernel: Kernel) -> None:
    train = (
        "optimizer = torch.optim.Adam(line.parameters(), lr=0.1)\n"
        "for x, y in torch.utils.data.DataLoader(squares, batch_size=8, shuffle=True):\n"
        "    optimizer.zero_grad()\n"
        "    ((line(x) - y) ** 2).mean().backward()\n"
        "    optimizer.step()\n"
    )
    start = "torch.manual_seed(3)\nline = Line()\n"
    torch_kernel.run(f"{start}{train}here = [each.tolist() for each in line.state_dict().values()]")
    torch_kernel.run(f"{start}other_name = line.layer")
    torch_kernel.run(f"%%modal_step\n{train}")
    same = "[each.tolist() for each in line.state_dict().values()] == here"
    assert torch_kernel.ask(f"[{same}, type(line) is Line, line.layer is other_name]") == [True, True, True]
    assert torch_kernel.ask("optimizer.param_groups[0]['params'][0] is line.layer.weight")


def test_gradients_come_and_go(torch_kernel: Kernel) -> None:
    torch_kernel.run(
        "sloped = Line()\nsloped(torch.ones(3, 1)).sum().backward()\nleaf = torch.ones(2, requires_grad=True)"
    )
    torch_kernel.run(
        "%%modal_step\narrived = sloped.layer.weight.grad.clone()\nsloped(torch.ones(3, 1)).sum().backward()\n"
        "(leaf * 3).sum().backward()"
    )
    told = (
        "[arrived.item(), sloped.layer.weight.grad.item(), sloped.layer.bias.grad.item(), leaf.grad.tolist()]"
    )
    assert torch_kernel.ask(told) == [3.0, 6.0, 6.0, [3.0, 3.0]]
    torch_kernel.run("%%modal_step\nsloped.zero_grad()\nleaf.grad.mul_(2)")
    assert torch_kernel.ask("[sloped.layer.weight.grad, leaf.grad.tolist()]") == [None, [6.0, 6.0]]


# A cell that gives its process a device named `fake`, as a machine with a GPU has one from the start.
WITH_DEVICE = """
import types, torch
torch.ops.load_library({library!r})
torch.utils.rename_privateuse1_backend("fake")
torch._C._acc.register_python_privateuseone_hook(torch.utils.backend_registration._DummyPrivateUse1Hook())
_module = types.ModuleType("torch.fake")
_module.is_available, _module._is_in_bad_fork, _module._lazy_init = (lambda: True), (lambda: False), (lambda: None)
_module.device_count, _module.current_device = (lambda: 1), (lambda: 0)
torch._register_device_module("fake", _module)
del _module, types
"""


@pytest.fixture(scope="module")
def with_device(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Build a device for torch: this machine has no GPU."""
    if shutil.which("c++") is None or shutil.which("ninja") is None:
        pytest.skip("a C++ compiler and ninja build the device")
    from torch.utils.cpp_extension import load

    directory = tmp_path_factory.mktemp("device")
    source = Path(__file__).with_name("fake_device.cpp")
    load(
        "fake_device",
        [str(source)],
        build_directory=str(directory),
        extra_cflags=["-O0"],
        is_python_module=False,
    )
    return WITH_DEVICE.format(library=str(directory / "fake_device.so"))


def test_what_is_trained_on_a_device_of_the_sandbox_is_in_memory_here_and_the_cell_says_so(
    torch_kernel: Kernel, with_device: str
) -> None:
    torch_kernel.run("moving = Line()\nother, before = {'model': moving}, moving.layer.weight.item()")
    reply = torch_kernel.run(
        f"%%modal_step{with_device}"
        "moving.to('fake')\n"
        "optimizer = torch.optim.Adam(moving.parameters(), lr=0.5)\n"
        "x = torch.ones(4, 1, device='fake')\n"
        "((moving(x) - 9) ** 2).mean().backward()\n"
        "optimizer.step()\n"
        "whole = torch.arange(6.0, device='fake')\n"
        "parts = {'view': whole[2:], 'plain': torch.ones(2)}\n"
        "there = [moving.layer.weight.device.type, whole.device.type, moving.layer.weight.item()]"
    )
    assert torch_kernel.ask("there[:2]") == ["fake", "fake"]
    given = "weights = list(moving.parameters())"
    tensors = "[*weights, *[each.grad for each in weights], x, whole, *parts.values()]"
    assert torch_kernel.ask(f"list({{each.device.type for each in {tensors}}})", given) == ["cpu"]
    assert torch_kernel.ask("[other['model'] is moving, weights[0].item() == there[2]]") == [True, True]
    assert torch_kernel.ask("optimizer.param_groups[0]['params'][0] is moving.layer.weight") is True
    # As any other: to be trained on, and its views see what is written.
    torch_kernel.run("whole[3] = 70.0\nmoving(torch.ones(1, 1)).sum().backward()\noptimizer.step()")
    assert torch_kernel.ask("[parts['view'].tolist(), before < there[2] < weights[0].item()]") == [
        [2, 70, 4, 5],
        True,
    ]
    told = reply.stderr
    assert "Copies in the computer's own memory, as there is no such device here: " in told
    assert "(fake:0 in the sandbox)" in told
    # `parts` refers to `whole`.
    assert all(f"{name}," in told or f"{name} (" in told for name in ("moving", "optimizer", "x", "whole"))


def test_a_tensor_of_the_notebooks_device_is_memory_there_and_changes_on_its_device_here(
    new_kernel: Kernel, with_device: str
) -> None:
    new_kernel.run("%load_ext zenml_modal_nb")
    new_kernel.run(f"{with_device}here = torch.ones(3, device='fake')\nbox = [here, here[1:]]")
    reply = new_kernel.run(
        "%%modal_step\nkind = here.device.type, box[0] is here\nhere[2] = 5\ntotal = here.sum().item()"
    )
    assert new_kernel.ask("[kind, total]") == [["cpu", True], 7]
    assert new_kernel.ask("[here.device.type, box[0] is here, here.tolist(), box[1].tolist()]") == [
        "fake", True, [1, 1, 5], [1, 5],
    ]  # fmt: skip
    assert "no such device here: box, here (fake:0 in the notebook)" in reply.stderr


def test_random_numbers_go_on_where_the_cell_has_left_off(torch_kernel: Kernel) -> None:
    torch_kernel.run("_ = torch.manual_seed(7)\ndrawn_here = [torch.rand(1).item() for _ in range(3)]")
    torch_kernel.run("_ = torch.manual_seed(7)\ndrawn = [torch.rand(1).item()]")
    torch_kernel.run("%%modal_step\ndrawn.append(torch.rand(1).item())")
    torch_kernel.run("drawn.append(torch.rand(1).item())")
    assert torch_kernel.ask("drawn == drawn_here")


def test_processes_that_torch_starts_have_the_cells_functions(torch_kernel: Kernel) -> None:
    reply = torch_kernel.run(
        "%%modal_step\n"
        "import os, socket\n"
        "import torch.distributed as dist\n"
        "def add_up(rank, port):\n"
        "    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))\n"
        "    dist.init_process_group('gloo', rank=rank, world_size=2)\n"
        "    found = torch.tensor([rank + 1.0])\n"
        "    dist.all_reduce(found)\n"
        "    if rank == 0:\n"
        "        print('sum', found.item())\n"
        "    dist.destroy_process_group()\n"
        "with socket.socket() as free:\n"
        "    free.bind(('127.0.0.1', 0))\n"
        "    port = free.getsockname()[1]\n"
        "torch.multiprocessing.spawn(add_up, args=(port,), nprocs=2)\n"
        "del free"
    )
    assert reply.stdout == "sum 3.0\n"


RANKS = """
import os, sys
from notebook_definitions import Line, squares
rank = int(os.environ["RANK"])
sys.stdout.write(f"rank {rank} {type(Line().layer).__name__} {squares[rank + 2][1].item()}\\n")
"""


def test_torchrun_runs_a_script_that_imports_the_notebooks_classes_and_values(torch_kernel: Kernel) -> None:
    reply = torch_kernel.run(
        "%%modal_step\n"
        f"with open('ranks.py', 'w') as script:\n    script.write({RANKS!r})\n"
        "!torchrun --standalone --nproc-per-node 2 ranks.py\n"
        "Line, squares\n"
        "del script"
    )
    assert sorted(reply.stdout.split("\n")) == ["", "rank 0 Linear 4.0", "rank 1 Linear 9.0"]


def test_a_gpu_image_has_torch_at_the_version_here(torch_kernel: Kernel) -> None:
    version = torch_kernel.ask("torch.__version__").partition("+")[0]
    (plan,) = torch_kernel.run("%%modal_step --gpu A100 --dry-run\nq = torch.rand(3)").results
    assert f"torch=={version}\n" in plan
