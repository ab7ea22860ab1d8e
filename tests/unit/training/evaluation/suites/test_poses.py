"""Linear maps find a planted relation, and none in shuffled targets."""

import pytest
import torch

from matcaps.model import CapsNet, tiny
from matcaps.training.baselines import FEATURES, ConvNet
from matcaps.training.data import ImageSet
from matcaps.training.evaluation.suites.poses import (
    Features,
    extract_features,
    linear_map,
    pairs_of_views,
    poses,
    predictions,
    r_squared,
)

TARGETS = 3


def numbered(images: int, seed: int = 0) -> ImageSet:
    """Random images of two objects per class, with the columns of smallNORB."""
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


def planted(seed: int, features: int = 16) -> tuple[Features, torch.Tensor]:
    """Features, and targets that are a linear map of them, a different one for each class."""
    generator = torch.Generator().manual_seed(seed)
    images = numbered(600, seed)
    found = torch.randn(600, features, generator=generator, dtype=torch.float64)
    maps = torch.randn(3, features, TARGETS, generator=torch.Generator().manual_seed(99), dtype=torch.float64)
    targets = torch.einsum("nf,nft->nt", found, maps[images.labels]) + 5.0
    return Features(found, images.labels, images), targets


@pytest.mark.parametrize("features", [16, 1024])
def test_a_linear_map_is_found(features: int) -> None:
    """Where targets are linear in the features, the map predicts the images that it was fitted to."""
    found, targets = planted(0, features)
    first = found.predicted == 0
    inputs = found.features[first]
    weights = linear_map(inputs, targets[first])
    predicted = torch.cat([inputs, torch.ones(len(inputs), 1)], 1) @ weights
    assert r_squared(predicted, targets[first]) > 0.99


def test_predictions_hold_for_other_images() -> None:
    """A planted relation holds for other images; with shuffled targets there is none."""
    (fitted, targets), (held, true) = planted(0), planted(1)
    assert r_squared(predictions(fitted, held, targets), true) > 0.999
    assert r_squared(predictions(fitted, held, targets, torch.Generator().manual_seed(0)), true) < 0.05


def test_a_class_without_fitted_images_gets_the_mean() -> None:
    """The prediction for it is the mean of all targets."""
    (fitted, targets), (held, _) = planted(0), planted(1)
    strange = held._replace(predicted=torch.full_like(held.predicted, 7))
    torch.testing.assert_close(predictions(fitted, strange, targets), targets.mean(0).expand(600, -1))


def test_pairs_are_of_one_object() -> None:
    """Views of a pair differ only in azimuth, by the returned angle, and no view is its own partner."""
    images = numbered(600)
    # The feature is the row number plus one, so the product identifies both rows.
    rows = torch.arange(600.0, dtype=torch.float64).unsqueeze(1) + 1.0
    pairs, directions = pairs_of_views(Features(rows, images.labels, images), seed=0)
    assert len(pairs.features) > 600
    by_image = {bytes(image.flatten().tolist()): row for row, image in enumerate(images.images)}
    for image, product, direction in list(zip(pairs.images.images, pairs.features[:, 0], directions, strict=True))[
        :200
    ]:
        row = by_image[bytes(image.flatten().tolist())]
        other = round(float(product) / (row + 1)) - 1
        assert other != row
        assert images.labels[row] == images.labels[other]
        for name in ("instance", "elevation", "lighting"):
            assert images.info[name][row] == images.info[name][other]
        angle = torch.deg2rad(10.0 * (images.info["azimuth"][other] - images.info["azimuth"][row]).double())
        torch.testing.assert_close(direction, torch.stack([angle.cos(), angle.sin()]))


def test_features_are_the_winning_pose_or_the_last_features(network: CapsNet) -> None:
    """Capsules give the winning pose, a CNN its last features."""
    images = numbered(30)
    found = extract_features(network, images)
    with torch.no_grad():
        prediction = network(images.images)
    for row in (0, 29):
        torch.testing.assert_close(found.features[row], prediction.poses[row, found.predicted[row]].flatten().double())
    assert extract_features(ConvNet(tiny()), images).features.shape == (30, FEATURES)


def test_the_report_has_every_target(network: CapsNet) -> None:
    """Each target has its score, and the score with shuffled targets."""
    report = poses({"capsules": network}, numbered(300), numbered(300, seed=1), progress=False)
    of_capsules = report.content["networks"]["capsules"]
    assert set(of_capsules) == {"elevation, R²", "lighting, accuracy", "azimuth difference, R²"}
    assert all(set(pair) == {"found", "shuffled"} for pair in of_capsules.values())
    assert "shuffled" in report.table


def test_data_without_viewpoints_are_rejected(network: CapsNet) -> None:
    """The error names the data set."""
    images = numbered(6)
    plain = ImageSet("plain", images.classes, images.images, images.labels)
    with pytest.raises(ValueError, match="plain has no elevation"):
        poses({"capsules": network}, plain, plain, progress=False)


def test_the_seed_decides_all_draws(network: CapsNet) -> None:
    """Two reports of one seed are equal; the two formats of smallNORB, with other units of azimuth, give the same."""
    fitted, held = numbered(300), numbered(300, seed=1)
    relative = {name: values for name, values in held.info.items() if name != "azimuth"}
    relative["azimuth_relative"] = held.info["azimuth"] // 2
    prepared = ImageSet("prepared", held.classes, held.images, held.labels, relative)
    first, again, other = (
        poses({"capsules": network}, fitted, held_out, progress=False).content["networks"]
        for held_out in (held, held, prepared)
    )
    assert first == again == other
