"""The operator of the kernels under torch's compiler."""

import os
import subprocess
import sys

COMPILED = """
import torch
from matcaps.model import CapsNet, tiny
torch.manual_seed(0)
network = CapsNet(tiny())
compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
images = torch.randint(0, 256, (4, 1, 24, 24), dtype=torch.uint8)
found = []
for model in (network, compiled):
    network.zero_grad()
    model(images).logits.square().sum().backward()
    found.append([parameter.grad.clone() for parameter in network.parameters()])
for one, other in zip(*found, strict=True):
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
print("same gradients")
"""


def run(script: str, **environment: str) -> str:
    """The output of a script in a process of its own."""
    given = {**os.environ, "PYTHONWARNINGS": "ignore", **environment}
    return subprocess.run(
        [sys.executable, "-c", script], env=given, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_a_compiled_network_has_the_same_gradients() -> None:
    """torch.compile takes a whole network as one graph, with the operator in it."""
    # In a process of its own: the compiler cannot read functions whose shapes are checked at run time.
    assert run(COMPILED) == "same gradients"
