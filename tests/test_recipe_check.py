"""The recipe checker: models with a planted fault each, sound ones, and the proof that nothing was changed."""

import inspect
import random
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from conftest import close, pixels, same, small_splits
from keras import layers

import tlteach as tl
from tlteach._recipe_model import Subject, _family
from tlteach.recipe_check import CHECKS

SIZE = (32, 32)
LABELS = np.arange(48) % 2
PICTURES = pixels(48, SIZE) * np.where(LABELS, 1, 0.7)[:, None, None, None]
TRAIN, VAL = (PICTURES[:32], LABELS[:32]), (PICTURES[32:], LABELS[32:])
SPARSE = "sparse_categorical_crossentropy"


def mobilenet(seed=0):
    """MobileNetV2 as if it had been pretrained: its statistics have seen something."""
    keras.utils.set_random_seed(seed)
    base = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(*SIZE, 3), alpha=0.35)
    base(PICTURES[:16] / 127.5 - 1, training=True)
    return base


def vgg(trainable=False):
    """A VGG16 of the usual layers' names, but narrow."""
    keras.utils.set_random_seed(0)
    base = keras.Sequential([keras.Input((*SIZE, 3))], name="vgg16")
    for block, (width, convs) in enumerate([(4, 2), (4, 2), (8, 3), (8, 3), (8, 3)], 1):
        for conv in range(1, convs + 1):
            name = f"block{block}_conv{conv}"
            base.add(layers.Conv2D(width, 3, padding="same", activation="relu", bias_initializer="normal", name=name))
        base.add(layers.MaxPooling2D(name=f"block{block}_pool"))
    base.trainable = trainable
    return base


def with_head(base, before=None, units=2, activation="softmax", call=None):
    """A functional model: what comes before, the backbone, a pooled dense head."""
    pictures = keras.Input((*SIZE, 3))
    x = before(pictures) if before else pictures
    x = base(x, **(call or {}))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(pictures, layers.Dense(units, activation=activation)(x))


def compiled(model, optimizer=None, loss=SPARSE, metrics=("accuracy",)):
    model.compile(optimizer or keras.optimizers.Adam(1e-3), loss, metrics=list(metrics))
    return model


def to_tf(x):
    return keras.applications.mobilenet_v2.preprocess_input(x)


def to_caffe(x):
    return keras.applications.vgg16.preprocess_input(x)


def frozen(base):
    base.trainable = False
    return base


def scratch(*ends, rescale=True):
    first = [layers.Rescaling(1 / 255)] if rescale else []
    middle = [layers.Conv2D(8, 3, strides=2, activation="relu"), layers.GlobalAveragePooling2D()]
    return keras.Sequential(
        [keras.Input((*SIZE, 3)), *first, *middle, *(ends or [layers.Dense(2, activation="softmax")])]
    )


def dataset(x, y, *, batch=8):
    """A `tf.data.Dataset`; the backend's TensorFlow is reached through Keras."""
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(batch)


class Classifier(keras.Model):
    """As in the guides: a subclass without a configuration."""

    def __init__(self, base, units):
        super().__init__()
        self.base, self.pool = base, layers.GlobalAveragePooling2D()
        self.dense = layers.Dense(units, activation="softmax")

    def call(self, x, training=False):
        return self.dense(self.pool(self.base(to_tf(x), training=training)))


class Turned(keras.utils.PyDataset):
    """Batches that are turned at random each time they are read."""

    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return 2

    def __getitem__(self, i):
        rows = slice(8 * i, 8 * i + 8)
        shift = np.random.randint(1, 20)
        return np.roll(self.x[rows], shift, axis=2), self.y[rows]


# Planted faults: each gives (model, arguments), and stands under the trap that must be named.


def rescaled_to_one():
    return compiled(with_head(frozen(mobilenet()))), {
        "train": (TRAIN[0] / 255, TRAIN[1]),
        "val": (VAL[0] / 255, VAL[1]),
    }


def rescaled_before_efficientnet():
    base = keras.applications.EfficientNetB0(weights=None, include_top=False, input_shape=(*SIZE, 3))
    return compiled(with_head(frozen(base), layers.Rescaling(1 / 255))), {"train": TRAIN, "val": VAL}


def raw_before_vgg():
    return compiled(with_head(vgg())), {"train": TRAIN, "val": VAL}


def preprocessed_twice():
    return compiled(with_head(frozen(mobilenet()), to_tf)), {"train": (to_tf(TRAIN[0].copy()), TRAIN[1])}


