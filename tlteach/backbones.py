"""Backbones: pretrained networks that take raw pixels, or texts' word pieces, and whose stages have names."""

import contextlib
import csv
import os
import re
import sys
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import keras

from tlteach import _language
from tlteach._assets import check_size, default_size, shared_dir, weights_file
from tlteach._meant import meant
from tlteach._preprocessing import flatten
from tlteach._random import nothing_drawn
from tlteach._sources import all_sources
from tlteach._stages import find_stages
from tlteach._width import scale_width

MINI_WIDTH = 0.25
MINI_INPUT = (64, 64)
MINIS = ("vgg16", "resnet50")
SPEECH = "speech"  # weights of a mini that learned spoken words from spectrograms
SPEECH_ON = "resnet50"

_SHIPPED = {"default": "photographs of 191 classes, shipped", SPEECH: "spectrograms of 254 spoken words, shipped"}

# Files that Keras keeps under another name than the one it fetches.
_FILED_AS = {f"NASNet-{size}-no-top.h5": f"nasnet_{size}_no_top.h5" for size in ("mobile", "large")}


@dataclass(frozen=True, eq=False)
class Backbone:
    """A pretrained network without its head, with its own preprocessing and named stages.

    Attributes:
        name: Lower-case name, such as `"resnet50"`.
        size: `"mini"` or `"full"`.
        model: A flat `keras.Model` from raw pixels `(batch, any height, any width, 3)`
            in 0..255 to the last feature map; of a language backbone from word pieces
            `(batch, length)` to their features `(batch, length, width)`.
        input_size: `(height, width)` to which the model resizes what it is given; of a
            language backbone `(length,)`: the word pieces of a text it looks at.
        weights: Where the weights came from, in words.
    """

    name: str
    size: str
    model: keras.Model = field(repr=False)
    input_size: tuple
    weights: str

    @cached_property
    def stages(self):
        """Dict from stage name to the names of its operations, input first."""
        return find_stages(self.model)

    @property
    def tokenizer(self):
        """What cuts texts into word pieces, a `Tokenizer`; `None` where the backbone takes pictures."""
        return getattr(self.model, "tokenizer", None)

    def output_of(self, stage):
        """Return the name of the operation that ends a stage.

        Raises:
            ValueError: If there is no such stage.
        """
        self.check_stage(stage)
        return self.stages[stage][-1]

    def check_stage(self, stage):
        """Return the stage's name, or say which ones there are."""
        if stage not in self.stages:
            raise ValueError(f"stage must be one of {', '.join(self.stages)}. Received: {stage!r}.")
        return stage


def load_backbone(name, size=None, *, weights="default", input_size=None, **options):
    """Load a pretrained backbone with its preprocessing inside.

    The model takes raw pixels in 0..255 of any height and width: resizing and
    the family's own preprocessing are part of it, so they cannot be forgotten
    or done twice. BatchNorm layers start frozen and stay so (see `freezing`).

    Language backbones (KerasHub; `pip install tlteach[text]`) take word pieces in
    place of pixels, and have a `tokenizer` that makes them of texts: the lessons'
    data and those of `from_table` are cut by it wherever they meet the backbone.
    Their stages are `embeddings`, `layer_0`, `layer_1` and so on.

    Args:
        name: One of `list_backbones()`, such as `"vgg16"`; `"speech"`, which is `"resnet50"` with
            `weights="speech"`; or `"bert"`; a KerasHub preset of BERT, RoBERTa, DistilBERT or
            GPT-2, such as `"bert_tiny_en_uncased"`; or a folder with such a preset, or in the
            Hugging Face layout (config.json, model.safetensors, vocab.txt).
        size: `"mini"` (ships with the package: vgg16, resnet50 and bert) or `"full"`
            (Keras Applications). By default what `TLTEACH_SIZE` says, or mini;
            full where no mini exists or other weights are asked for.
        weights: `"default"` (the shipped ones in mini, ImageNet in full),
            `"imagenet"`, `"speech"` (resnet50 in mini size, trained on spectrograms of
            spoken words), the path of a weights file without top, or `None` for
            random weights: the twin to compare with.
        input_size: `(height, width)` in pixels; 64 x 64 in mini, the
            application's own size in full. Of a language backbone the word pieces of a
            text that it looks at, a number: 256 where it knows so many.
        **options: Passed to the Keras application, such as `alpha=0.25`.

    Returns:
        A `Backbone`.

    Side effects:
        None on random numbers, unless the weights are random: what is drawn after it does not depend on it.

    Raises:
        ValueError: For an unknown name, size or weights that do not fit.
        OSError: If ImageNet weights, or a preset, can neither be found nor fetched.
        ImportError: For a language backbone without KerasHub.

    Example:
        >>> import tlteach as tl
        >>> vgg = tl.load_backbone("vgg16", "mini")
        >>> list(vgg.stages)
        ['block1', 'block2', 'block3', 'block4', 'block5']

    Reference:
        Lesson 01; https://keras.io/api/applications
    """
    with contextlib.nullcontext() if weights is None else nothing_drawn():
        if takes_texts(name):
            return _load_language(name, size, weights, input_size, options)
        return _load_pictures(*_source(name, weights), size, input_size, options)


