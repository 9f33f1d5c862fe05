"""Backbones: the published preprocessing is inside, stages can be cut, and Keras alone can read what is saved."""

import os
import random
import re
import subprocess
import sys
import urllib.error

import h5py
import keras
import numpy as np
import pytest
from conftest import close, full_backbone, pixels, shaken
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group
from keras.src.utils import file_utils

import tlteach as tl
from tlteach._assets import weights_file
from tlteach._preprocessing import _preprocess
from tlteach._stages import boundary_before, cut, find_stages, tensor_of
from tlteach.backbones import _row, _table, application_preprocess, default_input_size

FOUR = ["vgg16", "resnet50", "mobilenetv2", "efficientnetb0"]
FAMILIES = [*FOUR, "densenet121", "mobilenetv3small"]  # caffe, caffe, tf, inside, torch, inside


# preprocessing


@pytest.mark.parametrize("name", list(_table()))
def test_preprocessing_is_keras_own(name):
    pictures = pixels(2, (6, 7))
    x = keras.Input((None, None, 3))
    inside = keras.Model(x, _preprocess(x, _row(name)["preprocessing"]) + 0)(pictures)
    assert close(inside, application_preprocess(name)(pictures.copy()), 1e-6)


def test_preprocessing_differs_between_families():
    found = [np.array(application_preprocess(name)(pixels(1, (4, 4)))) for name in FAMILIES[:5]]
    assert close(found[0], found[1])
    for i, j in [(0, 2), (0, 3), (0, 4), (2, 3), (2, 4), (3, 4)]:
        assert not close(found[i], found[j], 0.01)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_model_is_the_application_with_preprocessing(name):
    backbone, pictures = full_backbone(name), pixels(2)
    x = application_preprocess(name)(pictures.copy())
    assert close(backbone.model(pictures), plain_twin(backbone)(x), 1e-4)


def plain_twin(backbone):
    """The Keras application itself with the same weights, built as Keras builds it."""
    application = getattr(keras.applications, _row(backbone.name)["application"])
    plain = application(weights=None, include_top=False, input_shape=(64, 64, 3))
    pairs = zip(*([x for x in model.layers if x.weights] for model in (plain, backbone.model)), strict=True)
    for layer, ours in pairs:
        layer.set_weights(ours.get_weights())
    return plain if backbone.name != "efficientnetb0" else scaled_twin(plain)


def scaled_twin(plain):
    """Keras scales once more where it has fetched ImageNet weights itself."""
    end = next(x for x in plain.layers if isinstance(x, keras.layers.Normalization)).output
    scaled = keras.layers.Rescaling([s**-0.5 for s in (0.229, 0.224, 0.225)])(end)
    return keras.Model(plain.input, keras.Model(end, plain.output)(scaled))


def test_pictures_of_any_size_are_resized():
    backbone, large = full_backbone("vgg16"), pixels(2, (90, 120))
    small = keras.ops.image.resize(large, (64, 64), antialias=True)
    assert close(backbone.model(large), backbone.model(small))


# stages

STAGES = {
    "vgg16": "block1 block2 block3 block4 block5",
    "resnet50": "conv1 conv2 conv3 conv4 conv5",
    "densenet121": "conv1 conv2 conv3 conv4 conv5",
    "mobilenetv2": " ".join(["stem", *(f"block{i}" for i in range(17)), "top"]),
    "efficientnetb0": "stem block1 block2 block3 block4 block5 block6 block7 top",
}


@pytest.mark.parametrize("name", list(STAGES))
def test_stages_in_their_order(name):
    backbone = full_backbone(name)
    assert " ".join(backbone.stages) == STAGES[name] == _row(name)["stages"]
    own = [name for names in backbone.stages.values() for name in names]
    outside = [op.name for op in backbone.model.operations if op.name not in own]
    assert len(own) == len(set(own))
    assert not [n for n in outside if n.startswith(("block", "conv", "stem", "top"))]
    assert all(not getattr(op, "weights", None) for op in backbone.model.operations if op.name in outside)


