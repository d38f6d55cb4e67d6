"""PyTorch itself, where it is installed: `.ci/full` has an environment with it, 4.5 GB with the CUDA libraries."""

from __future__ import annotations

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


def test_torchrun_runs_a_script_of_the_cells(torch_kernel: Kernel) -> None:
    reply = torch_kernel.run(
        "%%modal_step\n"
        "with open('ranks.py', 'w') as script:\n"
        '    script.write(\'import os, sys; sys.stdout.write("rank " + os.environ["RANK"] + chr(10))\')\n'
        "!torchrun --standalone --nproc-per-node 2 ranks.py\n"
        "del script"
    )
    assert sorted(reply.stdout.split("\n")) == ["", "rank 0", "rank 1"]


def test_a_gpu_image_has_torch_at_the_version_here(torch_kernel: Kernel) -> None:
    version = torch_kernel.ask("torch.__version__").partition("+")[0]
    (plan,) = torch_kernel.run("%%modal_step --gpu A100 --dry-run\nq = torch.rand(3)").results
    assert f"torch=={version}\n" in plan
