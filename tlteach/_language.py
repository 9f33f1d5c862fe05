"""Language backbones: KerasHub's encoders as flat models from word pieces, whose layers are stages."""

import json
import re
from pathlib import Path

import keras
import numpy as np

from tlteach._assets import weights_file
from tlteach._pooling import named, there
from tlteach._presets import placed_preset, preset_files
from tlteach._tokens import Tokenizer, keras_hub

MINI = "bert"
FULL = "bert_base_en_uncased"  # what `bert` is in full size
LENGTH = 256  # word pieces of a text that are looked at, where the backbone knows so many
_PRESET = re.compile(r"^(?:hf://|kaggle://|(?:bert|roberta|distil_bert|gpt2)_)")
_FAMILIES = ("BertBackbone", "RobertaBackbone", "DistilBertBackbone", "GPT2Backbone")
_ARRANGED = "a folder with config.json: a KerasHub preset, or the Hugging Face layout (model.safetensors, vocab.txt)"


def is_language(name):
    """Whether a name is that of a language backbone: the mini, a preset, or a folder.

    Args:
        name: What `load_backbone` was given.
    """
    text = str(name)
    return text.lower() == MINI or bool(_PRESET.match(text)) or Path(text).expanduser().is_dir()


def load(name, size, *, weights, length):
    """Return `(model, source)`: a flat model that carries its tokenizer, and where its weights came from.

    Args:
        name: As in `load_backbone`.
        size: `"mini"` or `"full"`.
        weights: `"default"`, `None` for random ones, or a weights file.
        length: Word pieces a text has at most; `LENGTH` if `None`.
    """
    mini = str(name).lower() == MINI
    if mini and size == "mini":
        plain, cutter, source = _mini(weights)
    else:
        plain, cutter, source = _preset(FULL if mini else name, weights)
    model = flatten(plain)
    model.tokenizer = Tokenizer(cutter, _length(plain, length))
    return model, source


def _length(plain, wanted):
    longest = plain.max_sequence_length
    wanted = min(LENGTH, longest) if wanted is None else int(np.ravel(wanted)[0])
    if not 3 <= wanted <= longest:
        raise ValueError(f"input_size of a text must be 3 to {longest} word pieces. Received: {wanted}.")
    return wanted


def _mini(weights):
    hub, path = keras_hub(), weights_file(MINI)
    card = json.loads(path.with_name("bert_mini.json").read_text(encoding="utf-8"))
    plain = hub.models.BertBackbone(**card["config"], name=MINI)
    words = path.with_name("bert_mini.vocab.txt").read_text(encoding="utf-8").split("\n")[:-1]
    cutter = hub.tokenizers.BertTokenizer(words, lowercase=True, strip_accents=True)
    if weights is None:
        return plain, cutter, "random"
    _load_file(plain, path if weights == "default" else weights)
    return plain, cutter, "film reviews without labels, shipped" if weights == "default" else str(weights)


def _load_file(plain, path):
    if not Path(path).expanduser().is_file():
        raise ValueError(f"weights must be 'default', None or an existing file. Received: {str(path)!r}.")
    try:
        plain.load_weights(Path(path).expanduser())
    except Exception as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise ValueError(f"the weights must be those of {plain.name}. Received: {path} ({reason}).") from error


def _preset(name, weights):
    """KerasHub's own loader: it reads presets by name, and folders in its layout and in that of Hugging Face."""
    hub, folder = keras_hub(), Path(str(name)).expanduser()
    if not folder.is_dir():
        folder = placed_preset(str(name)) or folder  # what a bundle has put in place needs no network
    place = str(folder) if folder.is_dir() else str(name)
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise ValueError(f"a language backbone is {_ARRANGED}. Received: {name}, a folder without one.")
    try:
        plain = hub.models.Backbone.from_preset(place, load_weights=weights is not None)
        cutter = _cutter(hub, place, type(plain).__name__)
    except Exception as error:
        raise _told(error, place, folder) from error
    if type(plain).__name__ not in _FAMILIES:
        raise ValueError(f"a language backbone is one of {', '.join(_FAMILIES)}. Received: {type(plain).__name__}.")
    if weights not in ("default", None):
        _load_file(plain, weights)
    return plain, cutter, "random" if weights is None else place