def unflipped_before_vgg():
    mean = np.array([123.68, 116.779, 103.939], "float32")
    return compiled(with_head(vgg(), lambda x: x - mean)), {"train": TRAIN, "val": VAL}


def flipped_before_mobilenet():
    return compiled(with_head(frozen(mobilenet()), lambda x: to_tf(x[..., ::-1]))), {"train": TRAIN, "val": VAL}


def batchnorm_of_the_guide():
    model = with_head(mobilenet(), to_tf, call={"training": False})
    return compiled(model, keras.optimizers.Adam(1e-5)), {"train": TRAIN, "val": VAL}


def unfrozen_after_fit():
    base = vgg()
    model = compiled(with_head(base, to_caffe))
    model.fit(*TRAIN, verbose=0, batch_size=16)
    base.trainable = True
    return model, {"train": TRAIN, "val": VAL}


def frozen_after_compile():
    base = vgg(trainable=True)
    model = compiled(with_head(base, to_caffe), keras.optimizers.Adam(1e-5))
    base.trainable = False
    return model, {"train": TRAIN, "val": VAL}


def fine_tuning_a_frozen_one():
    return compiled(with_head(frozen(mobilenet()), to_tf)), {"train": TRAIN, "val": VAL, "fine_tuning": True}


def slow_rate_on_a_frozen_one():
    return compiled(with_head(vgg(), to_caffe), keras.optimizers.RMSprop(1e-5)), {"train": TRAIN}


def high_rate():
    return compiled(with_head(vgg(trainable=True), to_caffe), keras.optimizers.Adam(1e-2)), {"train": TRAIN, "val": VAL}


def softmax_as_logits():
    return compiled(scratch(), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)), {"train": TRAIN}


def logits_as_probabilities():
    return compiled(scratch(layers.Dense(1)), loss="binary_crossentropy"), {"train": TRAIN}


def one_softmax():
    return compiled(scratch(layers.Dense(1, activation="softmax")), loss="binary_crossentropy"), {"train": TRAIN}


def sigmoids_with_categorical():
    return compiled(scratch(layers.Dense(2, activation="sigmoid"))), {"train": TRAIN}


def one_hot_with_sparse():
    return compiled(scratch()), {"train": (TRAIN[0], np.eye(2)[TRAIN[1]])}


def labels_from_one():
    return compiled(scratch()), {"train": (TRAIN[0], TRAIN[1] + 1)}


def head_of_another_task():
    return compiled(scratch(layers.Dense(5, activation="softmax"))), {"train": TRAIN, "classes": ["cat", "dog"]}


def other_order_of_classes():
    splits = small_splits(16, 8, 8)
    splits.val.classes.reverse()
    return compiled(scratch()), {"train": splits}


def head_with_the_other_order():
    model = compiled(scratch(rescale=True), keras.optimizers.Adam(0.05))
    model.fit(TRAIN[0], TRAIN[1], epochs=25, verbose=0)
    return model, {"train": TRAIN, "val": (VAL[0], 1 - VAL[1])}


def copies_in_validation():
    return compiled(scratch()), {"train": TRAIN, "val": (TRAIN[0][:8], TRAIN[1][:8])}


def near_copies_in_validation():
    noisy = np.clip(TRAIN[0][:8] * 0.95 + np.random.default_rng(0).normal(0, 2, TRAIN[0][:8].shape), 0, 255)
    return compiled(scratch()), {"train": TRAIN, "val": (noisy, TRAIN[1][:8])}


def rows_of_the_test_in_training():
    return compiled(scratch()), {"train": (PICTURES, LABELS), "test": VAL}


def validation_is_the_test():
    return compiled(scratch()), {"train": TRAIN, "val": VAL, "test": VAL}


def turned_validation():
    return compiled(scratch()), {"train": TRAIN, "val": Turned(*VAL)}


def cached_augmentation():
    flip = layers.RandomFlip(seed=1)
    train = dataset(*TRAIN).map(lambda x, y: (flip(x, training=True), y)).cache().prefetch(1)
    return compiled(scratch()), {"train": train, "val": VAL}


def sorted_training_data():
    order = np.argsort(TRAIN[1], kind="stable")
    return compiled(scratch()), {"train": dataset(TRAIN[0][order], TRAIN[1][order], batch=4)}


