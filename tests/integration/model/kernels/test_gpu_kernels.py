"""The GPU's kernels without a GPU: interpreted, they agree with plain PyTorch, and they compile for an H100."""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module

import pytest
import torch
from torch import Tensor

from matcaps.model.kernels import gpu
from tests.support.interpreted import CASES, SINGLE, gradients_given, inputs_of
from tests.support.routing_cases import largest_error, route_by_torch

needs_triton = pytest.mark.skipif(not gpu.available(), reason="Triton is not installed")
Found = dict[str, dict[str, Tensor]]


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Python in a process of its own."""
    given = {**os.environ, "PYTHONWARNINGS": "ignore", **environment}
    return subprocess.Popen([sys.executable, *arguments], env=given, stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """Results and gradients of each case by name, from interpreted kernels."""
    file = tmp_path_factory.mktemp("interpreted") / "found.pt"
    with start("-m", "tests.support.interpreted", str(file), TRITON_INTERPRET="1") as process:
        process.communicate()
    assert process.returncode == 0
    loaded: Found = torch.load(file)
    return loaded


@pytest.fixture(scope="module")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """The kernels being compiled, beside the interpreter on another core."""
    cache = str(tmp_path_factory.mktemp("compiled"))
    with start("-m", "tests.support.compiled", TRITON_INTERPRET="0", TRITON_CACHE_DIR=cache) as process:
        yield process
        process.kill()


def expected(name: str, found: dict[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """The same from plain PyTorch."""
    case, _ = CASES[name]
    leaves = [tensor.to(dtype).requires_grad_() for tensor in inputs_of(name)]
    results = route_by_torch(case.windows(dtype), case.config, *leaves)
    given = gradients_given(results, case.seed)
    gradients = torch.autograd.grad(list(results), leaves, given)
    values = (result.detach().double() for result in (*results, *gradients))
    return dict(zip(found, values, strict=True))


@needs_triton
@pytest.mark.usefixtures("compiler")
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_those_of_plain_pytorch(name: str, found: Found) -> None:
    """In float64 they agree to 1e-10; in float32 their error is at most 30 times that of plain PyTorch."""
    truth = expected(name, found[name], torch.float64)
    plain = expected(name, found[name], SINGLE) if CASES[name][1] == SINGLE else truth
    for gradient in (False, True):
        allowed = 30 * largest_error(plain, truth, gradient=gradient) + 32 * torch.finfo(SINGLE).eps
        error = largest_error({of: value.double() for of, value in found[name].items()}, truth, gradient=gradient)
        assert error <= (allowed if CASES[name][1] == SINGLE else 1e-10)


@needs_triton
def test_the_case_of_underflowing_masses_underflows(found: Found) -> None:
    """A parent's masses are all below the smallest float32, and its mean is finite."""
    shares, means = found["masses-that-underflow"]["assignments"], found["masses-that-underflow"]["parent poses"]
    assert (shares[..., 1] == 0).all()
    assert means.isfinite().all()
    assert means[:, :, 1].abs().max() > 1000


@needs_triton
def test_children_that_no_window_reaches_have_no_gradient(found: Found) -> None:
    """Where the stride steps over a child its gradients are zero, not what was in the memory before."""
    case, dtype = CASES["windows-that-skip-children"]
    skipped = case.windows(dtype).windows_of_child == 0
    assert skipped.any()
    for name in ("poses", "activations"):
        gradient = found["windows-that-skip-children"][f"gradient of {name}"]
        assert (gradient[:, skipped] == 0).all()
        assert (gradient[:, ~skipped] != 0).any()


@needs_triton
def test_keeping_tables_for_the_backward_pass_changes_no_bit(found: Found) -> None:
    """Without a backward pass to follow, the results are the same numbers."""
    for name, value in found["nothing-kept"].items():
        assert torch.equal(value, found["windows-that-overlap"][name])


@needs_triton
def test_all_kernels_compile_for_a_gpu(compiler: subprocess.Popen[str]) -> None:
    """Triton's compiler accepts every kernel that the interpreter runs."""
    printed, _ = compiler.communicate()
    assert compiler.returncode == 0
    forward = {"moments", "fit", "quadratics", "compete", "units"}
    backward = {"differentiate_fit", "differentiate_competition", "vote_gradients", "gather"}
    assert set(printed.split()) == forward | backward


@needs_triton
@pytest.mark.parametrize("module", ["passes", "vote_gradients", "parents", "children", "votes"])
def test_the_shape_checks_of_tests_do_not_wrap_kernels(module: str) -> None:
    """Triton looks up names in a kernel's module; a wrapper around the kernel would hide them."""
    found = import_module(f"matcaps.model.kernels.gpu.{module}")
    kernels = [value for value in vars(found).values() if hasattr(value, "fn") and value.__module__ == found.__name__]
    assert kernels
    assert all(kernel.fn.__globals__ is vars(found) for kernel in kernels)


def test_kernels_are_unavailable_without_triton() -> None:
    """Without Triton importing the package works, and the kernels count as unavailable."""
    script = "import sys; sys.modules['triton'] = None; from matcaps.model.kernels import gpu; print(gpu.available())"
    with start("-c", script) as process:
        printed, _ = process.communicate()
    assert printed.strip() == "False"
