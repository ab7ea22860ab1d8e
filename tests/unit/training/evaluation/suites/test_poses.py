"""Linear maps find what is there to be found, and nothing where nothing is."""

import pytest
import torch

from matcaps.model import CapsNet, tiny
from matcaps.training.baselines import FEATURES, ConvNet
from matcaps.training.data import ImageSet
from matcaps.training.evaluation.suites.poses import (
    Seen,
    answers,
    extract_features,
    linear_map,
    poses,
    r_squared,
    views,
)

TARGETS = 3


def numbered(images: int, seed: int = 0) -> ImageSet:
    """Random pictures of two objects a class, taken as smallNORB is."""
    generator = torch.Generator().manual_seed(seed)
    number = torch.arange(images)
    info = {
        "instance": number // 3 % 2,
        "elevation": number % 9,
        "lighting": number % 6,
        "azimuth": 2 * torch.randint(18, (images,), generator=generator),
    }
    pixels = torch.randint(0, 256, (images, 1, 24, 24), generator=generator, dtype=torch.uint8)
    return ImageSet("numbered", tiny().classes, pixels, number % 3, info)


def planted(seed: int, features: int = 16) -> tuple[Seen, torch.Tensor]:
    """Features from which targets follow by a linear map, another one for each class."""
    generator = torch.Generator().manual_seed(seed)
    images = numbered(600, seed)
    found = torch.randn(600, features, generator=generator, dtype=torch.float64)
    maps = torch.randn(3, features, TARGETS, generator=torch.Generator().manual_seed(99), dtype=torch.float64)
    targets = torch.einsum("nf,nft->nt", found, maps[images.labels]) + 5.0
    return Seen(found, images.labels, images), targets


@pytest.mark.parametrize("features", [16, 1024])
def test_a_linear_map_is_found(features: int) -> None:
    """Where targets are linear in the features, the map says them of the images that it was fitted to."""
    seen, targets = planted(0, features)
    first = seen.predicted == 0
    inputs = seen.features[first]
    weights = linear_map(inputs, targets[first])
    said = torch.cat([inputs, torch.ones(len(inputs), 1)], 1) @ weights
    assert r_squared(said, targets[first]) > 0.99


def test_answers_hold_for_other_images() -> None:
    """A planted relation is found in other images; of shuffled targets there is nothing to find."""
    (fitted, targets), (judged, true) = planted(0), planted(1)
    assert r_squared(answers(fitted, judged, targets), true) > 0.999
    assert r_squared(answers(fitted, judged, targets, torch.Generator().manual_seed(0)), true) < 0.05


def test_a_class_that_was_never_predicted() -> None:
    """Of it nobody knows more than the mean."""
    (fitted, targets), (judged, _) = planted(0), planted(1)
    strange = judged._replace(predicted=torch.full_like(judged.predicted, 7))
    torch.testing.assert_close(answers(fitted, strange, targets), targets.mean(0).expand(600, -1))


def test_pairs_are_of_one_object() -> None:
    """Views of a pair share everything but the azimuth, whose difference is told, and no view is its own partner."""
    images = numbered(600)
    # A feature that tells the row, so that products tell which rows met.
    rows = torch.arange(600.0, dtype=torch.float64).unsqueeze(1) + 1.0
    pairs, directions = views(Seen(rows, images.labels, images), seed=0)
    assert len(pairs.features) > 600
    by_picture = {bytes(picture.flatten().tolist()): row for row, picture in enumerate(images.images)}
    for picture, product, direction in list(zip(pairs.images.images, pairs.features[:, 0], directions, strict=True))[
        :200
    ]:
        row = by_picture[bytes(picture.flatten().tolist())]
        other = round(float(product) / (row + 1)) - 1
        assert other != row
        assert images.labels[row] == images.labels[other]
        for name in ("instance", "elevation", "lighting"):
            assert images.info[name][row] == images.info[name][other]
        angle = torch.deg2rad(10.0 * (images.info["azimuth"][other] - images.info["azimuth"][row]).double())
        torch.testing.assert_close(direction, torch.stack([angle.cos(), angle.sin()]))


def test_networks_are_looked_at(network: CapsNet) -> None:
    """Of capsules the winning pose counts, of a CNN the last features."""
    images = numbered(30)
    seen = extract_features(network, images)
    with torch.no_grad():
        prediction = network(images.images)
    for row in (0, 29):
        torch.testing.assert_close(seen.features[row], prediction.poses[row, seen.predicted[row]].flatten().double())
    assert extract_features(ConvNet(tiny()), images).features.shape == (30, FEATURES)


def test_the_report(network: CapsNet) -> None:
    """All questions are answered, each beside what shuffled targets give."""
    report = poses({"capsules": network}, numbered(300), numbered(300, seed=1), progress=False)
    of_capsules = report.content["networks"]["capsules"]
    assert set(of_capsules) == {"elevation, R²", "lighting, accuracy", "azimuth difference, R²"}
    assert all(set(pair) == {"found", "shuffled"} for pair in of_capsules.values())
    assert "shuffled" in report.table


def test_data_without_viewpoints(network: CapsNet) -> None:
    """They are refused by name."""
    images = numbered(6)
    plain = ImageSet("plain", images.classes, images.images, images.labels)
    with pytest.raises(ValueError, match="plain knows no elevation"):
        poses({"capsules": network}, plain, plain, progress=False)


def test_the_same_seed_says_the_same(network: CapsNet) -> None:
    """Nothing is drawn but by the seed; the two forms of smallNORB, which count azimuths otherwise, may be mixed."""
    fitted, judged = numbered(300), numbered(300, seed=1)
    relative = {name: values for name, values in judged.info.items() if name != "azimuth"}
    relative["azimuth_relative"] = judged.info["azimuth"] // 2
    prepared = ImageSet("prepared", judged.classes, judged.images, judged.labels, relative)
    first, again, other = (
        poses({"capsules": network}, fitted, held_out, progress=False).content["networks"]
        for held_out in (judged, judged, prepared)
    )
    assert first == again == other
