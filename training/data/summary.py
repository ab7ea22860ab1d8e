"""What a run on a folder of images says at its start: the images of each class, and what is doubtful about them."""

from collections import Counter

from matcaps.training.data.dataset import ImageSet

IMBALANCE = 10  # times as many images in the largest class as in the smallest
EXAMPLES = 3  # files that are named of those in both sets


def describe(training: ImageSet, held_out: ImageSet) -> str:
    """A table of the classes, and a line for each doubt.

    The doubts are classes of very different sizes, and held-out images that are training images too.
    """
    counts = [images.labels.bincount(minlength=len(images.classes)).tolist() for images in (training, held_out)]
    rows = [("class", "training", "held out")]
    rows += [(name, str(of), str(held)) for name, of, held in zip(training.classes, *counts, strict=True)]
    rows.append(("all", str(len(training)), str(len(held_out))))
    width = max(len(name) for name, _, _ in rows)
    lines = [f"{name:<{width}}  {of:>8}  {held:>8}" for name, of, held in rows]

    sizes = Counter(dict(zip(training.classes, counts[0], strict=True))).most_common()
    (largest, most), (smallest, fewest) = sizes[0], sizes[-1]
    if most > IMBALANCE * fewest:
        lines.append(
            f"warning: {largest} has {most} training images and {smallest} {fewest}, more than {IMBALANCE} times as "
            "many; the network will prefer the larger class"
        )
    known = set(digests(training))
    if twice := [row for row, digest in enumerate(digests(held_out)) if digest in known]:
        named = [held_out.files[row] if held_out.files else f"image {row}" for row in twice[:EXAMPLES]]
        named += ["…"] * (len(twice) > EXAMPLES)
        lines.append(
            f"warning: {len(twice)} held-out images are training images too, so the held-out error is too low: "
            f"{', '.join(named)}"
        )
    return "\n".join(lines)


def digests(images: ImageSet) -> list[bytes]:
    """The pixels of each image as bytes; two images are the same picture if these are equal."""
    return [image.numpy().tobytes() for image in images.images]