def many_of_one_class():
    rows = np.r_[np.flatnonzero(LABELS == 0), np.flatnonzero(LABELS == 1)[:2]]
    return compiled(scratch()), {"train": (PICTURES[rows], LABELS[rows])}


def validation_not_rescaled():
    return compiled(scratch(rescale=False)), {"train": (TRAIN[0] / 255, TRAIN[1]), "val": VAL}


@keras.saving.register_keras_serializable()
class Noise(layers.Layer):
    """Noise that does not ask whether anybody trains."""

    def __init__(self, **options):
        super().__init__(**options)
        self.noise = layers.GaussianNoise(1.0)

    def call(self, x):
        return x + 50.0 * self.noise(0 * x, training=True)


def augmented_for_ever():
    return compiled(keras.Sequential([keras.Input((*SIZE, 3)), Noise(), *scratch().layers])), {"train": TRAIN}


FAULTY = {
    "input range": [
        rescaled_to_one,
        rescaled_before_efficientnet,
        raw_before_vgg,
        preprocessed_twice,
    ],
    "channel order": [flipped_before_mobilenet, unflipped_before_vgg],
    "BatchNorm moves": [batchnorm_of_the_guide],
    "trainable changed since compile": [unfrozen_after_fit, frozen_after_compile],
    "backbone frozen": [fine_tuning_a_frozen_one, slow_rate_on_a_frozen_one],
    "learning rate too high": [high_rate],
    "softmax and from_logits": [softmax_as_logits, logits_as_probabilities],
    "activation and loss": [one_softmax, sigmoids_with_categorical],
    "labels and loss": [one_hot_with_sparse],
    "labels and head": [labels_from_one, head_of_another_task],
    "order of the classes": [other_order_of_classes],
    "answers fit other labels": [head_with_the_other_order],
    "duplicates across splits": [copies_in_validation, near_copies_in_validation],
    "test data in training": [rows_of_the_test_in_training],
    "test data used for validation": [validation_is_the_test],
    "augmentation in validation": [turned_validation],
    "augmentation before a cache": [cached_augmentation],
    "training data sorted by class": [sorted_training_data],
    "imbalance with plain accuracy": [many_of_one_class],
    "ranges differ between splits": [validation_not_rescaled],
    "random in inference": [augmented_for_ever],
}


# Sound recipes, as different from each other as people are.


def features_of_mobilenet():
    return compiled(with_head(frozen(mobilenet()), to_tf, call={"training": False})), {"train": TRAIN, "val": VAL}


def features_preprocessed_outside():
    x, v = to_caffe(TRAIN[0].copy()), to_caffe(VAL[0].copy())
    model = keras.Sequential([vgg(), layers.Flatten(), layers.Dense(1, activation="sigmoid")])
    return compiled(model, loss="binary_crossentropy"), {"train": (x, TRAIN[1]), "val": (v, VAL[1])}


def vgg_fine_tuned():
    base = vgg(trainable=True)
    for layer in base.layers[:-4]:
        layer.trainable = False
    return compiled(with_head(base, to_caffe), keras.optimizers.RMSprop(1e-5)), {"train": TRAIN, "val": VAL}


def mobilenet_fine_tuned():
    base = mobilenet()
    for layer in base.layers:
        layer.trainable = not isinstance(layer, layers.BatchNormalization)
    optimizer = keras.optimizers.SGD(1e-4, momentum=0.9)
    return compiled(with_head(base, to_tf), optimizer), {"train": TRAIN, "val": VAL, "fine_tuning": True}


def fitted_twice():
    base = frozen(vgg())
    model = compiled(with_head(base, to_caffe))
    model.fit(*TRAIN, verbose=0, batch_size=16)
    base.trainable = True
    compiled(model, keras.optimizers.Adam(1e-5)).fit(*TRAIN, verbose=0, batch_size=16)
    return model, {"train": TRAIN, "val": VAL}


def efficientnet_on_pixels():
    base = keras.applications.EfficientNetB0(weights=None, include_top=False, input_shape=(*SIZE, 3))
    return compiled(with_head(frozen(base))), {"train": TRAIN, "val": VAL}


def of_this_library():
    model = tl.attach_head(tl.load_backbone("vgg16", "mini"), 2)
    tl.freeze(model, ["head"])
    return compiled(model, loss=keras.losses.SparseCategoricalCrossentropy()), {"train": small_splits(16, 8, 8)}


