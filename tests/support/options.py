"""Options of the command line that several tests share."""

TINY = [
    "--network.crop-size=20",
    "--network.resolution=20",
    "--network.stem-channels=4",
    "--network.primary-types=2",
    "--network.conv-types-1=3",
    "--network.conv-types-2=4",
]