def test_inception_is_divided_by_the_height_of_its_maps():
    backbone = tl.load_backbone("inceptionv3", weights=None)
    assert " ".join(backbone.stages) == _row("inceptionv3")["stages"] == "res149 res147 res73 res71 res35 res17 res8"
    assert backbone.model.get_layer(backbone.output_of("res17")).output.shape[1] == 17


@pytest.mark.parametrize(
    "name, stage, last",
    [
        ("vgg16", "block4", "block4_pool"),
        ("resnet50", "conv4", "conv4_block6_out"),
        ("mobilenetv2", "block16", "block_16_project_BN"),
        ("efficientnetb0", "top", "top_activation"),
    ],
)
def test_a_stage_ends_where_it_should(name, stage, last):
    assert full_backbone(name).output_of(stage) == last


def test_an_unknown_stage():
    with pytest.raises(ValueError, match=r"stage must be one of conv1, conv2, .*conv5. Received: 'conv6'\."):
        full_backbone("resnet50").output_of("conv6")


@pytest.mark.parametrize("name", FOUR)
def test_a_model_cut_between_stages_is_the_same_model(name):
    model, pictures = full_backbone(name).model, pixels(2)
    starts = [boundary_before(model, stage) for stage in find_stages(model)]
    assert None not in starts
    prefix = keras.Model(model.input, [tensor_of(model, start) for start in starts] + [model.output])
    *middles, whole = prefix.predict_on_batch(pictures)
    for start, middle in zip(starts, middles, strict=True):
        assert close(cut(model, start)(middle), whole), start


def test_where_two_tensors_cross_there_is_no_cut():
    x = keras.Input((8,))
    one, two = keras.layers.Dense(3, name="conv1_a")(x), keras.layers.Dense(3, name="conv1_b")(x)
    model = keras.Model(x, keras.layers.Dense(1, name="conv2_a")(keras.layers.Add(name="conv2_add")([one, two])))
    assert boundary_before(model, "conv2") is None
    assert boundary_before(model, "conv1") == x._keras_history.operation.name


def test_a_cut_shares_its_variables():
    model = full_backbone("vgg16").model
    part = cut(model, "block4_pool")
    assert part.get_layer("block5_conv1").kernel is model.get_layer("block5_conv1").kernel


# BatchNorm


def statistics(model):
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    moving = [w for layer in layers for w in (layer.moving_mean, layer.moving_variance)]
    return [keras.ops.convert_to_numpy(w).copy() for w in moving]


