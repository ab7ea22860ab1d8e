"""The layers for a network of one's own under torch's compiler and exporter."""

import os
import subprocess
import sys

# In a process of its own: the compiler cannot read functions whose shapes are checked at run time.
PROGRAM = """
import torch
from torch import nn
from matcaps.model import CapsuleGrid, ClassCaps, ConvCaps, PrimaryCaps, RoutingConfig

class Network(nn.Module):
    def __init__(self, iterations=3):
        super().__init__()
        routing = RoutingConfig(iterations=iterations)
        self.primary = PrimaryCaps(3, 2)
        self.capsules = ConvCaps(2, 3, (2, 3), routing=routing)
        self.classes = ClassCaps(3, 2, routing=routing)

    def forward(self, features):
        parents = self.capsules(self.primary(features), assignments=True)
        return parents.assignments, *self.classes(parents)[:3]

torch.manual_seed(0)
network = Network().eval()
compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
for rows, columns in ((4, 4), (4, 5), (7, 6)):
    features = torch.randn(2, 3, rows, columns)
    found = []
    for model in (compiled, network):
        network.zero_grad()
        results = model(features)
        sum(part.square().sum() for part in results).backward()
        found.append([*results, *(parameter.grad.clone() for parameter in network.parameters())])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
print("compiled")

network = Network(iterations=1).eval()
features = torch.randn(2, 3, 6, 13)  # a geometry that no call has found before
exported = torch.export.export(network, (features,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))
with torch.no_grad():
    for given in (features, torch.randn(5, 3, 6, 13)):
        for one, other in zip(exported.module()(given), network(given), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
print("exported")

for bad in (torch.randn(2, 4, 4, 2, 4, 4), CapsuleGrid(torch.rand(2, 16, 2), torch.randn(2, 16, 2, 4, 4))):
    try:
        network.capsules(bad)
    except ValueError as error:
        print(error)
"""


def test_compiled_and_exported_layers_agree_with_the_layers() -> None:
    """A compiled network takes grids of several sizes as one graph each; neither way needs a call before."""
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert found.stdout.splitlines() == [
        "compiled",
        "exported",
        "ConvCaps takes a CapsuleGrid, got Tensor",
        "ConvCaps takes poses [batch, rows, columns, 2, 4, 4], got [2, 16, 2, 4, 4]",
    ]
