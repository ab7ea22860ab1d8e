"""The modules of the explorer page, in node: their own tests, and what numpy and the service read of them."""

import io
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from matcaps.images.fit import fit
from matcaps.service.routes.v2.tensors import encode, parse

ROOT = Path(__file__).parents[4]
WEB = (ROOT / "service" / "web").as_uri()
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None and "CI" not in os.environ, reason="node is not installed")


def run(*words: str, given: bytes = b"") -> bytes:
    """The standard output of node."""
    done = subprocess.run(
        [NODE or "node", *words], cwd=ROOT, input=given, capture_output=True, check=False, timeout=120
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return done.stdout


def module(program: str, given: bytes = b"") -> bytes:
    """What a module writes; it may read ``given`` from its standard input."""
    return run("--input-type=module", "--eval", program, given=given)


def test_the_modules_pass_their_tests() -> None:
    """Those of tests/web."""
    tests = sorted(str(path) for path in (ROOT / "tests" / "web").glob("*.test.js"))
    assert len(tests) > 3
    assert b"# fail 0" in run("--test", "--test-reporter=tap", *tests)


def test_numpy_reads_the_arrays() -> None:
    """An archive of the page holds its arrays in their shapes."""
    program = f"""
        import {{ npzOf }} from '{WEB}/npz.js';
        const numbers = (length) => Float32Array.from({{ length }}, (_, index) => index / 4);
        const activations = {{ shape: [5], data: numbers(5) }};
        const poses = {{ shape: [1, 36, 16, 4, 4], data: numbers(36 * 16 * 16) }};
        process.stdout.write(npzOf(new Map([['activations', activations], ['conv_caps_1_poses', poses]])));
    """
    with np.load(io.BytesIO(module(program)), allow_pickle=False) as found:
        arrays = dict(found)
    assert list(arrays) == ["activations", "conv_caps_1_poses"]
    for name, shape in (("activations", (5,)), ("conv_caps_1_poses", (1, 36, 16, 4, 4))):
        assert arrays[name].dtype == np.float32
        assert np.array_equal(arrays[name], np.arange(np.prod(shape), dtype=np.float32).reshape(shape) / 4)


def test_the_page_shrinks_pictures_as_the_service_does() -> None:
    """Exactly where the size divides; else at most a level beside it, since the service rounds twice in float32."""
    random = np.random.default_rng(0)
    for width, height, to, most_other in ((96, 96, 48, 0), (40, 30, 10, 0), (100, 81, 28, 0.01)):
        levels = random.integers(0, 256, (height, width), np.uint8)
        program = f"""
            import {{ readFileSync }} from 'node:fs';
            import {{ centreOf, shrunk }} from '{WEB}/grey.js';
            const levels = new Uint8Array(readFileSync(0));
            const centre = centreOf({{ width: {width}, height: {height}, levels }}, {to}, {to});
            process.stdout.write(shrunk(centre, {to}, {to}).levels);
        """
        found = np.frombuffer(module(program, levels.tobytes()), np.uint8).reshape(to, to)
        off = np.abs(found - fit(Image.fromarray(levels), to, to).astype(int))
        assert off.max() <= 1
        assert (off > 0).mean() <= most_other


def test_the_service_reads_the_requests_and_the_page_its_answers() -> None:
    """Both ends of the binary form of the protocol agree."""
    program = f"""
        import {{ encodeRequest }} from '{WEB}/protocol.js';
        const files = [Uint8Array.of(1, 2), Uint8Array.of(3)];
        const {{ body, headerLength }} = encodeRequest(files, 2, ['activations', 'poses']);
        process.stdout.write(Uint8Array.of(headerLength));
        process.stdout.write(body);
    """
    length, *body = module(program)
    request = parse(bytes(body), length)
    (tensor,) = request.inputs
    assert (tensor.name, tensor.shape, tensor.files) == ("files", (1, 2), [b"\1\2", b"\3"])
    assert [(output.name, output.binary) for output in request.outputs] == [("activations", True), ("poses", True)]

    values = np.array([[0.25, -3.0]], np.float32)
    content, size = encode({"model_name": "m"}, [("activations", values, True)])
    program = f"""
        import {{ readFileSync }} from 'node:fs';
        import {{ decodeResponse }} from '{WEB}/protocol.js';
        const bytes = readFileSync(0);
        const body = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
        const {{ shape, data }} = decodeResponse(body, {size}).get('activations');
        process.stdout.write(JSON.stringify([shape, Array.from(data)]));
    """
    assert module(program, content) == b"[[1,2],[0.25,-3]]"
