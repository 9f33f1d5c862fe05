"""Masks: where in a picture the thing is that its class is named after, as those drew it who knew."""

import hashlib
import io
import zipfile

import numpy as np
from PIL import Image
from scipy import ndimage

from tlteach._assets import cache_dir, check_size, default_size, shipped
from tlteach._split import Split

MASKS = ".masks"  # in the full size's folder: hidden, as it is not a class


def load_masks(name, split, *, size=None):
    """Load the masks of a data set's pictures, such as the outlines of tumours or of drawn pets.

    Not for training a classifier: they tell where to look, to compare with where a model
    looks, or to cut an animal out. A picture without a mask (no tumour) gets an empty one.

    Args:
        name: Name of a data set with masks: `"brain_mri"`, or `"cats_vs_dogs"` in mini size.
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
        Lessons 04 and 12.
    """
    size = default_size() if size is None else check_size(size)
    file = shipped("datasets", name, "mini", "masks", "masks.zip")
    folder = cache_dir() / "datasets" / name / "full" / MASKS  # under the pictures' paths
    if not (file.exists() if size == "mini" else folder.is_dir()):
        raise ValueError(
            "masks belong to the pictures of brain_mri, loaded in this size, and to cats_vs_dogs in mini size. "
            f"Received: {name!r}, {size}."
        )
    read = _from_archive(file) if size == "mini" else _from_folder(folder)
    return [_mask(read(path), split.picture(i).shape[:2]) for i, path in enumerate(split.table["path"])]


def swap_backgrounds(split, masks, donors):
    """Put what the masks show before the backgrounds of other pictures of the split.

    Tells what a model goes by: if it says what the background says, it is the background. Where the other
    picture's own animal stood, each pixel gets the nearest one outside: a filling that can be seen, so compare
    with pictures swapped within the same kind of background.

    Args:
        split: `Split` of pictures of one size.
        masks: A mask `(height, width)` a picture, bool, as `load_masks` gives.
        donors: Row number of the picture whose background each one gets, `(n,)`.

    Returns:
        `Split` of new pictures under the old labels; its column `donor` says whose background it is.

    Raises:
        ValueError: If there is not a mask and a donor for each picture, sizes differ, or a mask leaves no background.

    Example:
        >>> import tlteach as tl
        >>> pets = tl.load_dataset("cats_vs_dogs", "mini").val.take([0, 150])
        >>> tl.swap_backgrounds(pets, tl.load_masks("cats_vs_dogs", pets, size="mini"), [1, 0]).num_examples
        2

    Reference:
        Xiao et al. 2021, Noise or signal: the role of image backgrounds in object recognition; lesson 12.
    """
    donors, masks = np.asarray(donors, int), [np.asarray(mask, bool) for mask in masks]
    _check_swap(split, masks, donors)
    scenes = {row: _without(split.picture(row), masks[row]) for row in np.unique(donors)}
    pictures = [
        np.where(mask[..., None], split.picture(row), scenes[donor])
        for row, (mask, donor) in enumerate(zip(masks, donors, strict=True))
    ]
    sums = [hashlib.sha256(picture.tobytes()).hexdigest() for picture in pictures]
    return Split(pictures, split.table.assign(donor=donors, sha256=sums), split.classes, size=split.size)


def _check_swap(split, masks, donors):
    count = split.num_examples
    if len(masks) != count or len(donors) != count or not np.isin(donors, np.arange(count)).all():
        between = f"{min(donors, default=0)}..{max(donors, default=0)}"
        raise ValueError(
            f"each of the {count} pictures needs a mask, and a donor that is the row of one of them. "
            f"Received: {len(masks)} masks and {len(donors)} donors in {between}."
        )
    shapes = {split.picture(row).shape[:2] for row in range(count)} | {mask.shape for mask in masks}
    if len(shapes) > 1:
        raise ValueError(f"pictures and masks must be of one height and width. Received: {sorted(shapes)}.")
    full = [row for row in np.unique(donors) if masks[row].all()]
    if full:
        raise ValueError(f"a donor needs some background. Received: row {full[0]}, whose mask covers all of it.")


def _without(picture, mask):
    """Fill what lies under a mask, and the hair around it, with the nearest pixels outside."""
    wide = ndimage.binary_dilation(mask, iterations=2)
    wide = mask if wide.all() else wide
    nearest = ndimage.distance_transform_edt(wide, return_distances=False, return_indices=True)
    return picture[tuple(nearest)]


def _from_archive(file):
    with zipfile.ZipFile(file) as archive:
        kept = {name: archive.read(name) for name in archive.namelist()}
    return kept.get


def _from_folder(folder):
    return lambda path: (folder / path).read_bytes() if (folder / path).is_file() else None


def _mask(content, shape):
    return np.zeros(shape, bool) if content is None else np.asarray(Image.open(io.BytesIO(content)).convert("L")) > 0
