"""What a config accepts and rejects, and what its presets build."""

from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from matcaps.model.config import (
    CapsNetConfig,
    RoutingConfig,
    as_published,
    mnist,
    small_norb,
    small_norb_small,
    tiny,
)
from matcaps.model.network import CapsNet

PRESETS = [small_norb(), small_norb_small(), mnist(), tiny(), tiny(channels=2), tiny(channels=3)]


def parameters(config: CapsNetConfig) -> int:
    """How many numbers the network learns."""
    return sum(parameter.numel() for parameter in CapsNet(config).parameters())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("iterations", 0),
        ("iterations", -3),
        ("final_inverse_temperature", 0.0),
        ("final_inverse_temperature", -1.0),
        ("final_inverse_temperature", float("nan")),
        ("density_temperature", 0.0),
        ("density_temperature", float("inf")),
        ("variance_floor", 0.0),
        ("variance_floor", -0.5),
        ("variance_floor", float("nan")),
    ],
)
def test_a_routing_config_rejects_a_value_out_of_range_by_name(name: str, value: Any) -> None:
    """The error has the name and the value of the constant."""
    with pytest.raises(ValueError, match=name) as error:
        RoutingConfig(**{name: value})
    assert repr(value) in str(error.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mass", "mass must be 'absolute' or 'relative', got 'heavy'"),
        ("competition", "competition must be 'parents' or 'positions', got 'heavy'"),
    ],
)
def test_a_routing_config_rejects_an_unknown_word(name: str, words: str) -> None:
    """A word that is neither of the two, which a type checker would find too, is an error."""
    config = RoutingConfig()
    object.__setattr__(config, name, "heavy")
    with pytest.raises(ValueError, match=words):
        config.__post_init__()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("classes", ()),
        ("classes", ("car",)),
        ("classes", ("car", "truck", "car")),
        ("channels", 0),
        ("channels", 4),
        ("stem_channels", -4),
        ("primary_types", 0),
        ("conv_types_1", 0),
        ("conv_types_2", -1),
        ("crop_size", 16),
        ("crop_size", 25),
        ("resolution", 16),
        ("resolution", 21),
        ("pooled_channels", -1),
        ("residual_blocks", -1),
    ],
)
def test_a_network_config_rejects_a_value_out_of_range_by_name(name: str, value: Any) -> None:
    """The error has the name and the value of the field."""
    with pytest.raises(ValueError, match=name) as error:
        replace(tiny(), **{name: value})
    assert repr(value) in str(error.value)


def test_a_crop_larger_than_the_image_is_an_error_with_both_sizes() -> None:
    """The error on a crop repeats the image size that bounds it."""
    with pytest.raises(ValueError, match=r"between 17 and image_size=19, got 20"):
        replace(tiny(), image_size=19)


@pytest.mark.parametrize(("channels", "pooled", "smallest"), [(1, 0, 17), (2, 0, 17), (1, 3, 18)])
def test_the_smallest_crop_builds(channels: int, pooled: int, smallest: int) -> None:
    """At the lower bound of the crop the last grid still has a site; below it is refused."""
    config = replace(tiny(channels), pooled_channels=pooled, crop_size=smallest)
    assert CapsNet(config).fields["conv_caps_2"].grid == 1
    with pytest.raises(ValueError, match=f"crop_size must lie between {smallest} and"):
        replace(config, crop_size=smallest - 1)


@pytest.mark.parametrize(
    ("config", "fewest", "most"),
    [(small_norb(), 316_000, 318_000), (small_norb_small(), 68_000, 69_000)],
)
def test_presets_have_the_papers_number_of_parameters(config: CapsNetConfig, fewest: int, most: int) -> None:
    """The paper counts 310K and 68K."""
    assert fewest <= parameters(config) <= most


@pytest.mark.parametrize("config", PRESETS)
def test_presets_iterate_three_times(config: CapsNetConfig) -> None:
    """Every preset routes three times, in a procedure that its fields name."""
    assert config.routing == RoutingConfig(3, 1.0, "relative", 16.0, 0.01)


@pytest.mark.parametrize("config", PRESETS)
def test_as_published_changes_the_procedure_and_no_size(config: CapsNetConfig) -> None:
    """As published means λ → 0.01, absolute masses, no temperature, competition among all parents and no norms."""
    by_type = replace(config, routing=replace(config.routing, competition="positions"))
    published = as_published(by_type)
    assert published.routing == replace(
        config.routing, final_inverse_temperature=0.01, mass="absolute", density_temperature=1.0
    )
    assert not published.batch_norm
    assert replace(published, batch_norm=True, routing=config.routing) == config
    assert not [name for name, _ in CapsNet(as_published(tiny())).named_modules() if name.endswith("Norm2d")]


def test_mnist_takes_the_class_names_of_fashion_mnist() -> None:
    """Fashion-MNIST is the same network with other names."""
    names = tuple("abcdefghij")
    assert mnist(names) == replace(mnist(), classes=names)


def test_configs_are_frozen() -> None:
    """A config cannot change after a network was built from it."""
    config = tiny()
    with pytest.raises(FrozenInstanceError):
        config.channels = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        config.routing.iterations = 2  # type: ignore[misc]
    assert len({tiny(), tiny(), small_norb()}) == 2


def test_inverse_temperature_rises_towards_its_limit() -> None:
    """λ_t = final (1 − 0.95^(t+1)): 0.0005, 0.000975, 0.00142625 in the paper's three iterations."""
    config = RoutingConfig(final_inverse_temperature=0.01)
    found = [config.inverse_temperature(iteration) for iteration in range(3)]
    assert found == pytest.approx([0.0005, 0.000975, 0.00142625], rel=1e-12)
