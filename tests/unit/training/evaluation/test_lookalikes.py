"""Pictures of different classes that look alike are found."""

import torch

from matcaps.training.data import ImageSet
from matcaps.training.evaluation.lookalikes import SKETCH, nearest_pairs, same_pictures, sketches


def pictures(levels: list[int], labels: list[int]) -> ImageSet:
    """Even pictures of these grey levels and classes."""
    images = torch.tensor(levels, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 4, 4)
    return ImageSet("pets", ("cat", "dog", "eel"), images, torch.tensor(labels))


def test_the_same_picture_in_several_classes_is_found() -> None:
    """Copies within one class are none of them."""
    assert same_pictures(pictures([5, 7, 5, 9, 5, 9, 7], [0, 0, 1, 2, 0, 2, 0])) == [[0, 2, 4]]


def test_the_nearest_pictures_of_different_classes_are_pairs() -> None:
    """Each pair is there once, nearest first, in units of the median distance; copies are left out."""
    images = pictures([0, 1, 2, 3, 4, 0], [0, 0, 1, 1, 2, 2])
    features = torch.tensor([[0.0], [10.0], [11.0], [40.0], [43.0], [0.0]])
    between = [11.0, 40.0, 43.0, 0.0, 1.0, 30.0, 33.0, 10.0, 32.0, 11.0, 3.0, 40.0]
    usual = float(torch.tensor(between).median())
    pairs = nearest_pairs(features, images, 10)
    assert [(of.first, of.second) for of in pairs] == [(1, 2), (3, 4), (1, 5), (0, 2)]
    assert [round(of.distance * usual, 4) for of in pairs] == [1.0, 3.0, 10.0, 11.0]
    assert nearest_pairs(features, images, 1) == pairs[:1]


def test_pictures_of_one_class_have_no_pairs() -> None:
    """There is no other class to look like."""
    assert nearest_pairs(torch.rand(3, 2), pictures([1, 2, 3], [1, 1, 1]), 5) == []


def test_a_sketch_keeps_distances() -> None:
    """The distances of active capsules' poses are right to a tenth; poses of inactive capsules do not count."""
    torch.manual_seed(0)
    activations, poses = torch.rand(12, 10, 30).round(), torch.randn(12, 10, 30, 4, 4)
    found = sketches([(activations[:5], poses[:5]), (activations[5:], poses[5:])])
    weighed = (activations[..., None, None] * poses).flatten(1)
    assert found.shape == (12, SKETCH)
    assert weighed.shape[1] > SKETCH
    torch.testing.assert_close(torch.pdist(found), torch.pdist(weighed), rtol=0.1, atol=0.0)
    changed = torch.where(activations[..., None, None] > 0.0, poses, torch.randn_like(poses))
    assert torch.equal(sketches([(activations, changed)]), sketches([(activations, poses)]))


def test_few_numbers_are_kept_as_they_are() -> None:
    """Small networks need no sketch."""
    poses = torch.randn(2, 3, 2, 4, 4)
    assert torch.equal(sketches([(torch.ones(2, 3, 2), poses)]), poses.flatten(1))
