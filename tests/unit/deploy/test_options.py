"""The settings of a cluster."""

import sys

import pytest
from pydantic import ValidationError

from deploy.ray.options import Options
from matcaps.service.errors import StartError
from matcaps.service.keys import Keys, check_exposure


def test_arguments_are_texts_and_override_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments of serve run are parsed like settings; the others come from the environment."""
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
        ({"min_replicas": "3", "max_replicas": "2"}, "max_replicas must be at least min_replicas \\(3\\), got 2"),
    ],
)
def test_a_wrong_name_or_number_is_refused(given: dict[str, str], said: str) -> None:
    """The error names the option."""
    with pytest.raises(ValidationError, match=said):
        Options.model_validate(given)


def test_api_keys_are_needed_unless_the_proxy_listens_at_loopback() -> None:
    """The service cannot see where Serve's proxy listens, and assumes that it is reachable from outside."""
    with pytest.raises(StartError, match=r"0\.0\.0\.0"):
        check_exposure(Options().host, Keys(None), allow_anonymous=False)
    check_exposure(Options(host="127.0.0.1").host, Keys(None), allow_anonymous=False)


@pytest.mark.parametrize(("given", "threads"), [({}, 1), ({"cpus_per_replica": 4.5}, 4), ({"threads": 3}, 3)])
def test_a_replica_runs_as_many_threads_as_it_has_cores(given: dict[str, float], threads: int) -> None:
    """Its queue has no limit and no wait: the entrance refuses, and serve.batch waits."""
    settings = Options.model_validate({**given, "max_wait_ms": 5.0}).for_network()
    assert settings.threads == threads
    assert (settings.max_queue, settings.max_wait_ms) == (sys.maxsize, 0.0)
