"""Poses of a request or by id, as a client sees them."""

from pathlib import Path

import numpy as np
import pytest

from matcaps.service.http.schemas import PosesAnswer
from tests.support.bodies import NPZ, arrays_of, as_json
from tests.support.doubles import GRIDS, TYPES, Client, FakeClock, FakeSession, grey, serve


def test_poses_are_those_of_a_prediction(client: Client) -> None:
    """POST /poses answers the poses of POST /predict, and nothing else."""
    poses = client.post_png("/poses", grey(9))
    PosesAnswer.model_validate_json(poses.content, strict=False)
    predicted = client.post_png("/predict", grey(9)).json()["predictions"][0]
    assert poses.json()["predictions"] == [{"poses": predicted["poses"]}]
    assert poses.json()["layer"] == "class_caps"


@pytest.mark.parametrize("layer", list(GRIDS))
def test_poses_of_a_layer_have_its_grid(client: Client, layer: str) -> None:
    """4×4 poses by row, column and type."""
    answer = client.post(f"/poses?layer={layer}", json=as_json(grey(0), grey(5)))
    PosesAnswer.model_validate_json(answer.content, strict=False)
    assert answer.json()["grid"] == list(GRIDS[layer])
    arrays = arrays_of(client.post(f"/poses?layer={layer}", json=as_json(grey(0), grey(5)), headers=NPZ).content)
    assert list(arrays) == [f"{layer}_poses"]
    found = np.array([prediction["poses"] for prediction in answer.json()["predictions"]])
    assert found.shape == (2, *GRIDS[layer], TYPES[layer], 4, 4)
    np.testing.assert_allclose(found.reshape(arrays[f"{layer}_poses"].shape), arrays[f"{layer}_poses"], atol=1e-6)


@pytest.mark.parametrize("path", ["/predict", "/poses", "/poses?layer=conv_caps_1"])
def test_poses_are_kept_by_id(client: Client, clock: FakeClock, path: str) -> None:
    """Class poses can be read until they are too old."""
    id_ = client.post_png(path, grey(6)).json()["id"]
    expected = client.post_png("/poses", grey(6)).json() | {"id": id_}
    assert client.get(f"/poses/{id_}").json() == expected
    clock.now_s += 600
    gone = client.get(f"/poses/{id_}")
    assert gone.status_code == 404
    assert gone.headers["content-type"] == "application/problem+json"


def test_the_number_of_kept_poses_is_limited(tmp_path: Path) -> None:
    """The oldest ones are dropped."""
    with serve(tmp_path, {"norb/1": FakeSession()}, kept_poses=2) as client:
        ids = [client.post_png("/predict", grey(level)).json()["id"] for level in range(3)]
        assert [client.get(f"/poses/{id_}").status_code for id_ in ids] == [404, 200, 200]