def from_scratch_with_logits():
    model = scratch(layers.Dense(2))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return compiled(model, loss=loss), {"train": dataset(*TRAIN).shuffle(8), "val": dataset(*VAL)}


def augmented_after_the_cache():
    flip = layers.RandomFlip(seed=1)
    train = dataset(*TRAIN).cache().map(lambda x, y: (flip(x, training=True), y)).prefetch(1)
    return compiled(scratch()), {"train": train, "val": dataset(*VAL).shuffle(8)}


def a_subclass():
    model = Classifier(frozen(mobilenet()), 2)
    model(PICTURES[:1])
    return compiled(model), {"train": TRAIN, "val": VAL}


def several_labels_a_picture():
    y = (np.random.default_rng(0).random((32, 4)) < 0.4).astype("float32")
    return compiled(scratch(layers.Dense(4, activation="sigmoid")), loss="binary_crossentropy"), {
        "train": (TRAIN[0], y)
    }


def one_hot_with_softmax():
    model = compiled(scratch(), loss=keras.losses.CategoricalCrossentropy(label_smoothing=0.1))
    return model, {"train": (TRAIN[0], np.eye(2)[TRAIN[1]])}


def imbalanced_with_auc():
    (_, given), metrics = many_of_one_class(), ["accuracy", keras.metrics.AUC(), keras.metrics.Recall()]
    return compiled(scratch(layers.Dense(1, activation="sigmoid")), loss="binary_crossentropy", metrics=metrics), given


def not_compiled():
    return with_head(frozen(mobilenet()), to_tf), {"train": TRAIN, "val": VAL}


def a_table():
    x = np.random.default_rng(0).normal(size=(60, 20))
    model = keras.Sequential([layers.Dense(16, activation="relu"), layers.Dense(3, activation="softmax")])
    return compiled(model), {"train": (x[:40], np.arange(40) % 3), "val": (x[40:], np.arange(20) % 3)}


SOUND = [
    features_of_mobilenet,
    features_preprocessed_outside,
    vgg_fine_tuned,
    mobilenet_fine_tuned,
    fitted_twice,
    efficientnet_on_pixels,
    of_this_library,
    from_scratch_with_logits,
    augmented_after_the_cache,
    a_subclass,
    several_labels_a_picture,
    one_hot_with_softmax,
    imbalanced_with_auc,
    not_compiled,
    a_table,
]


def state_of(model):
    """All of a model that a check could have changed."""
    every = model._flatten_layers()
    optimizer = getattr(model, "optimizer", None)
    return {
        "flags": [layer.trainable for layer in every],
        "nodes": [len(layer._inbound_nodes) for layer in model._flatten_layers()],
        "own": [sorted(layer.__dict__) for layer in model._flatten_layers()],
        "built": model.built,
        "compiled": (model.compiled, id(optimizer), id(model.loss), id(getattr(model, "train_function", None))),
        "iterations": None if optimizer is None else int(optimizer.iterations),
    }


def arrays_of(model):
    optimizer = getattr(model, "optimizer", None)
    variables = [*model.variables, *(optimizer.variables if optimizer is not None else [])]
    return [keras.ops.convert_to_numpy(v).copy() for v in variables]


def unchanged(model, given):
    """Check a recipe, and prove that the model and the random generators are as before."""
    given = dict(given)
    train = given.pop("train")
    state, arrays = state_of(model), arrays_of(model)
    python, of_numpy = random.getstate(), np.random.get_state()[1].copy()
    found = tl.check_recipe(model, train, **given)
    assert state_of(model) == state and same(arrays_of(model), arrays)
    assert random.getstate() == python and np.array_equal(np.random.get_state()[1], of_numpy)
    return found


@pytest.mark.parametrize(("trap", "make"), [(trap, make) for trap, several in FAULTY.items() for make in several])
def test_a_planted_fault_is_named(trap, make):
    found = unchanged(*make())
    assert trap in set(found["trap"]), found.attrs


@pytest.mark.parametrize("make", SOUND)
def test_a_sound_recipe_raises_no_alarm(make):
    found = unchanged(*make())
    assert found.empty, tl.describe_findings(found)
    assert not [why for why in found.attrs["not_checked"].values() if "Error" in why]


