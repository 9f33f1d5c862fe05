"""The recipe checker on models in the styles of public notebooks, planted after it was written."""

import keras
import numpy as np
import pytest
from conftest import drawn, pixels, save
from keras import layers

import tlteach as tl

SIDE = 32
SHAPE = (SIDE, SIDE, 3)
PICTURES, LABELS = pixels(60, (SIDE, SIDE), seed=500), np.random.default_rng(3).integers(0, 2, 60)
X_TRAIN, Y_TRAIN, X_VAL, Y_VAL = PICTURES[:40], LABELS[:40], PICTURES[40:], LABELS[40:]
applications, losses, optimizers = keras.applications, keras.losses, keras.optimizers


@pytest.fixture(autouse=True)
def same_seed():
    keras.utils.set_random_seed(1)


def mobilenet(**options):
    given = {"input_shape": SHAPE, "include_top": False, "weights": None, "alpha": 0.25} | options
    return applications.MobileNet(**given)


def mobilenet_v2(**options):
    return applications.MobileNetV2(input_shape=SHAPE, include_top=False, weights=None, alpha=0.35, **options)


class Batches(keras.utils.PyDataset):
    """What replaced ImageDataGenerator in many notebooks."""

    def __init__(self, x, y, transform=None, batch_size=8, **options):
        super().__init__(**options)
        self.x, self.y, self.transform, self.batch_size = x, y, transform, batch_size
        self.order = np.random.default_rng(0).permutation(len(x))

    def __len__(self):
        return -(-len(self.x) // self.batch_size)

    def __getitem__(self, index):
        rows = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        x = self.x[rows]
        return (self.transform(x) if self.transform else x), self.y[rows]


def flipped(x):
    """Mirror some pictures."""
    turn = np.random.rand(len(x)) < 0.5
    return np.where(turn[:, None, None, None], x[:, :, ::-1], x)


def as_tf(x, y, **options):
    return keras.utils.split_dataset((x, y), left_size=len(x) - 4, **options)[0]


# Twelve planted faults, and more.


def sequential_with_a_scaled_generator():
    base = mobilenet()
    base.trainable = False
    model = keras.Sequential([base, layers.Flatten(), layers.Dense(16, activation="relu"), layers.Dropout(0.5)])
    model.add(layers.Dense(1, activation="sigmoid"))
    model.compile(optimizer="rmsprop", loss="binary_crossentropy", metrics=["acc"])
    scale = lambda x: x / 255.0  # noqa: E731
    return model, {"train": Batches(X_TRAIN, Y_TRAIN, scale), "val": Batches(X_VAL, Y_VAL, scale)}


def preprocess_of_another_network():
    base = applications.ResNet50V2(input_shape=SHAPE, include_top=False, weights=None)
    base.trainable = False
    inputs = keras.Input(SHAPE)
    x = applications.resnet50.preprocess_input(inputs)
    x = base(x, training=False)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(2, activation="softmax")(layers.Dropout(0.2)(x)))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, {"train": as_tf(X_TRAIN, Y_TRAIN).batch(8), "val": as_tf(X_VAL, Y_VAL).batch(8)}


class Pets(keras.Model):
    """A subclass that divides once more, before a network that rescales by itself."""

    def __init__(self, scale):
        super().__init__()
        self.scale = scale
        options = {"alpha": 0.75, "minimalistic": True, "include_top": False, "weights": None, "pooling": "avg"}
        self.backbone = applications.MobileNetV3Small(input_shape=SHAPE, **options)
        self.backbone.trainable = False
        self.classifier = layers.Dense(2)

    def call(self, inputs, training=None):
        x = self.backbone(inputs * self.scale, training=False)
        return self.classifier(x)