def test_batchnorm_starts_frozen():
    layers = [x for x in full_backbone("resnet50").model.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert len(layers) == 53 and not any(layer.trainable for layer in layers)


@pytest.mark.parametrize("name", ["resnet50", "mobilenetv2", "efficientnetb0"])
def test_calling_the_model_moves_no_statistics(name):
    model, pictures = full_backbone(name).model, pixels(3)
    frozen = [layer.trainable for layer in model.layers]
    try:
        model.trainable = True  # also where nobody has frozen anything
        before = statistics(model)
        called = model(pictures)
    finally:
        for layer, was in zip(model.layers, frozen, strict=True):
            layer.trainable = was
    assert all(np.array_equal(a, b) for a, b in zip(before, statistics(model), strict=True))
    assert close(called, model.predict_on_batch(pictures), 1e-4)


def test_with_a_resizing_layer_keras_would_move_them():
    """Why `resize` is an operation here and not a layer."""
    x = keras.Input((None, None, 3))
    y = keras.layers.BatchNormalization()(keras.layers.Resizing(8, 8)(x))
    model = keras.Model(x, y)
    before = statistics(model)
    model(pixels(3))
    if all(np.array_equal(a, b) for a, b in zip(before, statistics(model), strict=True)):
        pytest.skip(f"Keras {keras.__version__} calls BatchNorm after a Resizing layer as it should")
    assert not np.array_equal(before[0], statistics(model)[0])


# saving

READ = """
import sys, numpy as np, keras
sys.modules["tlteach"] = None  # as if it were not installed: importing it fails
for name in sys.argv[1:]:
    model = keras.models.load_model(f"{name}.keras", safe_mode=True)
    np.save(f"{name}.npy", keras.ops.convert_to_numpy(model(np.load("in.npy"))))
"""


def test_keras_alone_reads_what_was_saved(tmp_path):
    backbones = [shaken(tl.load_backbone("resnet50", "mini", weights=None)), full_backbone("efficientnetb0")]
    models = {backbone.name: tl.attach_head(backbone, 3) for backbone in backbones}
    pictures = pixels(2, (70, 50))
    np.save(tmp_path / "in.npy", pictures)
    for name, model in models.items():
        model.save(tmp_path / f"{name}.keras")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    subprocess.run([sys.executable, "-c", READ, *models], env=environment, cwd=tmp_path, check=True)
    for name, model in models.items():
        assert close(np.load(tmp_path / f"{name}.npy"), model(pictures), 1e-6)


# weights


def test_speech_is_a_source_of_the_mini_resnet():
    speech, photographs = tl.load_backbone("speech"), tl.load_backbone("resnet50", "mini")
    assert all(np.isfinite(w).all() for w in speech.model.get_weights())
    assert speech.size == "mini" and list(speech.stages) == list(photographs.stages) and "spoken" in speech.weights
    again = tl.load_backbone("resnet50", weights="speech")
    for ours, same, other in zip(*(b.model.get_weights() for b in (speech, again, photographs)), strict=True):
        np.testing.assert_array_equal(ours, same)
        assert ours.shape == other.shape
    kernels = [b.model.get_layer("conv3_block1_1_conv").get_weights()[0] for b in (speech, photographs)]
    assert np.abs(kernels[0] - kernels[1]).mean() > 0.01
    assert default_input_size("speech") == (64, 64)


@pytest.mark.parametrize(
    "name, options, told",
    [
        ("vgg16", {"weights": "speech"}, "speech is a source of resnet50 in mini size. Received: 'vgg16'"),
        ("speech", {"size": "full"}, "the source speech exists in mini size. Received: size='full'"),
    ],
)
def test_where_there_is_no_speech(name, options, told):
    with pytest.raises(ValueError, match=told):
        tl.load_backbone(name, **options)


def test_an_unknown_name():
    with pytest.raises(ValueError, match=r"name must be one of convnextbase, .*vgg19.*Received: 'vgg17'\."):
        tl.load_backbone("vgg17")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("mobilnetv2", "mobilenetv2"),
        ("ResNet", "resnet50"),
        ("vgg", "vgg16"),  # and not vgg19, which is as near and larger
        ("speechs", "speech"),
        ("roberta", "bert"),
    ],
)
def test_an_unknown_name_that_is_near_a_known_one(name, nearest):
    with pytest.raises(ValueError, match=rf"or its folder\. Received: '{name}'\. Did you mean '{nearest}'\?$"):
        tl.load_backbone(name)


def test_a_name_that_is_near_none_is_met_with_no_guess():
    with pytest.raises(ValueError, match=r"Received: 'zzzz'\.$"):
        tl.load_backbone("zzzz")


def test_names_are_read_in_any_case():
    assert tl.load_backbone("VGG16", "mini", weights=None).name == "vgg16"


def test_an_unknown_size():
    with pytest.raises(ValueError, match=r"size must be 'mini' or 'full'. Received: 'big'\."):
        tl.load_backbone("vgg16", "big")


def test_a_network_without_a_mini():
    with pytest.raises(ValueError, match=r"mini size exists for vgg16 and resnet50. Received: 'densenet121'; load"):
        tl.load_backbone("densenet121", "mini")


def test_imagenet_is_not_for_the_mini():
    with pytest.raises(ValueError, match=r"ImageNet weights belong to the full size. Received: size='mini'"):
        tl.load_backbone("vgg16", "mini", weights="imagenet")


def test_a_mini_takes_no_options():
    with pytest.raises(ValueError, match=r"a mini backbone takes no further options. Received: \['alpha'\]"):
        tl.load_backbone("vgg16", "mini", weights=None, alpha=0.5)


