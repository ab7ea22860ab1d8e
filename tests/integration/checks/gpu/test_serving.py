"""The check of serving asks a real server."""

from pathlib import Path

from checks.gpu.serving import check_server
from tests.support.doubles import write_model


def test_the_real_server_answers_as_on_the_cpu(tmp_path: Path) -> None:
    """It starts, answers the example images, and stops; a server that cannot start is named."""
    path = write_model(tmp_path, "m", 1)
    wrong: list[str] = []
    assert "3 answers on the CPU" in check_server("cpu", [path], wrong)
    assert wrong == []
    path.write_bytes(b"no model")
    assert check_server("cpu", [path], wrong) == "failed"
    assert "ended with status 1" in wrong[0]
    assert "no model 'm'" in wrong[0]
