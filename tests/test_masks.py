"""Masks: the animal stays to the pixel, and what is behind it is another picture's."""

import numpy as np
import pandas as pd
import pytest

import tlteach as tl


@pytest.fixture
def two():
    """A red square on black, and a blue one elsewhere on white, with their masks."""
    pictures, masks = np.zeros((2, 12, 12, 3), "uint8"), np.zeros((2, 12, 12), bool)
    pictures[1] = 255
    for row, (place, colour) in enumerate(((slice(1, 4), (255, 0, 0)), (slice(7, 10), (0, 0, 255)))):
        pictures[row, place, place], masks[row, place, place] = colour, True
    table = pd.DataFrame({"label": [0, 1], "class": ["cat", "dog"], "sha256": ["a", "b"]})
    return tl.Split(list(pictures), table, ["cat", "dog"]), masks


def test_the_animal_stays_and_the_other_is_gone_without_a_trace(two):
    split, masks = two
    swapped = tl.swap_backgrounds(split, masks, [1, 0])
    for row, (colour, ground) in enumerate((((255, 0, 0), 255), ((0, 0, 255), 0))):
        assert (swapped.picture(row)[masks[row]] == colour).all()
        assert (swapped.picture(row)[~masks[row]] == ground).all()
    assert swapped.labels.tolist() == [0, 1] and swapped.table["donor"].tolist() == [1, 0]


def test_kept_features_are_not_mixed_up_with_those_of_the_old_pictures(two):
    split, masks = two
    seen = [split, tl.swap_backgrounds(split, masks, [1, 0]), tl.swap_backgrounds(split, masks, [0, 1])]
    assert len({each.fingerprint for each in seen}) == 3


def test_a_donor_may_be_the_picture_itself_and_serve_twice(two):
    split, masks = two
    swapped = tl.swap_backgrounds(split, list(masks), [0, 0])
    assert (swapped.picture(0) == split.picture(0)).all() and swapped.picture(1)[0, 0].max() == 0


def test_what_does_not_fit_is_refused(two):
    split, masks = two
    with pytest.raises(ValueError, match=r"each of the 2 pictures needs a mask, and a donor.*1 masks and 2 donors"):
        tl.swap_backgrounds(split, masks[:1], [0, 1])
    with pytest.raises(ValueError, match=r"a donor that is the row of one of them.*2 masks and 2 donors in 0..2"):
        tl.swap_backgrounds(split, masks, [0, 2])
    with pytest.raises(
        ValueError, match=r"a donor needs some background. Received: row 1, whose mask covers all of it"
    ):
        tl.swap_backgrounds(split, [masks[0], np.ones((12, 12), bool)], [1, 0])
    with pytest.raises(ValueError, match=r"masks must be of one height and width. Received: \[\(8, 12\), \(12, 12\)\]"):
        tl.swap_backgrounds(split, [masks[0], masks[1][:8]], [1, 0])


def test_the_outlines_of_the_pets_come_with_them():
    pets = tl.load_dataset("cats_vs_dogs", "mini").val.take([0, 199])
    masks = tl.load_masks("cats_vs_dogs", pets, size="mini")
    assert [mask.shape for mask in masks] == [(64, 64)] * 2 and all(0.05 < mask.mean() < 0.95 for mask in masks)
