"""The explorer page shows what the service answers, with the released models."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, expect

from tests.support.browser import visit
from tests.support.doubles import encoded
from tests.support.explorer import LAYERS, THREE, Explorer

EXAMPLES = Path(__file__).parents[4] / "examples"
EXACT = 1e-6  # numbers of /predict have six decimals

Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def explorer(browser: Browser, address: str) -> Iterator[Explorer]:
    """One page for the whole file: a test chooses its model and its picture."""
    with visit(browser, address) as page:
        explorer = Explorer(page)
        explorer.open()
        yield explorer


@pytest.fixture(scope="module")
def service(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, trust_env=False, timeout=60) as client:
        yield client


def predicted(service: httpx.Client, model: str, *pictures: bytes) -> dict[str, float]:
    """The activations that ``POST /predict`` answers."""
    files = [("images", (f"{number}.png", picture, "image/png")) for number, picture in enumerate(pictures)]
    answer = service.post("/predict", params={"model": model}, files=files)
    activations: dict[str, float] = answer.json()["predictions"][0]["activations"]
    return activations


def png(picture: bytes, name: str = "picture.png") -> dict[str, Any]:
    return {"name": name, "mimeType": "image/png", "buffer": picture}


def outputs(service: httpx.Client, model: str, picture: bytes) -> dict[str, Array]:
    """All outputs for one picture, from the plain protocol."""
    names = [output["name"] for output in service.get(f"/v2/models/{model}").json()["outputs"]]
    body = b"".join((len(picture).to_bytes(4, "little"), picture))
    header = {
        "inputs": [
            {"name": "files", "datatype": "BYTES", "shape": [1, 1], "parameters": {"binary_data_size": len(body)}}
        ],
        "outputs": [{"name": name} for name in names],
    }
    head = httpx.Request("POST", "http://x", json=header).content
    headers = {"inference-header-content-length": str(len(head)), "content-type": "application/octet-stream"}
    answer = service.post(f"/v2/models/{model}/infer", content=head + body, headers=headers).json()
    return {output["name"]: np.array(output["data"]).reshape(output["shape"])[0] for output in answer["outputs"]}


def credit_below(
    credit: Array, assignments: Array, activations: Array, layer: dict[str, Any], grid: list[int]
) -> Array:
    """The credit of a layer's children: each parent shares its own in proportion to R · a."""
    rows, columns = np.divmod(np.arange(len(assignments)), layer["grid"][1])
    down, right = np.divmod(np.arange(assignments.shape[1]), layer["kernel"][1])
    child_rows = rows[:, None] * layer["stride"][0] + down
    children = child_rows * grid[1] + columns[:, None] * layer["stride"][1] + right
    flow = assignments * activations[children][..., None]
    flow *= (credit / flow.sum((1, 2)))[:, None, None, :]
    below = np.zeros_like(activations)
    np.add.at(below, children, flow.sum(-1))
    return below


def test_a_drawn_three_is_a_three(explorer: Explorer) -> None:
    """Drawn with the mouse on the pad, by the released mnist."""
    explorer.open("mnist")
    explorer.draw(THREE)
    assert next(iter(explorer.activations())) == "3"
    expect(explorer.page.locator("#classes button.top")).to_have_attribute("data-class", "3")


@pytest.mark.parametrize(("model", "name"), [("mnist", "digit"), ("smallnorb", "airplane")])
def test_the_bars_are_those_of_predict(explorer: Explorer, service: httpx.Client, model: str, name: str) -> None:
    """For a file that is chosen; the largest one on top."""
    explorer.open(model)
    explorer.upload(EXAMPLES / f"{name}.png")
    shown = explorer.activations()
    assert shown == pytest.approx(predicted(service, model, (EXAMPLES / f"{name}.png").read_bytes()), abs=EXACT)
    assert list(shown.values()) == sorted(shown.values(), reverse=True)


def test_a_model_begins_with_its_own_example(explorer: Explorer) -> None:
    """The place with the most credit is listed; a picture of no class is said in words."""
    page = explorer.page
    note = page.get_by_text("No class reaches 0.1")
    explorer.open("mnist")
    expect(page.locator("#picture-caption")).to_have_text("digit.png")
    expect(note).to_be_hidden()
    credit = explorer.credits()["conv_caps_1"]
    row, column = divmod(int(np.argmax(credit)), int(len(credit) ** 0.5))
    expect(page.locator("#place-heading")).to_have_text(f"ConvCaps1, row {row + 1}, column {column + 1}")
    explorer.upload(EXAMPLES / "airplane.png")
    expect(note).to_be_visible()


