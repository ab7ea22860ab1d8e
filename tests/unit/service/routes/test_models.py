"""The list of models, as a client sees it."""

from matcaps.service.http.schemas import ModelAnswer, ModelsAnswer
from tests.support.doubles import GRIDS, Client


def test_models_lists_each_model_in_its_default_version(client: Client) -> None:
    """With the provider in use and the training record."""
    answer = ModelsAnswer.model_validate_json(client.get("/models").content)
    assert [(model.name, model.version, model.versions, model.default) for model in answer.models] == [
        ("norb", 2, [1, 2], True),
        ("stereo", 1, [1], False),
    ]
    assert answer.models[0].provider == "FakeProvider"
    assert answer.models[0].training == {"data_set": "made up", "seed": 1}
    assert [layer["name"] for layer in answer.models[0].layers] == [*GRIDS, "class_caps"]
    assert answer.models[0].layers[0]["receptive_field"]["size"] == [3, 3]


def test_one_model_is_described_in_the_version_that_is_asked_for(client: Client) -> None:
    """By default in the highest one."""
    assert ModelAnswer.model_validate_json(client.get("/models/norb").content).version == 2
    assert ModelAnswer.model_validate_json(client.get("/models/norb?version=1").content).version == 1
    assert client.get("/models/stereo").json()["image"] == {"channels": 2, "height": 8, "width": 8}