def _load_pictures(name, weights, size, input_size, options):
    row = _row(name)
    size = _choose_size(row["name"], size, weights)
    if size == "full":
        plain, source, default = _full(row, weights, input_size, options)
        input_size = tuple(input_size or default)
        return Backbone(row["name"], size, flatten(plain, row["preprocessing"], input_size), input_size, source)
    _check_mini(weights, options)
    input_size = tuple(input_size or MINI_INPUT)
    model, source = (_copied if weights in _SHIPPED else _mini)(row["name"], weights, input_size)
    return Backbone(row["name"], size, model, input_size, source)


def takes_texts(name):
    """Whether `load_backbone` gives a language backbone of this name (a folder called as one of pictures is none).

    Args:
        name: As in `load_backbone`.
    """
    return str(name).lower() not in (*_table(), SPEECH) and _language.is_language(name)


def _load_language(name, size, weights, length, options):
    """A language backbone; only `bert` has two sizes."""
    if options:
        raise ValueError(f"a language backbone takes no further options. Received: {sorted(options)}.")
    mini = str(name).lower() == _language.MINI
    if size == "mini" and not mini:
        raise ValueError(f"of language backbones bert has a mini size. Received: {name!r}; load it with size='full'.")
    size = check_size(size or default_size()) if mini else "full"
    model, source = _language.load(name, size, weights=weights, length=length)
    own = Path(str(name)).expanduser().name.lower()
    return Backbone(own, size, model, (model.tokenizer.length,), source)


def default_input_size(name, size=None, *, weights="default"):
    """Return the `(height, width)` in pixels that `load_backbone` would choose.

    Args:
        name, size, weights: As in `load_backbone`.
    """
    name, weights = _source(name, weights)
    row = _row(name)
    return MINI_INPUT if _choose_size(row["name"], size, weights) == "mini" else (int(row["input_size"]),) * 2


def list_backbones():
    """List the backbones of pictures that can be loaded, a row each (of texts: see `load_backbone`).

    Returns:
        `pandas.DataFrame` with name, parameters (without head), input size,
        preprocessing, stages, `uncut` (stages that several tensors enter, so that
        `fine_tune` trains the whole model where they are the first to move), where
        the weights come from, and whether a mini exists.

    Example:
        >>> import tlteach as tl
        >>> tl.list_backbones().set_index("name").loc["vgg16", "stages"]
        'block1 block2 block3 block4 block5'
    """
    import pandas as pd

    table = pd.DataFrame(_table().values()).astype({"parameters": int, "input_size": int})
    table["mini"] = table["name"].isin(MINIS)
    return table.drop(columns="application")


@lru_cache
def _table():
    with open(Path(__file__).parent / "backbones.csv", newline="", encoding="utf-8") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def _row(name):
    key = str(name).lower()
    if key not in _table():
        asked = meant(name, [*_table(), SPEECH, _language.MINI])
        raise ValueError(
            f"name must be one of {', '.join(_table())}; or bert, a preset of a language backbone such as "
            f"bert_tiny_en_uncased, or its folder. Received: {name!r}.{asked}"
        )
    return _table()[key]


def _source(name, weights):
    """Return name and weights, with the source `speech` told by the weights, as all others are."""
    if str(name).lower() == SPEECH:
        return SPEECH_ON, SPEECH if weights == "default" else weights
    if weights == SPEECH and str(name).lower() != SPEECH_ON:
        raise ValueError(f"speech is a source of {SPEECH_ON} in mini size. Received: {name!r}.")
    return name, weights


