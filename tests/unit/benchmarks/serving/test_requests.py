"""The requests that servers are loaded with."""

import json

from benchmarks.harness.servers import BOUNDARY
from benchmarks.harness.trivial import png
from benchmarks.serving.contenders import BARE, contenders
from benchmarks.serving.tensor_requests import tensor_request


def test_every_contender_gets_the_same_image() -> None:
    """It is the body, or a field of a form; matcaps is the first contender."""
    ours, bare, *peers = contenders()
    assert [ours.name, bare.name] == ["matcaps", BARE]
    assert [peer.name for peer in peers] == ["LitServe", "BentoML", "mosec"]
    for contender in (ours, bare, *peers):
        assert png() in contender.request.body
        assert contender.form == (BOUNDARY in contender.request.headers["content-type"])


def test_binary_requests_give_the_length_of_their_json() -> None:
    """The pixels follow it, one byte each."""
    request = tensor_request(3)
    length = int(request.headers["inference-header-content-length"])
    assert json.loads(request.body[:length])["inputs"][0]["shape"] == [3, 1, 48, 48]
    assert len(request.body) - length == 3 * 48 * 48


def test_every_contender_but_the_bare_one_gets_its_number_of_workers() -> None:
    """As an option, or in its environment."""
    for contender in contenders(3):
        told = "--http-workers=3" in contender.arguments or (contender.environment or {}).get("WORKERS") == "3"
        assert told == (contender.name != BARE)