def test_a_missing_file(tmp_path):
    with pytest.raises(ValueError, match=r"weights must be 'default'.*an existing file. Received: '.*none.h5'"):
        tl.load_backbone("vgg16", weights=tmp_path / "none.h5")


@pytest.mark.filterwarnings("ignore:Skipping nested container")
def test_a_file_that_does_not_fit(tmp_path):
    tl.load_backbone("vgg16", "mini", weights=None).model.save_weights(tmp_path / "narrow.weights.h5")
    told = r"the weights must be those of vgg16 without its top.*narrow.weights.h5, which does not fit \(.+\)"
    with pytest.raises(ValueError, match=told):
        tl.load_backbone("vgg16", weights=tmp_path / "narrow.weights.h5", input_size=(32, 32))
    (tmp_path / "words.weights.h5").write_text("words")
    with pytest.raises(ValueError, match=r"words.weights.h5, which does not fit"):
        tl.load_backbone("vgg16", "mini", weights=tmp_path / "words.weights.h5")


def test_a_file_of_weights_is_used(tmp_path):
    application = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.35)
    application.save_weights(tmp_path / "mine.weights.h5")
    loaded = tl.load_backbone("mobilenetv2", weights=tmp_path / "mine.weights.h5", input_size=(32, 32), alpha=0.35)
    assert loaded.weights == str(tmp_path / "mine.weights.h5")
    expected = application.predict_on_batch(pixels(2, (32, 32)) / 127.5 - 1)
    assert close(loaded.model(pixels(2, (32, 32))), expected, 1e-4)


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    """No weights are kept, and none can be fetched."""

    def unplugged(*args, **kwargs):
        raise urllib.error.URLError("the cable is out")

    monkeypatch.setattr(file_utils, "urlretrieve", unplugged)
    monkeypatch.setattr(file_utils, "validate_file", lambda *args, **kwargs: True)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(file_utils.config, "keras_home", lambda: str(tmp_path))
    return tmp_path


def test_imagenet_that_cannot_be_fetched_and_then_is_put_there_by_hand(keras_home):
    """EfficientNet, since it scales once more with ImageNet weights: by hand and by path are the same."""
    told = r"weights of efficientnetb0 could not be fetched: wanted efficientnetb0_notop.h5 from https://.*h5\. "
    with pytest.raises(OSError, match=told + r"Put that file by hand at .*The mini size \(vgg16, resnet50\)") as caught:
        tl.load_backbone("efficientnetb0", weights="imagenet", input_size=(64, 64))
    place = re.search(r"by hand at (\S+),", str(caught.value))[1]
    assert os.path.dirname(place) == str(keras_home / "models")
    published = keras.applications.EfficientNetB0(weights=None, include_top=False, input_shape=(64, 64, 3))
    os.makedirs(os.path.dirname(place), exist_ok=True)
    legacy(published, place)
    by_hand = tl.load_backbone("efficientnetb0", input_size=(64, 64))
    by_path = tl.load_backbone("efficientnetb0", weights=place, input_size=(64, 64))
    assert by_hand.weights == "imagenet" and by_path.weights == place
    assert close(by_path.model(pixels(2)), by_hand.model(pixels(2)))


def legacy(model, path):
    """Write the older h5 format, as Keras publishes it."""
    with h5py.File(path, "w") as file:
        save_weights_to_hdf5_group(file, model)


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="Keras has no NASNet with PyTorch")
def test_nasnet_is_kept_under_another_name_than_fetched(keras_home):
    told = r"wanted NASNet-mobile-no-top.h5 from .*by hand at .*/models/nasnet_mobile_no_top.h5,"
    with pytest.raises(OSError, match=told):
        tl.load_backbone("nasnetmobile")


def test_mini_weights_in_half_precision(tmp_path):
    keras.config.set_dtype_policy("float16")
    try:
        half = tl.load_backbone("vgg16", "mini", weights=None)
    finally:
        keras.config.set_dtype_policy("float32")
    plain = tl.load_backbone("vgg16", "mini", weights=None)
    half.model.save_weights(tmp_path / "half.weights.h5")
    plain.model.save_weights(tmp_path / "single.weights.h5")
    sizes = [os.path.getsize(tmp_path / f"{n}.weights.h5") for n in ("half", "single")]
    assert sizes[0] < 0.6 * sizes[1]
    plain.model.load_weights(tmp_path / "half.weights.h5")
    assert {w.dtype for w in plain.model.weights} == {"float32"}
    for a, b in zip(plain.model.get_weights(), half.model.get_weights(), strict=True):
        assert np.array_equal(a, b.astype("float32"))


