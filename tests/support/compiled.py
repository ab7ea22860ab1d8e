"""``python -m tests.support.compiled``: compiles the GPU kernels for an H100, without a GPU.

Triton's compiler may reject what its interpreter runs. This is a process of its own, since it fakes Triton's driver.
"""

from typing import Any

from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from triton.runtime.jit import JITFunction

from matcaps.model.kernels import gpu
from matcaps.model.kernels.layer import Layer, ResultGradients, empty_gradients
from tests.support.interpreted import CASES, forward, inputs_of

LAUNCH = JITFunction.run


class Driver:
    """The part of a device's driver that the compiler uses."""

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0


def main() -> None:
    compiled = set()

    def compile_only(self: JITFunction, *arguments: Any, grid: Any, warmup: bool, **options: Any) -> Any:
        kernel = LAUNCH(self, *arguments, grid=grid, warmup=True, **options)
        compiled.add(self.fn.__name__)
        return kernel

    driver.set_active(Driver())
    JITFunction.run = compile_only
    name = "windows-that-overlap-in-float32"
    case, dtype = CASES[name]
    inputs = inputs_of(name)
    # Of one geometry: kernels that do not depend on the configuration are compiled once.
    for config in (case.config, CASES["by-type-in-float32"][0].config):
        layer = Layer.of(case.windows(dtype), config, inputs.weights)
        results = forward(layer, inputs, keep=True)
        given = ResultGradients(results.logits, results.means, results.assignments)
        gpu.backward(layer, inputs, results.kept, given, empty_gradients(inputs))
    print(*sorted(compiled))


if __name__ == "__main__":
    main()
