"""Mutated requests."""

import random

from checks.fuzz.__main__ import HOOKS
from checks.fuzz.mutants import mutants, mutate
from checks.fuzz.pictures import pictures


def test_mutants_are_many_and_repeatable() -> None:
    """The same seed gives the same requests, almost all of them different, each framed rightly."""
    made = list(mutants(300))
    assert made == list(mutants(300))
    assert len(set(made)) > 290
    for request in made:
        head, _, body = request.partition(b"\r\n\r\n")
        assert head.startswith(b"POST /")
        assert f"content-length: {len(body)}".encode() in head
    assert len(pictures()) > 15


def test_a_mutation_changes_most_content_and_accepts_none() -> None:
    """Some changes cancel each other; nothing can be changed in no bytes."""
    content = b"0123456789" * 10
    assert sum(mutate(content, random.Random(seed)) != content for seed in range(100)) > 90
    assert mutate(b"", random.Random(0)) == b""


def test_the_hooks_of_schemathesis_are_a_python_file() -> None:
    """schemathesis imports it by its name without the suffix."""
    assert HOOKS.exists()
    assert HOOKS.suffix == ".py"
