"""From an image file of any kind to gray levels, masks and square uint8 arrays.

Nothing here knows a dataset: readers hand over paths, and every failure is a
:class:`~mmbench.errors.DataError` that names the file.
"""

from mmbench.data.imaging.gray import Gray, check_size, decode, white_of
from mmbench.data.imaging.masks import (
    binarise,
    check_aspect,
    is_nearly_full,
    looks_inverted,
    read_mask,
    read_values,
)
from mmbench.data.imaging.opening import FORMATS, MAX_PIXELS, check_file, may_be_deep
from mmbench.data.imaging.resampling import mask_to_square, to_square

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "Gray",
    "binarise",
    "check_aspect",
    "check_file",
    "check_size",
    "decode",
    "is_nearly_full",
    "looks_inverted",
    "mask_to_square",
    "may_be_deep",
    "read_mask",
    "read_values",
    "to_square",
    "white_of",
]
