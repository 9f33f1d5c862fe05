"""One picture: every kind of file becomes RGB, sizes change as the models change them, twins are known."""

import io

import keras
import numpy as np
import pytest
from conftest import drawn, save
from PIL import Image
from sklearn.datasets import load_digits

from tlteach._pictures import decode, near_pairs, recognise, resize


def near(a, b):
    return bool(near_pairs([recognise(a)[1], recognise(b)[1]]))


def jpeg(picture, quality):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def scaled(picture, factor):
    height, width = picture.shape[:2]
    size = round(width * factor), round(height * factor)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))


def test_rgb_is_kept(tmp_path):
    picture = drawn(0)
    assert np.array_equal(decode(save(tmp_path / "a.png", picture)), picture)


def test_grey_becomes_three_equal_channels(tmp_path):
    grey = drawn(0)[..., 0]
    read = decode(save(tmp_path / "grey.png", grey))
    assert read.dtype == "uint8"
    assert np.array_equal(read, np.stack([grey] * 3, axis=-1))


def test_one_bit_becomes_black_and_white(tmp_path):
    bits = drawn(0)[..., 0] > 128
    assert np.array_equal(decode(save(tmp_path / "bits.png", bits))[..., 1], bits * np.uint8(255))


def test_palette_gives_its_colours(tmp_path):
    palette = Image.fromarray(drawn(0)).convert("P", palette=Image.Palette.ADAPTIVE)
    palette.save(tmp_path / "palette.png")
    assert np.array_equal(decode(tmp_path / "palette.png"), np.asarray(palette.convert("RGB")))


def test_a_transparent_palette_colour_becomes_white(tmp_path):
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putpixel((0, 0), 0)
    palette.save(tmp_path / "palette.png", transparency=0)
    read = decode(tmp_path / "palette.png")
    assert read[0, 0].tolist() == [255, 255, 255]
    assert read[1, 1].tolist() == [0, 0, 255]


def test_transparency_is_laid_on_white(tmp_path):
    rgba = np.zeros((2, 2, 4), "uint8")  # black behind
    rgba[..., 3] = [[0, 255], [51, 255]]
    assert decode(save(tmp_path / "rgba.png", rgba))[..., 0].tolist() == [[255, 0], [204, 0]]


def test_grey_with_transparency_is_laid_on_white(tmp_path):
    Image.merge("LA", [Image.new("L", (3, 2), 100), Image.new("L", (3, 2), 0)]).save(tmp_path / "la.png")
    assert np.array_equal(decode(tmp_path / "la.png"), np.full((2, 3, 3), 255))


def test_cmyk_becomes_rgb(tmp_path):
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "red.jpg", quality=95)
    red = decode(tmp_path / "red.jpg").mean((0, 1))
    assert red[0] > 240 and red[1] < 15 and red[2] < 15


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_16_bit_grey_is_scaled_by_the_bits_in_use(tmp_path, bits):
    values = np.linspace(0, 2**bits - 1, 64).astype("uint16").reshape(8, 8)
    read = decode(save(tmp_path / "scan.png", values))
    assert np.abs(read[..., 0] - values / (2**bits - 1) * 255).max() <= 0.5


def test_the_cameras_orientation_is_applied(tmp_path):
    picture = drawn(0, (32, 48))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to see it upright
    read = decode(save(tmp_path / "turned.png", picture, exif=exif))
    assert np.array_equal(read, np.rot90(picture, -1))