def test_a_turn_equals_the_turned_picture(explorer: Explorer, service: httpx.Client) -> None:
    """A quarter turn of the slider gives the answer for the picture that Pillow turns."""
    explorer.open("mnist")
    side = service.get("/models/mnist").json()["image"]["width"]
    picture = Image.open(EXAMPLES / "digit.png").resize((side, side))
    explorer.upload(png(encoded(picture)))
    straight = explorer.activations()
    with explorer.answered():
        explorer.page.locator("#turn").fill("90")
    turned = predicted(service, "mnist", encoded(picture.transpose(Image.Transpose.ROTATE_270)))
    assert explorer.activations() == pytest.approx(turned, abs=EXACT)
    assert explorer.activations() != pytest.approx(straight, abs=0.01)


def test_a_stereo_model_has_two_slots(explorer: Explorer, service: httpx.Client) -> None:
    """Left and right are asked about in this order; one button uses a picture for both."""
    left, right = ((EXAMPLES / f"{name}.png").read_bytes() for name in ("airplane", "truck"))
    explorer.open("smallnorb-stereo")
    explorer.upload(png(left), png(right))
    both = predicted(service, "smallnorb-stereo", left, right)
    assert explorer.activations() == pytest.approx(both, abs=EXACT)
    with explorer.answered():
        explorer.page.get_by_role("button", name="Use one picture for both").click()
    assert explorer.activations() == pytest.approx(predicted(service, "smallnorb-stereo", right, right), abs=EXACT)


@pytest.mark.parametrize("model", ["smallnorb", "stand-in"])
def test_the_credit_of_every_class_is_shared_by_the_assignments(
    explorer: Explorer, service: httpx.Client, model: str
) -> None:
    """In each layer it sums to 1, and each place has the share that follows from the raw assignments.

    Of a released model, and of the stand-in, whose grids and kernels are not square.
    """
    random = np.random.default_rng(0)
    noise = encoded(Image.fromarray(random.integers(0, 256, (8, 8), np.uint8)))
    picture = noise if model == "stand-in" else (EXAMPLES / "airplane.png").read_bytes()
    explorer.open(model)
    explorer.upload(png(picture))
    raw = outputs(service, model, picture)
    found = service.get(f"/models/{model}").json()
    layers = {layer["name"]: layer for layer in found["layers"]}
    classes = found["classes"]
    for number, label in enumerate(classes):
        flow = raw["class_assignments"][..., number] * raw["conv_caps_2_activations"]
        expected = {"conv_caps_2": flow / flow.sum()}
        for parent, child in (("conv_caps_2", "conv_caps_1"), ("conv_caps_1", "primary_caps")):
            expected[child] = credit_below(
                expected[parent],
                raw[f"{parent}_assignments"],
                raw[f"{child}_activations"],
                layers[parent],
                layers[child]["grid"],
            )
        explorer.choose(label)
        shown = explorer.credits()
        for layer in LAYERS:
            assert expected[layer].sum() == pytest.approx(1)
            assert sum(shown[layer]) == pytest.approx(1, abs=EXACT)
            assert shown[layer] == pytest.approx(expected[layer].sum(1).tolist(), abs=EXACT), (label, layer)


def test_a_sweep_asks_for_each_step(explorer: Explorer, service: httpx.Client) -> None:
    """31 pictures in one request; the plots appear with a sentence about what they show."""
    explorer.open("mnist")
    page = explorer.page
    page.locator("#sweep-of").select_option(label="Turn")
    with page.expect_response("**/infer") as asked:
        page.get_by_role("button", name="Sweep", exact=True).click()
    assert asked.value.status == 200
    expect(page.locator("#plots")).to_be_visible()
    assert page.locator("#activation-plot svg").count() == 1
    expect(page.locator("#sweep-note")).to_contain_text("31 pictures")
    expect(page.locator("#finding")).to_contain_text("31")
