"""Encoded pictures to 8-bit pixels of a model's size, grey or RGB, by the same rules in training and service.

decode    bytes → Picture → upright, grey or sRGB
formats   names, media types and suffixes; what an unreadable file is
tiff      TIFF by its tags
png       what Pillow does not keep of a PNG
jpeg      JPEG of more than 8 bits, or without its end marker
levels    samples of any type to 8 bits
profiles  ICC profiles to sRGB
fit       a picture to a model's size
errors    why a picture is refused
"""
