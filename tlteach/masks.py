"""Masks: where in a picture the thing is that its class is named after, as those drew it who knew."""

import io
import zipfile

import numpy as np
from PIL import Image

from tlteach._assets import cache_dir, check_size, default_size, shipped

MASKS = ".masks"  # in the full size's folder: hidden, as it is not a class


def load_masks(name, split, *, size=None):
    """Load the masks of a data set's pictures, such as the outlines of tumours.

    Not for training a classifier: they tell where to look, to compare with where a model
    looks. A picture without a mask (no tumour) gets an empty one.

    Args:
        name: Name of a data set with masks: `"brain_mri"`.
        split: `Split` of it, such as `mri.test`, or some rows of one.
        size: `"mini"` or `"full"`, as the split was loaded.

    Returns:
        List of arrays `(height, width)`, bool, each as large as its picture.

    Raises:
        ValueError: If the data set has no masks.

    Example:
        >>> import tlteach as tl
        >>> mri = tl.load_dataset("brain_mri", "mini")
        >>> masks = tl.load_masks("brain_mri", mri.val, size="mini")
        >>> len(masks) == mri.val.num_examples, masks[0].dtype
        (True, dtype('bool'))

    Reference:
        Lesson 04.
    """
    size = default_size() if size is None else check_size(size)
    file = shipped("datasets", name, "mini", "masks", "masks.zip")
    folder = cache_dir() / "datasets" / name / "full" / MASKS  # under the pictures' paths
    if not (file.exists() if size == "mini" else folder.is_dir()):
        raise ValueError(f"masks belong to the pictures of brain_mri, loaded in this size. Received: {name!r}, {size}.")
    read = _from_archive(file) if size == "mini" else _from_folder(folder)
    return [_mask(read(path), split.picture(i).shape[:2]) for i, path in enumerate(split.table["path"])]


def _from_archive(file):
    with zipfile.ZipFile(file) as archive:
        kept = {name: archive.read(name) for name in archive.namelist()}
    return kept.get


def _from_folder(folder):
    return lambda path: (folder / path).read_bytes() if (folder / path).is_file() else None


def _mask(content, shape):
    return np.zeros(shape, bool) if content is None else np.asarray(Image.open(io.BytesIO(content)).convert("L")) > 0