def test_the_copy_answers_as_the_model_does():
    """What is tried is tried on the copy, so it must be one, whatever the model is made of."""
    seen = layers.Normalization()
    seen.adapt(PICTURES)
    pictures = keras.Input((*SIZE, 3))
    shared = layers.Conv2D(3, 3, padding="same")
    x = layers.Lambda(lambda x: x + 1)(seen(pictures) / 2.0)
    x = shared(shared(x))
    x = keras.Sequential([layers.Conv2D(8, 3), layers.BatchNormalization(), layers.ReLU()])(x)
    model = compiled(keras.Model(pictures, layers.Dense(2)(layers.Flatten()(x))))
    subject = Subject(model, PICTURES[:4])
    assert close(subject.copy(PICTURES[:4], training=False), model(PICTURES[:4], training=False))
    assert not {id(v) for v in subject.copy.variables} & {id(v) for v in model.variables}


@pytest.mark.parametrize(
    ("family", "names"),
    [
        ("VGG", ["block1_conv1", "block2_conv1"]),
        ("Xception", ["block1_conv1", "block2_sepconv1"]),
        ("ResNet", ["conv1_conv", "conv2_block1_0_bn", "conv2_block1_1_conv"]),
        ("DenseNet", ["conv1_conv", "conv2_block1_0_bn", "conv2_block1_1_conv", "conv2_block1_concat"]),
        ("ResNetV2", ["conv1_conv", "conv2_block1_1_conv", "conv2_block1_preact_bn"]),
        (None, ["conv2d", "dense"]),
    ],
)
def test_families_are_told_apart_by_their_layers(family, names):
    assert _family([SimpleNamespace(name=name) for name in names])[0] == family


def test_a_backbone_that_rescales_inside_takes_pixels():
    base = keras.applications.MobileNetV3Small(weights=None, include_top=False, input_shape=(*SIZE, 3))
    assert Subject(base, PICTURES[:2]).entry.expects == "raw"
    base = keras.applications.MobileNetV3Small(
        weights=None, include_top=False, input_shape=(*SIZE, 3), include_preprocessing=False
    )
    assert Subject(base, PICTURES[:2]).entry.expects == "tf"


def test_words_that_were_adapted_to_are_copied():
    texts = np.array([f"a film of {i % 5} hours" for i in range(40)])
    words = layers.TextVectorization(max_tokens=20, output_sequence_length=6)
    words.adapt(texts)
    inner = [words, layers.Embedding(20, 4), layers.GlobalAveragePooling1D(), layers.Dense(2, activation="softmax")]
    model = compiled(keras.Sequential([keras.Input((1,), dtype="string"), *inner]))
    found = unchanged(model, {"train": dataset(texts, np.arange(40) % 2)})
    assert found.empty and not [why for why in found.attrs["not_checked"].values() if "Error" in why]


def test_what_is_no_data_is_refused():
    model = scratch()
    with pytest.raises(ValueError, match="model must be a keras.Model. Received: str."):
        tl.check_recipe("model", TRAIN)
    with pytest.raises(ValueError, match="Received: generator: to read a generator is to use it up"):
        tl.check_recipe(model, (each for each in [TRAIN]))
    with pytest.raises(ValueError, match="train must have a label a row. Received: 32 rows, 31 labels."):
        tl.check_recipe(model, (TRAIN[0], TRAIN[1][1:]))
    with pytest.raises(ValueError, match="Splits hold val and test already"):
        tl.check_recipe(model, small_splits(), val=VAL)
    with pytest.raises(ValueError, match="call it once: model\\(x\\[:1\\]\\)"):
        tl.check_recipe(Classifier(vgg(), 2), TRAIN)


def test_all_three_parts_can_come_in_a_dict():
    found = tl.check_recipe(compiled(scratch()), {"train": TRAIN, "val": VAL, "test": VAL})
    assert list(found["trap"]) == ["test data used for validation"]


def test_the_text_holds_whole_sentences_and_what_was_not_checked():
    text = tl.describe_findings(tl.check_recipe(scratch(), TRAIN, val=(TRAIN[0][:8], TRAIN[1][:8])))
    assert "1. duplicates across splits (error)" in text and "8 of 8 rows of val stand in train too" in text
    assert "not checked: learning rate too high (the model is not compiled)" in text
    assert "not checked" not in tl.describe_findings(tl.check_recipe(scratch(), TRAIN), not_checked=False)
    assert tl.describe_findings(tl.check_recipe(compiled(scratch()), TRAIN, val=VAL, test=TRAIN)).startswith("1. ")


def test_every_check_is_small_and_says_where_it_comes_from():
    for check in CHECKS.values():
        assert "Source:" in inspect.getdoc(check)
