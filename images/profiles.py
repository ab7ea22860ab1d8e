"""ICC profiles: colours of any profile to those of sRGB."""

import io

from PIL import Image, ImageCms

MODES = {"1": "L", "L": "L", "LA": "L", "P": "RGB", "RGB": "RGB", "RGBA": "RGB", "CMYK": "CMYK"}


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """The colours in sRGB, in mode RGB or RGBA.

    The image is unchanged if the profile is broken, or is one of other colours: a grey picture with a profile of RGB.
    """
    mode = MODES.get(image.mode)
    if mode is None:
        return image
    # The opacity is not always a channel: one colour of the file may be the transparent one.
    opacity = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    try:
        found, wanted = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        # Tables are six times as fast when optimised. Curves are as fast without, and exact: dark greys would be off by
        # up to 10 levels, and optimising takes 8 milliseconds.
        flags = ImageCms.Flags.NOOPTIMIZE if found.profile.is_matrix_shaper else ImageCms.Flags.NONE
        transform = ImageCms.buildTransform(found, wanted, mode, "RGB", flags=flags)
        shown = ImageCms.applyTransform(image.convert(mode), transform)
    except (ImageCms.PyCMSError, OSError):
        return image
    assert shown is not None
    if opacity is not None:
        shown.putalpha(opacity)
    return shown
