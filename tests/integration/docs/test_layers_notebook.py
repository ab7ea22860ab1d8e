"""The notebook of the capsule layers runs from its first cell to its last, and is stored without output."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[3]
NOTEBOOK = ROOT / "docs" / "layers.ipynb"
TRAINING_S = "2"  # the reader's notebook trains for three minutes


def test_the_notebook_is_stored_without_output() -> None:
    """No cell has output or a number, so a change shows nothing but what was changed."""
    cells = [cell for cell in nbformat.read(NOTEBOOK, 4).cells if cell.cell_type == "code"]
    assert cells
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)


def test_the_notebook_runs_without_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It draws its pictures, trains, exports and serves; the file and the service answer what torch answers."""
    monkeypatch.setenv("NOTEBOOK_SECONDS", TRAINING_S)
    monkeypatch.setenv("NOTEBOOK_DATA", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    notebook = nbformat.read(NOTEBOOK, 4)
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOK.parent)}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    text = "".join(output.get("text", "") for output in outputs)
    assert "drawn digits" in text
    assert "3600 pictures to train on, 400 held out" in text
    assert "primary  [2, 14, 14, 8, 4, 4]" in text
    assert "all outputs agree to 1e-4" in text
    assert "the service answers what torch answers" in text
    assert any("image/png" in output.get("data", {}) for output in outputs)