def subclass_that_divides():
    model = Pets(1 / 255)
    model.build((None, *SHAPE))
    model(X_TRAIN[:1])
    model.compile("adam", losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model, {"train": (X_TRAIN, Y_TRAIN), "val": (X_VAL, Y_VAL)}


def flat_network_unfrozen_between_two_fits():
    base = mobilenet(input_tensor=keras.Input(SHAPE), pooling="avg")
    predictions = layers.Dense(2, activation="softmax")(base.output)
    model = keras.Model(inputs=base.input, outputs=predictions)
    for layer in base.layers:
        layer.trainable = False
    model.compile(optimizers.SGD(learning_rate=1e-4, momentum=0.9), "categorical_crossentropy", metrics=["accuracy"])
    x, y = applications.mobilenet.preprocess_input(X_TRAIN.copy()), keras.utils.to_categorical(Y_TRAIN)
    model.fit(x, y, batch_size=40, epochs=1, verbose=0)
    for layer in model.layers[-20:]:
        layer.trainable = True
    return model, {"train": (x, y)}


def another_backbone_is_unfrozen(tmp_path):
    base = mobilenet()
    base.trainable = False
    model = keras.Sequential([keras.Input(SHAPE), layers.Rescaling(1 / 127.5, offset=-1), base])
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(2, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.save(tmp_path / "best.keras")
    model = keras.models.load_model(tmp_path / "best.keras")
    base.trainable = True
    model.compile(optimizers.Adam(1e-5), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, {"train": (X_TRAIN, Y_TRAIN), "val": (X_VAL, Y_VAL)}


def nested_sequential_from_a_file(tmp_path):
    base = keras.Sequential([keras.Input(SHAPE)])
    for width in (8, 16, 16):
        base.add(layers.Conv2D(width, 3, padding="same", activation="relu"))
        base.add(layers.MaxPooling2D())
    base.trainable = False
    model = keras.Sequential([keras.Input(SHAPE), layers.Rescaling(1 / 255), base, layers.Flatten(), layers.Dense(2)])
    model.save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    model.layers[1].trainable = True
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizers.Adam(3e-4), loss, metrics=["accuracy"])
    return model, {"train": (X_TRAIN, Y_TRAIN), "val": (X_VAL, Y_VAL)}


def validation_goes_through_the_same_augmentation():
    augment = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)])
    prepare = lambda x, y: (augment(x, training=True), y)  # noqa: E731
    train, val = as_tf(X_TRAIN, Y_TRAIN).batch(8).map(prepare), as_tf(X_VAL, Y_VAL).batch(8).map(prepare)
    model = keras.Sequential([keras.Input(SHAPE), layers.Rescaling(1 / 255), layers.Conv2D(8, 3, activation="relu")])
    for layer in (layers.MaxPooling2D(), layers.Flatten(), layers.Dense(2)):
        model.add(layer)
    model.compile("adam", losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model, {"train": train, "val": val}


def to_categorical_of_labels_from_one():
    y = keras.utils.to_categorical(Y_TRAIN + 1)
    model = keras.Sequential([keras.Input(SHAPE), layers.Rescaling(1 / 255), layers.Conv2D(8, 3, activation="relu")])
    for layer in (layers.GlobalMaxPooling2D(), layers.Dense(2, activation="softmax")):
        model.add(layer)
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return model, {"train": (X_TRAIN, y)}


def softmax_as_a_function_and_from_logits():
    base = mobilenet_v2()
    base.trainable = False
    inputs = keras.Input(SHAPE)
    x = layers.GlobalAveragePooling2D()(base(inputs / 127.5 - 1))
    outputs = keras.activations.softmax(layers.Dense(2)(x))
    model = keras.Model(inputs, outputs)
    model.compile("adam", losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model, {"train": (X_TRAIN, Y_TRAIN)}


def everything_trains_at_a_schedule_for_scratch():
    base = mobilenet_v2()
    inputs = keras.Input(SHAPE)
    x = base(applications.mobilenet_v2.preprocess_input(inputs), training=False)
    model = keras.Model(inputs, layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling2D()(x)))
    for layer in base.layers:
        layer.trainable = not isinstance(layer, layers.BatchNormalization)
    rate = optimizers.schedules.CosineDecay(1e-2, 1000)
    model.compile(optimizers.AdamW(rate, clipnorm=1.0), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, {"train": (X_TRAIN, Y_TRAIN)}


def small_network(*end):
    model = keras.Sequential([keras.Input(SHAPE), layers.Rescaling(1 / 255), layers.Conv2D(8, 3, activation="relu")])
    for layer in (layers.MaxPooling2D(4), layers.Flatten(), *(end or [layers.Dense(2, activation="softmax")])):
        model.add(layer)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def rare_class_repeated_before_the_split():
    rare = np.flatnonzero(LABELS)
    rows = np.random.default_rng(1).permutation(np.concatenate([np.arange(60), rare, rare]))
    x, y, cut = PICTURES[rows], LABELS[rows], len(rows) * 4 // 5
    return small_network(), {"train": (x[:cut], y[:cut]), "val": (x[cut:], y[cut:])}


def mirrored_before_the_split():
    x, y = np.concatenate([PICTURES, PICTURES[:, :, ::-1]]), np.concatenate([LABELS, LABELS])
    rows = np.random.default_rng(1).permutation(len(x))
    x, y = x[rows], y[rows]
    return small_network(), {"train": (x[:96], y[:96]), "val": (x[96:], y[96:])}


def a_folder_read_in_order(tmp_path):
    for kind, name in enumerate(("cat", "dog")):
        for i in range(20):
            save(tmp_path / name / f"{i}.png", drawn(900 + 50 * kind + i, (SIDE, SIDE)))
    read = keras.utils.image_dataset_from_directory
    train = read(tmp_path, image_size=(SIDE, SIDE), batch_size=5, shuffle=False, verbose=False)
    return small_network(), {"train": train}


class AlwaysTraining(keras.Model):
    """`training=True` written into the call, as for augmentation once and never taken out."""

    def __init__(self, training=True):
        super().__init__()
        self.always = training
        self.base = mobilenet(pooling="avg")
        self.head = layers.Dense(2, activation="softmax")

    def call(self, x, training=False):
        return self.head(self.base(applications.mobilenet.preprocess_input(x), training=self.always or training))


def batch_statistics_for_ever():
    model = AlwaysTraining()
    model(X_TRAIN[:4])
    model.compile(optimizers.Adam(1e-5), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, {"train": (X_TRAIN, Y_TRAIN)}


def one_output_and_sparse_crossentropy():
    return small_network(layers.Dense(1, activation="sigmoid")), {"train": (X_TRAIN, Y_TRAIN)}


def rare_class_and_one_hot_labels():
    rows = np.r_[np.flatnonzero(LABELS == 0), np.flatnonzero(LABELS == 1)[:4]]
    model = small_network()
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    y = keras.utils.to_categorical(LABELS[rows])
    return model, {"train": as_tf(PICTURES[rows], y, shuffle=True, seed=1).batch(8)}


def grey_pictures_doubly_scaled():
    base = applications.VGG16(input_shape=SHAPE, include_top=False, weights=None, pooling="avg")
    base.trainable = False
    x = np.repeat(X_TRAIN.mean(-1, keepdims=True), 3, -1) / 255
    inputs = keras.Input(SHAPE)
    x_in = applications.vgg16.preprocess_input(inputs)
    model = keras.Model(inputs, layers.Dense(2, activation="softmax")(base(x_in)))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, {"train": (x, Y_TRAIN)}


class WithoutTraining(keras.Model):
    """A `call` as short as it can be."""

    def __init__(self):
        super().__init__()
        self.body, self.drop = small_network(layers.Dense(8)), layers.Dropout(0.9)
        self.head = layers.Dense(2, activation="softmax")

    def call(self, x):
        return self.head(self.drop(self.body(x)))


def dropout_that_never_drops():
    model = WithoutTraining()
    model(X_TRAIN[:4])
    model.compile(optimizers.SGD(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, {"train": (X_TRAIN, Y_TRAIN)}


class Tuned(keras.Model):
    """A backbone in a subclass; whether its statistics move is decided in `call`."""

    def __init__(self, still):
        super().__init__()
        self.still, self.base, self.head = still, mobilenet(pooling="avg"), layers.Dense(2, activation="softmax")

    def call(self, x, training=False):
        return self.head(self.base(applications.mobilenet.preprocess_input(x), training=training and not self.still))


def tuned(still):
    model = Tuned(still)
    model(X_TRAIN[:4])
    model.compile(optimizers.Adam(1e-5), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, {"train": (X_TRAIN, Y_TRAIN), "fine_tuning": True}


def subclass_with_moving_statistics():
    return tuned(still=False)


def take_and_skip_after_a_shuffle():
    every = as_tf(PICTURES, LABELS, shuffle=False).shuffle(56, seed=4)
    parts = {"train": every.skip(24), "val": every.take(12), "test": every.skip(12).take(12)}
    return small_network(), {name: part.batch(8) for name, part in parts.items()}


def names_for_labels():
    return small_network(), {"train": (X_TRAIN, np.array(["cat", "dog"])[Y_TRAIN])}


def pixels_and_a_network_without_its_rescaling():
    base = keras.Sequential([keras.Input(SHAPE), layers.Conv2D(4, 3, name="stem_conv"), layers.BatchNormalization()])
    base.add(layers.Conv2D(4, 3, name="block1a_project_conv"))
    base.trainable = False
    model = keras.Sequential([keras.Input(SHAPE), base, layers.GlobalAveragePooling2D(), layers.Dense(2)])
    model.compile("adam", losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model, {"train": (X_TRAIN, Y_TRAIN)}


def weighted(weights):
    """Ten rows to one, a weight each, and a metric that counts by it."""
    rows = np.r_[np.flatnonzero(LABELS == 1)[:3], np.flatnonzero(LABELS == 0)]
    model = small_network()
    model.compile("adam", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    return model, {"train": (PICTURES[rows], LABELS[rows], np.asarray(weights, "float32")[LABELS[rows]])}


def weights_that_change_nothing():
    return weighted([1.0, 1.0])


FAULTY = {
    dropout_that_never_drops: "asleep in fit",
    subclass_with_moving_statistics: "BatchNorm moves",
    take_and_skip_after_a_shuffle: "test data in training",
    names_for_labels: "labels and loss",
    pixels_and_a_network_without_its_rescaling: "input range",
    weights_that_change_nothing: "imbalance with plain accuracy",
    sequential_with_a_scaled_generator: "input range",
    preprocess_of_another_network: "input range",
    subclass_that_divides: "input range",
    grey_pictures_doubly_scaled: "input range",
    flat_network_unfrozen_between_two_fits: "trainable changed since compile",
    another_backbone_is_unfrozen: "backbone frozen",
    nested_sequential_from_a_file: "backbone frozen",
    validation_goes_through_the_same_augmentation: "augmentation in validation",
    to_categorical_of_labels_from_one: "labels and head",
    softmax_as_a_function_and_from_logits: "softmax and from_logits",
    everything_trains_at_a_schedule_for_scratch: "learning rate too high",
    rare_class_repeated_before_the_split: "duplicates across splits",
    mirrored_before_the_split: "duplicates across splits",
    a_folder_read_in_order: "training data sorted by class",
    batch_statistics_for_ever: "batch in inference",
    one_output_and_sparse_crossentropy: "activation and loss",
    rare_class_and_one_hot_labels: "imbalance with plain accuracy",
}


# And sound ones.


def raw_pixels_before_a_network_that_rescales():
    base = applications.MobileNetV3Small(input_shape=SHAPE, include_top=False, weights=None, pooling="avg", alpha=0.75)
    base.trainable = False
    inputs = keras.Input(SHAPE)
    x = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomZoom(0.1)])(inputs)
    model = keras.Model(inputs, layers.Dense(2)(layers.Dropout(0.3)(base(x, training=False))))
    model.compile("adam", losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model, {"train": as_tf(X_TRAIN, Y_TRAIN).batch(8), "val": as_tf(X_VAL, Y_VAL).batch(8)}


def flat_network_with_still_statistics():
    base = mobilenet_v2(input_tensor=keras.Input(SHAPE), pooling="avg")
    model = keras.Model(base.input, layers.Dense(2, activation="softmax", name="out")(base.output))
    for layer in model.layers[:-20]:
        layer.trainable = False
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False
    model.compile(optimizers.Adam(1e-5), "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, v = (applications.mobilenet_v2.preprocess_input(each.copy()) for each in (X_TRAIN, X_VAL))
    return model, {"train": (x, Y_TRAIN), "val": (v, Y_VAL), "fine_tuning": True}


def generators_of_which_one_augments():
    base = mobilenet(pooling="avg")
    base.trainable = False
    model = keras.Sequential([base, layers.Dense(8, activation="relu"), layers.Dense(1, activation="sigmoid")])
    model.compile(optimizers.Adam(1e-3), "binary_crossentropy", metrics=["accuracy", keras.metrics.AUC()])
    scale = applications.mobilenet.preprocess_input
    train = Batches(X_TRAIN, Y_TRAIN, lambda x: scale(flipped(x)))
    return model, {"train": train, "val": Batches(X_VAL, Y_VAL, scale)}


def cifar_from_scratch():
    y = keras.utils.to_categorical(np.arange(60) % 10, 10)
    model = keras.Sequential([keras.Input(SHAPE)])
    for width in (8, 16):
        for _ in range(2):
            model.add(layers.Conv2D(width, 3, padding="same", activation="relu"))
            model.add(layers.BatchNormalization())
        model.add(layers.MaxPooling2D())
        model.add(layers.Dropout(0.2))
    for layer in (layers.Flatten(), layers.Dense(32, activation="relu"), layers.Dense(10, activation="softmax")):
        model.add(layer)
    model.compile(optimizers.Adam(1e-3), "categorical_crossentropy", metrics=["accuracy"])
    x = PICTURES / 255.0
    return model, {"train": (x[:40], y[:40]), "val": (x[40:], y[40:])}


def loaded_and_truly_unfrozen(tmp_path):
    base = mobilenet(pooling="avg")
    base.trainable = False
    model = keras.Sequential([keras.Input(SHAPE), layers.Rescaling(1 / 127.5, offset=-1), base])
    model.add(layers.Dense(2, activation="softmax"))
    model.save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    for layer in model.layers[1].layers:
        layer.trainable = not isinstance(layer, layers.BatchNormalization)
    model.compile(optimizers.Adam(1e-5), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, {"train": (X_TRAIN, Y_TRAIN), "val": (X_VAL, Y_VAL), "fine_tuning": True}


def age_from_a_face():
    base = mobilenet_v2(pooling="avg")
    base.trainable = False
    inputs = keras.Input(SHAPE)
    x = base(layers.Rescaling(1 / 127.5, offset=-1)(inputs), training=False)
    model = keras.Model(inputs, layers.Dense(1)(layers.Dense(16, activation="relu")(x)))
    model.compile("adam", "mse", metrics=["mae"])
    years = np.random.default_rng(0).integers(18, 90, 60).astype("float32")
    return model, {"train": (PICTURES[:40], years[:40]), "val": (PICTURES[40:], years[40:])}


def a_subclass_that_scales_rightly():
    model = Pets(1.0)
    model(X_TRAIN[:1])
    model.compile("adam", losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model, {"train": Batches(X_TRAIN, Y_TRAIN), "val": Batches(X_VAL, Y_VAL)}


def a_subclass_that_asks_whether_it_trains():
    model = AlwaysTraining(False)
    model(X_TRAIN[:4])
    model.base.trainable = False
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, {"train": (X_TRAIN, Y_TRAIN)}


def subclass_with_still_statistics():
    return tuned(still=True)


def weights_that_make_classes_even():
    return weighted([0.1, 1.0])


def weights_in_batches():
    model, given = weighted([0.1, 1.0])
    return model, {"train": as_tf(*given["train"][:2], shuffle=False).batch(8).map(_with_weights)}


def _with_weights(x, y):
    return x, y, 0.1 + 0.9 * keras.ops.cast(y, "float32")


SOUND = [
    subclass_with_still_statistics,
    weights_that_make_classes_even,
    weights_in_batches,
    raw_pixels_before_a_network_that_rescales,
    flat_network_with_still_statistics,
    generators_of_which_one_augments,
    cifar_from_scratch,
    loaded_and_truly_unfrozen,
    age_from_a_face,
    a_subclass_that_scales_rightly,
    a_subclass_that_asks_whether_it_trains,
]


def checked(make, tmp_path):
    model, given = make(tmp_path) if "tmp_path" in make.__code__.co_varnames[: make.__code__.co_argcount] else make()
    given = dict(given)
    return tl.check_recipe(model, given.pop("train"), **given)


@pytest.mark.parametrize("make", FAULTY)
def test_a_strangers_fault_is_named(make, tmp_path):
    found = checked(make, tmp_path)
    assert FAULTY[make] in set(found["trap"]), tl.describe_findings(found)
    assert not [why for why in found.attrs["not_checked"].values() if "Error" in why]


def test_the_part_that_has_another_order_is_named(tmp_path):
    for kind, name in enumerate(("cat", "dog")):
        for i in range(8):
            save(tmp_path / name / f"{i}.png", drawn(700 + 50 * kind + i, (SIDE, SIDE)))
    read = keras.utils.image_dataset_from_directory
    one = read(tmp_path, image_size=(SIDE, SIDE), verbose=False)
    other = read(tmp_path, image_size=(SIDE, SIDE), verbose=False, class_names=["dog", "cat"])
    found = tl.check_recipe(small_network(), one, val=other).set_index("trap")
    assert found["evidence"]["order of the classes"] == "train has the order ['cat', 'dog'], val has ['dog', 'cat']"


def test_the_mending_line_for_a_nested_sequential_mends(tmp_path):
    model, given = nested_sequential_from_a_file(tmp_path)
    backbone, (mend,) = model.layers[1], tl.check_recipe(model, given["train"])["mend"]
    assert mend.startswith("backbone.trainable = False; backbone.trainable = True  #")
    exec(mend.split("#")[0], {"backbone": backbone})
    assert len(model.trainable_variables) == 8


def test_a_model_that_cannot_be_copied_is_as_before_though_it_moves_in_inference():
    model, given = batch_statistics_for_ever()
    before = [keras.ops.convert_to_numpy(v).copy() for v in model.variables]
    tl.check_recipe(model, given["train"])
    after = [keras.ops.convert_to_numpy(v) for v in model.variables]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("make", SOUND)
def test_a_strangers_sound_recipe_raises_no_alarm(make, tmp_path):
    found = checked(make, tmp_path)
    assert found.empty, tl.describe_findings(found)
    assert not [why for why in found.attrs["not_checked"].values() if "Error" in why]


def test_fit_lets_a_layer_sleep_where_call_has_no_training():
    model, given = dropout_that_never_drops()
    model.compile(optimizers.SGD(0.0), "sparse_categorical_crossentropy")
    x, y = given["train"]
    measured = model.evaluate(x, y, batch_size=40, verbose=0, return_dict=True)["loss"]
    assert model.fit(x, y, batch_size=40, verbose=0).history["loss"] == pytest.approx([measured], rel=1e-5)


def test_a_subclass_is_tried_itself_and_is_as_before():
    model, given = subclass_with_moving_statistics()
    before = [keras.ops.convert_to_numpy(v).copy() for v in model.variables]
    found = tl.check_recipe(model, given["train"], fine_tuning=True).set_index("trap")
    assert "of the backbone move in fit (one batch: by up to" in found["evidence"]["BatchNorm moves"]
    after = [keras.ops.convert_to_numpy(v) for v in model.variables]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_split_that_is_drawn_anew_is_no_augmentation():
    model, _ = take_and_skip_after_a_shuffle()
    found = checked(take_and_skip_after_a_shuffle, None)
    assert set(found["trap"]) == {"test data in training", "duplicates across splits"}
    assert all("drawn anew at each reading" in each for each in found["evidence"])
    assert all("reshuffle_each_iteration=False" in each for each in found["mend"])
    every = as_tf(PICTURES, LABELS, shuffle=False).shuffle(56, seed=0, reshuffle_each_iteration=False)
    mended = {"val": every.take(12).batch(8), "test": every.skip(12).take(12).batch(8)}
    assert tl.check_recipe(model, every.skip(24).batch(8), **mended).empty


def test_the_colours_of_more_pictures_than_are_run_tell_their_order():
    rng = np.random.default_rng(0)
    warm = np.array([20.0, 0, 0]) + rng.normal(0, 12, (60, 3)) * [1, 0, 1]
    x = applications.mobilenet.preprocess_input(np.clip(0.5 * PICTURES + 60 + warm[:, None, None], 0, 255))
    sampled = warm[np.linspace(0, 59, 16).round().astype(int)]
    base = mobilenet()
    base.trainable = False
    model = keras.Sequential([keras.Input(SHAPE), base, layers.GlobalAveragePooling2D(), layers.Dense(2)])
    found = tl.check_recipe(model, (x[..., ::-1].copy(), LABELS))
    assert list(found["trap"]) == ["channel order"] and list(found["severity"]) == ["hint"]
    assert len(sampled) == 16 and tl.check_recipe(model, (x, LABELS)).empty