def _cutter(hub, place, kind):
    """The tokenizer; of a Hugging Face folder without `tokenizer_config.json`, what its vocabulary says it is."""
    folder = Path(place)
    bare = (folder / "vocab.txt").is_file() and not (folder / "tokenizer_config.json").is_file()
    if not bare or (folder / "tokenizer.json").is_dir():
        return hub.tokenizers.Tokenizer.from_preset(place)
    words = (folder / "vocab.txt").read_text(encoding="utf-8").rstrip("\n").split("\n")
    cased = any(word.isascii() and word.isalpha() and word[0].isupper() for word in words)
    return getattr(hub.tokenizers, kind.replace("Backbone", "Tokenizer"))(words, lowercase=not cased)


def _told(error, name, folder):
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    if isinstance(error, ImportError):
        return ImportError(f"{name} needs more than is installed: pip install 'tlteach[text]'. Received: {reason}")
    if folder.is_dir():
        return ValueError(f"a language backbone is {_ARRANGED}. Received: {name}, which cannot be read ({reason}).")
    way = "Bring it in a bundle (tlteach prefetch)" if preset_files(name) else "Download its folder by hand"
    return OSError(
        f"the preset {name} could not be fetched ({reason}). {way}, or give the path of its folder; "
        f"the mini size ({MINI}) needs no download."
    )


def flatten(plain):
    """Make one flat graph from word pieces to their features, with a stage for the embeddings and for each layer.

    Where a text has ended, each stage's features are set to zero. That is how the next one, and
    pooling, know where it ended: only one tensor stands between two stages, and it can be kept.

    Args:
        plain: A KerasHub backbone, whose layers the model shares.

    Returns:
        A `keras.Model` from `(batch, length)` int32, -1 where there is no word piece, to
        `(batch, length, width)`.
    """
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    known = named(keras.ops.greater_equal(tokens, 0), "tokens_known")  # (batch, length)
    x = _embed(plain, named(keras.ops.maximum(tokens, 0), "tokens_numbers"))
    x = _only(x, known, "embeddings")
    mask_is = "decoder_padding_mask" if type(plain).__name__.startswith("GPT2") else "padding_mask"
    for number, layer in enumerate(plain.transformer_layers):
        known = there(x, f"layer_{number}")
        x = layer(x, **{mask_is: known})
        if number == len(plain.transformer_layers) - 1 and hasattr(plain, "layer_norm"):
            x = plain.layer_norm(x)  # GPT-2
        x = _only(x, known, f"layer_{number}")
    return keras.Model(tokens, x, name=re.sub(r"\W", "_", plain.name))


def _embed(plain, numbers):
    if hasattr(plain, "embeddings"):  # RoBERTa, DistilBERT
        x = plain.embeddings(numbers)
    else:
        x = plain.token_embedding(numbers)
        parts = [x, plain.position_embedding(x)]
        if hasattr(plain, "segment_embedding"):
            none = named(keras.ops.zeros_like(numbers), "tokens_segments")
            parts.append(plain.segment_embedding(none))
        x = plain.embeddings_add(parts)
    for name in ("embeddings_layer_norm", "embeddings_dropout"):
        x = getattr(plain, name)(x) if hasattr(plain, name) else x
    return x


def _only(x, known, stage):
    share = named(keras.ops.cast(known, x.dtype), f"{stage}_share")
    share = named(keras.ops.expand_dims(share, -1), f"{stage}_shares")
    return named(keras.ops.multiply(x, share), f"{stage}_features")