@pytest.mark.parametrize("read", [decode, recognise])
def test_a_file_that_is_no_picture_is_an_error(tmp_path, read):
    whole = save(tmp_path / "whole.jpg", drawn(0, (300, 300))).read_bytes()
    for name, content, why in [
        ("cut.jpg", whole[: len(whole) // 2], "cannot be read as a picture .*truncated"),
        ("empty.jpg", b"", "empty file"),
        ("text.jpg", b"just some words", "cannot be read as a picture"),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=why):
            read(tmp_path / name)
    with pytest.raises(ValueError, match="no such file"):
        read(tmp_path / "missing.jpg")


@pytest.mark.parametrize("size", [(16, 16), (31, 20), (96, 130), (64, 20)])
def test_resize_is_what_the_models_do(size):
    picture = drawn(3, (50, 70)).copy()
    picture[10:20] = np.random.default_rng(0).integers(0, 256, (10, 70, 3))  # fine detail too
    inside = keras.ops.image.resize(picture[None].astype("float32"), size, antialias=True)[0]
    assert np.abs(resize(picture, size) - keras.ops.convert_to_numpy(inside)).max() < 0.05


@pytest.mark.parametrize("seed", range(40))
def test_resize_is_what_pillow_does(seed):
    """At any sizes, larger, smaller or one pixel, to a ten thousandth of a grey level."""
    random = np.random.default_rng(seed)
    (height, width), size = random.integers(1, 400, 2), tuple(random.integers(1, 300, 2).tolist())
    picture = random.integers(0, 256, (height, width, 3), "uint8")
    planes = [Image.fromarray(picture[..., c].astype("float32")) for c in range(3)]
    truth = np.stack([np.asarray(p.resize(size[::-1], Image.Resampling.BILINEAR)) for p in planes], axis=-1)
    assert np.abs(resize(picture, size) - truth).max() < 2e-4


def test_resize_of_a_very_large_picture():
    picture = np.broadcast_to(np.linspace(0, 255, 5000, dtype="float32")[None, :, None], (3000, 5000, 3))
    small = resize(picture, (20, 10))
    assert np.allclose(small[:, 1:-1], small[0, 1:-1]) and np.all(np.diff(small[0, :, 0]) > 20)


def test_resize_to_the_same_size_changes_nothing():
    picture = drawn(0)
    same = resize(picture, (40, 48))
    assert same.dtype == "float32" and np.array_equal(same, picture)


def test_a_picture_of_one_pixel_can_be_resized():
    assert np.allclose(resize(np.full((1, 1, 3), 7, "uint8"), (5, 4)), 7)


@pytest.mark.parametrize("quality", [30, 60, 90])
def test_a_recompressed_copy_is_near(quality):
    found = [near(drawn(i, (120, 160)), jpeg(drawn(i, (120, 160)), quality)) for i in range(20)]
    assert all(found)


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.1, 2])
def test_a_rescaled_copy_is_near(factor):
    found = [near(drawn(i, (120, 160)), scaled(drawn(i, (120, 160)), factor)) for i in range(20)]
    assert all(found)


def test_a_large_jpeg_is_near_itself_in_memory(tmp_path):
    """Files are looked at through a fast draft of the decoder, arrays are not."""
    picture = drawn(0, (700, 900))
    assert near(save(tmp_path / "large.jpg", picture, quality=90), picture)


def test_a_brighter_copy_is_near():
    assert near(drawn(0), np.clip(drawn(0) * 0.9 + 20, 0, 255).astype("uint8"))


def test_other_pictures_are_not_near():
    assert near_pairs([recognise(drawn(i))[1] for i in range(200)]) == []


def test_plain_pictures_of_other_brightness_are_not_near():
    plain = [np.full((9, 9, 3), value, "uint8") for value in (0, 90, 255)]
    assert near_pairs([recognise(p)[1] for p in plain]) == []
    assert near(plain[1], np.full((20, 30, 3), 91, "uint8"))


def test_hardly_any_digits_are_near():
    """Handwritten digits on an empty ground: most of the fingerprint is ground."""
    digits = load_digits().images[:600] * 15.9
    looks = [recognise(np.kron(d, np.ones((4, 4)))[..., None].repeat(3, -1).astype("uint8"))[1] for d in digits]
    assert len(near_pairs(looks)) < 20


def test_near_pairs_gives_first_second_and_bits():
    a, b = drawn(0, (120, 160)), drawn(1, (120, 160))
    pairs = near_pairs([recognise(p)[1] for p in (a, b, a, jpeg(a, 50))])
    assert [(i, j) for i, j, _ in pairs] == [(0, 2), (0, 3), (2, 3)]
    assert pairs[0][2] == 0 < pairs[1][2] <= 12


def test_near_pairs_of_no_pictures():
    assert near_pairs([]) == []


def test_equal_bytes_have_equal_sha256(tmp_path):
    a, b = save(tmp_path / "a.png", drawn(0)), save(tmp_path / "b.png", drawn(0))
    assert recognise(a) == recognise(b)
    assert recognise(a)[0] != recognise(save(tmp_path / "c.png", drawn(1)))[0]
