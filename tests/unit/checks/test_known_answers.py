"""Answers to even grey images."""

import json

from benchmarks.harness.client import Answer
from benchmarks.harness.trivial import CLASSES
from checks.known_answers import is_right


def test_a_wrong_answer_is_noticed() -> None:
    """Another image's activations, a missing class, another label, another status, or a cut body."""
    right = {name: (100 + place) / 1000 for place, name in enumerate(CLASSES)}
    content = {"predictions": [{"label": CLASSES[-1], "activations": right}]}
    body = json.dumps(content).encode()
    assert is_right(Answer(200, body), 100)
    assert not is_right(Answer(200, body), 101)
    assert not is_right(Answer(200, body[:-3]), 100)
    assert not is_right(Answer(500, body), 100)
    assert not is_right(Answer(200, body.replace(b'"label": "car"', b'"label": "truck"')), 100)
    del right["car"]
    assert not is_right(Answer(200, json.dumps(content).encode()), 100)