@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_shipped_mini_weights_are_loaded(name):
    if not weights_file(name).exists():
        pytest.skip("the mini weights are not there")
    mini, twin = tl.load_backbone(name, "mini"), tl.load_backbone(name, "mini", weights=None)
    assert mini.model.input_shape == (None, None, None, 3) and mini.input_size == (64, 64)
    assert {w.dtype for w in mini.model.weights} == {"float32"}
    assert all(np.isfinite(w).all() for w in mini.model.get_weights())
    assert np.isfinite(mini.model.predict_on_batch(pixels(2))).all()
    assert list(mini.stages) == list(twin.stages) == _row(name)["stages"].split()
    assert not close(mini.model(pixels(2)), twin.model(pixels(2)), 0.1)


def test_a_mini_is_the_same_network_a_quarter_as_wide():
    for name in ("vgg16", "resnet50"):
        mini, full = tl.load_backbone(name, "mini", weights=None), full_backbone(name)
        assert [layer.name for layer in mini.model.layers][-20:] == [layer.name for layer in full.model.layers][-20:]
        assert mini.model.output_shape[-1] * 4 == full.model.output_shape[-1]


# the list


def test_all_backbones_are_listed():
    table = tl.list_backbones()
    assert len(table) == 40 and table["name"].is_unique
    assert set(table.loc[table["mini"], "name"]) == {"vgg16", "resnet50"}
    assert all(hasattr(keras.applications, row["application"]) for row in _table().values())


@pytest.mark.parametrize("name", ["densenet121", "resnet50", "mobilenetv2"])
def test_the_list_agrees_with_keras(name):
    row = tl.list_backbones().set_index("name").loc[name]
    application = getattr(keras.applications, _row(name)["application"])
    assert row["parameters"] == application(weights=None, include_top=False).count_params()
    assert application(weights=None, classes=2).input_shape == (None, row["input_size"], row["input_size"], 3)
    assert row["stages"].split() == list(full_backbone(name).stages)


@pytest.mark.parametrize("name", ["vgg16", "speech"])
def test_each_call_gives_a_backbone_of_its_own(name):
    first, x = tl.load_backbone(name, "mini"), pixels(2, (64, 64))
    expected = first.model.predict_on_batch(x)
    for v in first.model.variables:
        v.assign(keras.ops.zeros_like(v))
    first.model.layers[-1].trainable = False
    second = tl.load_backbone(name, "mini")
    assert np.array_equal(second.model.predict_on_batch(x), expected)
    assert not {id(v) for v in first.model.variables} & {id(v) for v in second.model.variables}
    assert second.model.layers[-1].trainable


def test_loading_what_is_not_random_draws_nothing():
    drawn = []
    for calls in (0, 1, 2):
        keras.utils.set_random_seed(0)
        for _ in range(calls):
            tl.load_backbone("resnet50", "mini")
        drawn.append(keras.layers.Dense(3).build((None, 4)) or random.random())
    assert len(set(drawn)) == 1
    keras.utils.set_random_seed(0)
    one, two = (tl.load_backbone("vgg16", "mini", weights=None).model.get_weights()[0] for _ in range(2))
    assert not np.array_equal(one, two)


def test_a_copy_has_the_policy_that_holds_when_it_is_loaded():
    policy = keras.config.dtype_policy()
    tl.load_backbone("vgg16", "mini")
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        assert tl.load_backbone("vgg16", "mini").model.get_layer("block1_conv1").compute_dtype == "bfloat16"
    finally:
        keras.config.set_dtype_policy(policy)
    assert tl.load_backbone("vgg16", "mini").model.get_layer("block1_conv1").compute_dtype == "float32"
