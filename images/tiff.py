"""TIFF by its tags: photometric interpretation, bit depth, planes, alpha and colour map.

Pillow reads the ordinary kinds, with libtiff. tifffile reads the others.
"""

import io
import logging
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops
from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC, TIFF, TiffFile, TiffPage

from matcaps.images.errors import LargeImageError
from matcaps.images.levels import eight_bits, white_level

COLOURS: dict[int, int] = {  # samples per pixel without alpha
    PHOTOMETRIC.MINISWHITE: 1,
    PHOTOMETRIC.MINISBLACK: 1,
    PHOTOMETRIC.RGB: 3,
    PHOTOMETRIC.PALETTE: 1,
    PHOTOMETRIC.SEPARATED: 4,
}
ONLY_PILLOW = (PHOTOMETRIC.YCBCR, PHOTOMETRIC.CIELAB, PHOTOMETRIC.ICCLAB)
ONLY_PILLOW_DECOMPRESSES = (COMPRESSION.OJPEG, COMPRESSION.THUNDERSCAN)
ONLY_TIFFFILE = b"MM\x00+"  # Pillow takes a big-endian BigTIFF for a plain TIFF
MOST_SEGMENTS = 2**17  # strips or tiles
BYTES_PER_PIXEL = 8  # four samples of 16 bits; deeper pictures may have fewer pixels
SPARE_BYTES = 2**20  # a tile may exceed the picture
ORIENTATION = 274

# A broken file is an error of the caller, who gets the reason. tifffile would also write it into the log.
logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)


def first_page(content: bytes, max_pixels: int | None) -> TiffPage:
    """The tags of the first page; its pixels are not decoded yet.

    Raises:
        LargeImageError: The page, or one of its tiles, has more than ``max_pixels``.
    """
    page = TiffFile(io.BytesIO(content)).pages[0]
    if not isinstance(page, TiffPage):
        raise ValueError("the file has no page")
    numbers = (
        page.imagewidth,
        page.imagelength,
        page.imagedepth,
        page.samplesperpixel,
        page.tilewidth,
        page.tilelength,
    )
    if not all(isinstance(number, int) for number in numbers) or min(numbers[:4]) < 1:
        raise ValueError("width, height, depth and samples per pixel must be positive integers")
    if max_pixels is not None:
        _check_size(page, max_pixels)
    return page


def suits_pillow(content: bytes, page: TiffPage) -> bool:
    """Whether Pillow reads the page, and reads it right."""
    if content.startswith(ONLY_TIFFFILE):
        return False
    if page.photometric in ONLY_PILLOW or page.compression in ONLY_PILLOW_DECOMPRESSES:
        return True
    if (
        page.compression == COMPRESSION.WEBP
        or page.photometric == PHOTOMETRIC.PALETTE
        or page.sampleformat not in (1, 4)
    ):
        return False
    samples = page.samplesperpixel
    return samples == COLOURS.get(page.photometric) and (
        (page.bitspersample == 1 and samples == 1)
        or (page.bitspersample == 8 and page.fillorder == 1 and (page.planarconfig == 1 or samples == 1))
    )


def read_page(content: bytes, page: TiffPage) -> Image.Image:
    """The pixels in mode L, LA, RGB, RGBA or CMYK, not turned upright, with the ICC profile where Pillow keeps it.

    Raises:
        Exception: Of many types, as tifffile raises them for a broken page.
    """
    colours = COLOURS.get(page.photometric)
    if colours is None or not isinstance(page.bitspersample, int) or page.imagedepth != 1:
        raise ValueError(f"{_described(page)} is not supported")
    if page.planarconfig not in (1, 2):
        raise ValueError(f"planar configuration {page.planarconfig} is not supported")
    if page.samplesperpixel < colours:
        raise ValueError(f"{_described(page)} needs {colours} samples per pixel")
    depth = page.bitspersample
    _check_segments(content, page)
    samples = page.asarray(squeeze=False, maxworkers=1)  # [plane, depth, row, column, sample]
    if samples.dtype.kind not in "buif":
        raise ValueError(f"{_described(page)} is not supported")
    planes = [samples[plane, 0, :, :, place] for plane in range(len(samples)) for place in range(samples.shape[4])]
    alpha = _alpha(page, colours)
    image = _coloured(page, planes[:colours], depth)
    image.info["icc_profile"] = _profile(page)
    if alpha is None or image.mode == "CMYK":
        return image
    opacity = eight_bits(planes[alpha], white_level(planes[alpha], depth))
    if page.extrasamples and page.extrasamples[alpha - colours] == EXTRASAMPLE.ASSOCALPHA:
        return _over_white(image, opacity)
    image.putalpha(Image.fromarray(opacity))
    return image


def orientation_of(page: TiffPage) -> object:
    """The value of the tag Orientation."""
    return page.tags.valueof(ORIENTATION, 1)


