"""Settings of a cluster."""

import sys

import pytest
from pydantic import ValidationError

from deploy.ray.options import Options
from matcaps.service.errors import StartError
from matcaps.service.keys import Keys, check_exposure


def test_arguments_are_texts_and_come_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What serve run hands on is taken as a setting is; what it does not name comes from the environment."""
    monkeypatch.setenv("MATCAPS_MAX_BATCH", "4")
    monkeypatch.setenv("MATCAPS_MAX_REPLICAS", "2")
    options = Options.model_validate({"max_replicas": "3", "models": "there"})
    assert (options.max_replicas, options.max_batch, str(options.models)) == (3, 4, "there")
    assert (options.target_ongoing, options.max_ongoing) == (4, 32)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"max_replica": "3"}, "max_replica"),
        ({"max_replicas": "0"}, "max_replicas"),
        ({"min_replicas": "3", "max_replicas": "2"}, "max_replicas 2 is less than min_replicas 3"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, str], said: str) -> None:
    """A wrong name or number is an error that names it."""
    with pytest.raises(ValidationError, match=said):
        Options.model_validate(given)


def test_others_need_a_key_unless_the_proxy_is_said_to_listen_at_loopback() -> None:
    """The service does not see where Serve's proxy listens, and takes it for open until told otherwise."""
    with pytest.raises(StartError, match=r"0\.0\.0\.0"):
        check_exposure(Options().host, Keys(None), allow_anonymous=False)
    check_exposure(Options(host="127.0.0.1").host, Keys(None), allow_anonymous=False)


@pytest.mark.parametrize(("given", "threads"), [({}, 1), ({"cpus_per_replica": 4.5}, 4), ({"threads": 3}, 3)])
def test_a_replica_runs_as_many_threads_as_it_has_cores(given: dict[str, float], threads: int) -> None:
    """Its queue has no limit and does not wait: the entrance refuses, and serve.batch waits."""
    settings = Options.model_validate({**given, "max_wait_ms": 5.0}).for_network()
    assert settings.threads == threads
    assert (settings.max_queue, settings.max_wait_ms) == (sys.maxsize, 0.0)
