"""Features from the store are those of the full model, and their key knows what they depend on."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from conftest import ROOT, close, drawn, fill, full_backbone, pixels, shaken

import tlteach as tl
from tlteach import _store
from tlteach.features import split_of_array

FOUR = ["vgg16", "resnet50", "mobilenetv2", "efficientnetb0"]


@pytest.fixture(scope="module")
def small():
    keras.utils.set_random_seed(0)
    return tl.load_backbone("vgg16", "mini", weights=None, input_size=(32, 32))


def batches_of(n, pictures):
    return split_of_array(pictures).sized(pictures.shape[1:3], batch_size=n)


def kept(store):
    """The keys in a store."""
    return {file.parent.name for file in store.rglob("rows.npy")}


def pooled(backbone, pictures):
    return np.asarray(backbone.model.predict_on_batch(pictures)).mean((1, 2))


@pytest.mark.parametrize("name", FOUR)
@pytest.mark.parametrize("size, tolerance", [((64, 64), 1e-5), ((80, 70), 1e-3)])
def test_kept_features_are_the_full_models(name, size, tolerance, tmp_path):
    """At the model's own size to rounding; else the data's resizing differs by hundredths of a grey level."""
    backbone, pictures = full_backbone(name), pixels(5, size)
    for _ in ("computed", "read back"):
        found = tl.extract_features(backbone, batches_of(4, pictures), store=tmp_path)
        assert close(found, pooled(backbone, pictures), tolerance)
    assert len(kept(tmp_path)) == 1


def test_the_last_incomplete_batch_is_right(small, tmp_path):
    pictures = pixels(7, (32, 32))
    expected = pooled(small, pictures)
    for batch in (1, 3, 7, 32):
        for store in (None, tmp_path / str(batch)):
            assert close(tl.extract_features(small, batches_of(batch, pictures), store=store), expected)


def test_chunks_join_without_a_seam(small, tmp_path, monkeypatch):
    monkeypatch.setattr(_store, "CHUNK", 5)
    pictures = pixels(13, (32, 32))
    found = tl.extract_features(small, batches_of(3, pictures), store=tmp_path)
    assert close(found, pooled(small, pictures))


def test_pooling_and_layers(small):
    pictures = pixels(3, (32, 32))
    block3 = keras.Model(small.model.input, small.model.get_layer("block3_pool").output).predict_on_batch(pictures)
    whole = tl.extract_features(small, pictures, layer="block3", pooling=None, store=None)
    assert close(whole, block3)
    assert close(tl.extract_features(small, pictures, layer="block3", store=None), block3.mean((1, 2)))
    largest = tl.extract_features(small, pictures, layer="block3_pool", pooling="max", store=None)
    assert close(largest, block3.max((1, 2)))


def test_splits_give_features_and_labels_of_each(small, tmp_path):
    splits = tl.from_folder(fill(tmp_path / "data", {"a": 6, "b": 6}))
    features = tl.extract_features(small, splits, store=tmp_path / "store")
    assert features.classes == ["a", "b"]
    for name, split in splits.parts().items():
        part = getattr(features, name)
        assert part.y.tolist() == split.labels.tolist()
        assert close(part.x, pooled(small, split.sized((32, 32)).array()))


def test_the_key_knows_what_features_depend_on(tmp_path):
    keras.utils.set_random_seed(3)
    backbone, pictures = tl.load_backbone("vgg16", "mini", weights=None, input_size=(32, 32)), pixels(2, (32, 32))
    tl.extract_features(backbone, pictures, store=tmp_path)
    known = [kept(tmp_path)]

    def changed(backbone=backbone, data=pictures, **options):
        tl.extract_features(backbone, data, store=tmp_path, **options)
        new = kept(tmp_path) != known[-1]
        known.append(kept(tmp_path))
        return new

    assert not changed()
    assert not changed(data=split_of_array(pictures, [0, 1], classes=["a", "b"]))
    assert not changed(data=split_of_array(pictures, [1, 1], classes=["c", "d"]).sized((32, 32), batch_size=1))
    assert changed(layer="block4") and changed(layer="block3")
    assert changed(pooling="max") and changed(pooling=None)
    assert changed(precision="bfloat16") and changed(precision="float16")
    one_pixel = pictures.copy()
    one_pixel[1, 31, 31, 2] += 1
    assert changed(data=one_pixel)
    assert changed(data=pictures[::-1])
    assert changed(data=pictures[:1])
    larger = tl.load_backbone("vgg16", "mini", weights=None, input_size=(48, 32))
    larger.model.set_weights(backbone.model.get_weights())
    assert changed(larger)
    twin = tl.load_backbone("vgg16", "mini", weights=None, input_size=(32, 32))
    twin.model.set_weights(backbone.model.get_weights())
    assert not changed(twin)
    kernel = twin.model.get_layer("block1_conv1").kernel
    value = np.array(kernel)
    value[0, 0, 0, 0] += 1e-3
    kernel.assign(value)
    assert changed(twin)


def test_features_of_changed_weights_are_new(tmp_path):
    backbone, pictures = tl.load_backbone("vgg16", "mini", weights=None, input_size=(32, 32)), pixels(2, (32, 32))
    before = np.array(tl.extract_features(backbone, pictures, store=tmp_path))
    backbone.model.get_layer("block5_conv3").kernel.assign(backbone.model.get_layer("block5_conv3").kernel * 2)
    assert close(tl.extract_features(backbone, pictures, store=tmp_path), 2 * before)


PROGRAM = """
import keras, numpy as np, sys
import tlteach as tl
keras.layers.Conv2D(1, 1); keras.layers.GlobalAveragePooling2D()  # other automatic names
keras.utils.set_random_seed(0)
backbone = tl.load_backbone("mobilenetv2", "full", weights=None, input_size=(32, 32), alpha=0.35)
tl.extract_features(backbone, np.zeros((1, 32, 32, 3), "uint8"), store=sys.argv[1])
"""


def test_another_process_finds_the_same_key(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert len(kept(tmp_path)) == 1
    keras.utils.set_random_seed(0)
    backbone = tl.load_backbone("mobilenetv2", "full", weights=None, input_size=(32, 32), alpha=0.35)
    tl.extract_features(backbone, np.zeros((1, 32, 32, 3), "uint8"), store=tmp_path)
    assert len(kept(tmp_path)) == 1


def test_pictures_in_0_to_1_are_an_error(small):
    told = r"pictures must be in 0\.\.255: the backbone does its own preprocessing. Received: values in 0.*\.\.(0.9|1)"
    pictures = pixels(3, (32, 32)) / 255
    with pytest.raises(ValueError, match=told):
        tl.extract_features(small, pictures, store=None)
    split = split_of_array(pixels(3, (32, 32)))
    split.pictures = list(pictures)
    with pytest.raises(ValueError, match=told):
        tl.extract_features(small, split, store=None)


@pytest.mark.parametrize("shift", [-300, 300])
def test_pictures_beyond_0_to_255_are_an_error(small, shift):
    with pytest.raises(ValueError, match=r"pictures must be in 0\.\.255"):
        tl.extract_features(small, pixels(2, (32, 32)) + shift, store=None)


def test_black_pictures_and_dark_integers_are_in_range(small):
    for dark in (np.zeros((2, 32, 32, 3), "float32"), np.ones((2, 32, 32, 3), "uint8")):
        assert tl.extract_features(small, dark, store=None).shape == (2, 128)


def test_unknown_layer_and_pooling(small):
    with pytest.raises(ValueError, match=r"stage must be one of block1, .*block5. Received: 'block6'\."):
        tl.extract_features(small, pixels(1), layer="block6", store=None)
    with pytest.raises(
        ValueError, match=r"pooling must be one of 'avg', 'max', 'avg\+dev', or None. Received: 'sum'\."
    ):
        tl.extract_features(small, pixels(1), pooling="sum", store=None)
    with pytest.raises(ValueError, match=r"joined by pooling. Received: 2 stages, pooling=None\."):
        tl.extract_features(small, pixels(1), layer=["block1", "block2"], pooling=None, store=None)
    for wrong in ([], ["block2", "block2"]):
        with pytest.raises(ValueError, match=r"a list of different ones. Received: \["):
            tl.extract_features(small, pixels(1), layer=wrong, store=None)


def test_several_stages_stand_side_by_side_with_mean_and_deviation(small):
    pictures = pixels(3, (32, 32))
    maps = [tl.extract_features(small, pictures, layer=f"block{i}", pooling=None, store=None) for i in (2, 4)]
    by_hand = []
    for each in maps:
        mean = each.mean((1, 2))
        by_hand += [mean, np.abs(each - mean[:, None, None]).mean((1, 2)) / 2]
    found = tl.extract_features(small, pictures, layer=["block2", "block4"], pooling="avg+dev", store=None)
    assert close(found, np.concatenate(by_hand, axis=1))


@pytest.mark.parametrize("kept_in", [None, "store"])
def test_half_precision_is_near_and_half_as_large(small, tmp_path, kept_in):
    store, pictures = kept_in and tmp_path / kept_in, pixels(3, (32, 32))
    exact = tl.extract_features(small, pictures, store=None)
    half = tl.extract_features(small, pictures, store=store, precision="float16")
    assert half.dtype == "float16" and np.array_equal(half, exact.astype("float16"))
    again = tl.extract_features(small, pictures, store=store, precision="float16")
    assert np.array_equal(half, again) and again.nbytes * 2 == exact.nbytes
    none = tl.extract_features(small, split_of_array(pictures).take([]), store=store, precision="float16")
    assert none.dtype == "float16" and none.shape == (0, 128)


def test_bfloat16_is_near_and_comes_back_as_float32(small, tmp_path):
    pictures = pixels(3, (32, 32))
    exact = tl.extract_features(small, pictures, store=tmp_path)
    near = tl.extract_features(small, pictures, store=tmp_path, precision="bfloat16")
    assert near.dtype == "float32" and not np.array_equal(near, exact) and close(near, exact, 0.05)


def test_what_float16_cannot_hold_is_an_error():
    backbone = tl.load_backbone("vgg16", "mini", weights=None, input_size=(32, 32))
    last = backbone.model.get_layer("block5_conv3")
    last.set_weights([last.get_weights()[0], np.full(last.bias.shape, 7e4)])
    with pytest.raises(ValueError, match=r"float16 holds values up to 65504. Received: 7\d{4}.*precision='float32'"):
        tl.extract_features(backbone, pixels(2, (32, 32)), store=None, precision="float16")


def test_an_unknown_precision(small):
    told = r"precision must be one of float32, bfloat16, float16. Received: 'int8'\."
    with pytest.raises(ValueError, match=told):
        tl.extract_features(small, pixels(1), store=None, precision="int8")


def test_nothing_is_kept_with_store_none(small, cache):
    before = kept(cache)
    tl.extract_features(small, pixels(2, (32, 32), seed=99), store=None)
    assert kept(cache) == before
    tl.extract_features(small, pixels(2, (32, 32), seed=99))
    assert len(kept(cache) - before) == 1


def test_no_pictures_have_no_features(small, tmp_path):
    none = split_of_array(pixels(2)).take([])
    for store in (None, tmp_path):
        assert tl.extract_features(small, none, store=store).shape == (0, 128)
        assert tl.extract_features(small, none, pooling=None, store=store).shape == (0, 1, 1, 128)


def test_extraction_streams(small, tmp_path, monkeypatch):
    """When the first chunk is written, only its own pictures have been asked for."""
    monkeypatch.setattr(_store, "CHUNK", 8)
    split, asked, at_writing = batches_of(4, pixels(30, (32, 32))), [], []
    one, write = tl.Split._one, _store._write
    monkeypatch.setattr(tl.Split, "_one", lambda self, i: (asked.append(i), one(self, i))[1])
    monkeypatch.setattr(_store, "_write", lambda *a: (at_writing.append(len(asked)), write(*a)))
    tl.extract_features(small, split, store=tmp_path)
    assert at_writing == [8, 16, 24, 30]
    assert sorted(asked) == list(range(30))


def test_a_batch_at_a_time_is_in_memory(small, monkeypatch):
    sizes, stack = [], tl.Split._stack
    monkeypatch.setattr(tl.Split, "_stack", lambda self, rows: (sizes.append(len(rows)), stack(self, rows))[1])
    tl.extract_features(small, batches_of(4, pixels(10, (32, 32))), store=None)
    assert sizes == [4, 4, 2]


def test_the_backbone_is_left_as_it_was():
    backbone = shaken(tl.load_backbone("resnet50", "mini", weights=None, input_size=(32, 32)))
    weights, trainable = backbone.model.get_weights(), [layer.trainable for layer in backbone.model.layers]
    tl.extract_features(backbone, np.stack([drawn(i, (40, 30)) for i in range(3)]), store=None)
    assert all(np.array_equal(a, b) for a, b in zip(weights, backbone.model.get_weights(), strict=True))
    assert trainable == [layer.trainable for layer in backbone.model.layers]