def _choose_size(name, size, weights):
    if weights == SPEECH:
        if size not in (None, "mini"):
            raise ValueError(f"the source speech exists in mini size. Received: size={size!r}.")
        return "mini"
    if size is not None:
        check_size(size)
        if size == "mini" and name not in MINIS:
            raise ValueError(
                f"the mini size exists for {' and '.join(MINIS)}. Received: {name!r}; load it with size='full'."
            )
        return size
    if name not in MINIS or weights not in ("default", None):
        return "full"
    return default_size()


def _check_mini(weights, options):
    if options:
        raise ValueError(f"a mini backbone takes no further options. Received: {sorted(options)}.")
    if weights == "imagenet":
        raise ValueError("ImageNet weights belong to the full size. Received: size='mini', weights='imagenet'.")


def _mini(name, weights, input_size):
    """The application, narrowed, with random weights or those of a file."""
    row = _table()[name]
    application = getattr(keras.applications, row["application"])
    wide = application(weights=None, include_top=False, input_shape=(*input_size, 3))
    plain, source = scale_width(wide, MINI_WIDTH), "random"
    if weights is not None:
        path = _existing(weights)
        _load(plain, path)
        source = str(path)
    return flatten(plain, row["preprocessing"], input_size), source


def _copied(name, weights, input_size):
    """A copy of a mini with the project's own weights: to build it anew takes four times as long."""
    settings = keras.config.dtype_policy().name, keras.config.floatx(), keras.config.image_data_format()
    kept = _kept(name, weights_file(name, None if weights == "default" else weights), input_size, settings)
    model = keras.models.clone_model(kept)
    model.set_weights(kept.get_weights())
    return model, _SHIPPED[weights]


@lru_cache(maxsize=8)
def _kept(name, path, input_size, settings):
    """Build a mini, which is never given away: whoever gets a backbone may train it. The settings are Keras' own."""
    return _mini(name, path, input_size)[0]


def _full(row, weights, input_size, options):
    """The Keras application itself."""
    application = getattr(keras.applications, row["application"])
    default = (int(row["input_size"]),) * 2
    build = {"include_top": False, "input_shape": (*(input_size or default), 3), **options}
    if weights in ("default", "imagenet") and not options and (shared := _shared_weights(row["name"])):
        weights = shared
    if weights in ("default", "imagenet"):
        return _with_imagenet(application, build, row["name"]), "imagenet", default
    model = application(weights=None, **build)
    if weights is None:
        return model, "random", default
    _load(model, _existing(weights))
    return model, str(weights), default


def _shared_weights(name):
    """The path of ImageNet weights in a folder that many share, or `None`; Keras itself reads none it cannot write."""
    files = [s.file for s in all_sources() if (s.name, s.kind) == (name, "weights")] if shared_dir() else []
    return next((path for path in (shared_dir() / "models" / file for file in files) if path.is_file()), None)


def _existing(weights):
    path = Path(weights).expanduser()
    if not path.is_file():
        raise ValueError(
            f"weights must be 'default', 'imagenet', None or an existing file. Received: {str(weights)!r}."
        )
    return path


def _load(model, path):
    try:
        model.load_weights(path)
    except Exception as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise ValueError(
            f"the weights must be those of {model.name} without its top ('notop'). Received: {path}, which does not fit"
            f" ({reason}). A narrower variant needs its options too, such as alpha=0.25."
        ) from error


def _with_imagenet(application, build, name):
    try:
        return application(weights="imagenet", **build)
    except Exception as error:
        url = re.search(r"https?://\S+", str(error))
        if "fetch" not in str(error) or not url:
            raise
        file = url[0].rstrip(":,.").rsplit("/", 1)[-1]
        home = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
        kept = home / "models" / _FILED_AS.get(file, file)
        raise OSError(
            f"the ImageNet weights of {name} could not be fetched: wanted {file} from {url[0].rstrip(':,.')}. "
            f"Put that file by hand at {kept}, or give its path as weights=. "
            f"The mini size ({', '.join(MINIS)}) needs no download."
        ) from error


def application_preprocess(name):
    """Return the `preprocess_input` that Keras itself offers for a backbone, to compare with."""
    application = getattr(keras.applications, _row(name)["application"])
    return sys.modules[application.__module__].preprocess_input
