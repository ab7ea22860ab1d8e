"""The requests of the comparison with and without the C++ kernel."""

import io
from typing import Any

import pytest
from PIL import Image

from benchmarks.serving.cpu_kernel import measure, request_for


def model(channels: int) -> dict[str, Any]:
    """What ``/models/NAME`` says, as far as it matters."""
    return {"name": "some", "image": {"channels": channels, "height": 20, "width": 30}}


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
@pytest.mark.parametrize(("side", "size"), [(0, (30, 20)), (64, (64, 64))])
def test_a_picture_has_the_size_of_the_network_or_the_one_asked_for(
    channels: int, mode: str, side: int, size: tuple[int, int]
) -> None:
    """It is the body of the request."""
    request = request_for(model(channels), side)
    assert (request.path, request.headers) == ("/predict?model=some", {"content-type": "image/png"})
    picture = Image.open(io.BytesIO(request.body))
    assert (picture.size, picture.mode) == (size, mode)


def test_a_stereo_model_gets_two_pictures() -> None:
    """They are two parts of a form."""
    one, two = (request_for(model(channels), 0) for channels in (1, 2))
    assert two.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert two.body.count(one.body) == 2


def test_one_round_alone_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quartiles need two; the message says what came."""
    monkeypatch.setattr("benchmarks.serving.cpu_kernel.check_wrk", lambda: None)
    with pytest.raises(SystemExit, match="rounds must be at least 2, got 1"):
        measure(rounds=1)