def _check_size(page: TiffPage, max_pixels: int) -> None:
    width, height, samples = page.imagewidth, page.imagelength, page.samplesperpixel
    if width * height > max_pixels:
        raise LargeImageError(f"at most {max_pixels} pixels per image, got {width}×{height}")
    limit = BYTES_PER_PIXEL * max_pixels + SPARE_BYTES
    bits = page.bitspersample
    deepest = bits if isinstance(bits, int) else max(bits)
    bytes_per_pixel = samples * math.ceil(deepest / 8)
    if width * height * bytes_per_pixel > limit:
        raise LargeImageError(
            f"at most {limit} bytes per image, got {width}×{height} pixels of {samples} samples of {deepest} bits"
        )
    if page.tilewidth * page.tilelength * max(1, page.tiledepth) * bytes_per_pixel > limit:
        raise LargeImageError(f"at most {limit} bytes per tile, got {page.tilewidth}×{page.tilelength} pixels")


def _check_segments(content: bytes, page: TiffPage) -> None:
    """Refuse a page whose strips or tiles are not all there, and find out how samples of odd bits are stored."""
    if page.is_tiled:
        height, width = page.tilelength, page.tilewidth
        number = math.ceil(page.imagewidth / width) * math.ceil(page.imagelength / height)
    else:
        height, width = min(page.rowsperstrip, page.imagelength), page.imagewidth
        number = math.ceil(page.imagelength / height)
    planar = page.planarconfig == 2
    number *= page.samplesperpixel if planar else 1
    if number > MOST_SEGMENTS:
        raise ValueError(f"at most {MOST_SEGMENTS} strips or tiles, got {number}")
    starts, lengths = page.dataoffsets[:number], page.databytecounts[:number]
    if len(starts) < number or len(lengths) < number or min(lengths) < 1:
        raise ValueError(f"{number} strips or tiles are needed, {min(len(starts), len(lengths))} are there")
    if any(start + length > len(content) for start, length in zip(starts, lengths, strict=True)):
        raise ValueError("image file is truncated")
    page.dataoffsets, page.databytecounts = starts, lengths
    if page.dtype is not None and page.bitspersample not in (1, 8, 16, 24, 32, 64):
        row = width * (1 if planar else page.samplesperpixel)
        word = page.dtype.itemsize
        stored = content[starts[0] : starts[0] + lengths[0]]
        if page.compression != COMPRESSION.NONE:
            stored = TIFF.DECOMPRESSORS[page.compression](stored, out=height * row * word)
        if len(stored) == height * row * word != height * math.ceil(row * page.bitspersample / 8):
            page.bitspersample = 8 * word  # each sample has a byte or word of its own


def _coloured(page: TiffPage, planes: list[NDArray[np.generic]], depth: int) -> Image.Image:
    if page.photometric == PHOTOMETRIC.PALETTE:
        table = page.colormap
        if table is None or planes[0].dtype.kind != "u" or table.shape[1] <= planes[0].max(initial=0):
            raise ValueError("the colour map is too short")
        # Values of 16 bits, but some programs write 8.
        colours = table.astype(np.uint8) if table.max() < 256 else (table >> 8).astype(np.uint8)
        return Image.fromarray(np.ascontiguousarray(colours.T[planes[0]]))
    white = max(white_level(plane, depth) for plane in planes)
    levels = [eight_bits(plane, white) for plane in planes]
    if page.photometric == PHOTOMETRIC.MINISWHITE:
        levels = [255 - level for level in levels]
    bands = [Image.fromarray(np.ascontiguousarray(level)) for level in levels]
    return bands[0] if len(bands) == 1 else Image.merge("RGB" if len(bands) == 3 else "CMYK", bands)


def _alpha(page: TiffPage, colours: int) -> int | None:
    """The place of the alpha among the samples."""
    if not page.extrasamples:  # a single sample that is not described is alpha by custom
        return colours if page.samplesperpixel == colours + 1 else None
    kinds = (EXTRASAMPLE.ASSOCALPHA, EXTRASAMPLE.UNASSALPHA)
    return next(
        (
            colours + place
            for place, kind in enumerate(page.extrasamples)
            if kind in kinds and colours + place < page.samplesperpixel
        ),
        None,
    )


def _profile(page: TiffPage) -> bytes | None:
    try:
        return page.iccprofile
    except Exception:  # the pixels are complete even if the tag is broken
        return None


def _over_white(image: Image.Image, opacity: NDArray[np.uint8]) -> Image.Image:
    """Colours that were multiplied by their opacity, on white."""
    page = Image.fromarray(255 - opacity)
    shown = Image.merge(image.mode, [ImageChops.add(band, page) for band in image.split()])
    shown.info = image.info
    return shown


def _described(page: TiffPage) -> str:
    photometric = getattr(page.photometric, "name", page.photometric)
    return f"a TIFF of photometric interpretation {photometric} with {page.bitspersample} bits per sample"
