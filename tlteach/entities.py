"""Named entities: a label for each word, carried by the word's first piece, and judged by whole entities."""

import re
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from tlteach._assets import shipped
from tlteach._stages import tensor_of
from tlteach.features import ends_of
from tlteach.freezing import freeze_batchnorm
from tlteach.heads import _head_on

MASKED = -1  # stands where no label is learned or asked for
_ENTITY = re.compile(r"\[([^\]]+)\]\(([A-Z]+)\)")
_WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]+")


def load_entities(path=None):
    """Read sentences whose entities are marked, `[Clara](PER) left [Lyon](LOC).`, as words with BIO labels.

    B- begins an entity, I- goes on with it, O stands outside. Runs of letters and digits are
    words (a contraction is one), and so are runs of other signs.

    Args:
        path: Text file in UTF-8, a line a sentence, which may begin with its split and a tab; the sentences
            that ship with the package if `None`.

    Returns:
        `pandas.DataFrame`, a row a sentence: split, words, labels (two lists of one length).

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If a line has no words.

    Example:
        >>> import tlteach as tl
        >>> sentence = tl.load_entities().iloc[0]
        >>> list(zip(sentence.words, sentence.labels))[:3]
        [('Marta', 'B-PER'), ('Lindqvist', 'I-PER'), ('missed', 'O')]

    Reference:
        Tjong Kim Sang and De Meulder 2003, Introduction to the CoNLL-2003 shared task; lesson 07.
    """
    path = shipped("datasets", "named_entities", "mini") / "sentences.txt" if path is None else Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"the sentences must be an existing file. Received: {path}.")
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    rows = [_sentence(*line.split("\t", 1)) if "\t" in line else _sentence("train", line) for line in lines]
    return pd.DataFrame(rows, columns=["split", "words", "labels"])


def _sentence(split, text):
    words, labels, end = [], [], 0
    for found in [*_ENTITY.finditer(text), None]:
        between = _WORD.findall(text[end : found.start() if found else None])
        words, labels = words + between, labels + ["O"] * len(between)
        if found:
            own = _WORD.findall(found[1])
            words, labels = words + own, labels + [f"{'I' if i else 'B'}-{found[2]}" for i in range(len(own))]
            end = found.end()
    if not words:
        raise ValueError(f"a sentence must have words. Received: {text!r}.")
    return split, words, labels


def align_labels(tokenizer, words, *, labels=None, classes=()):
    """Cut sentences of words into pieces, and put each word's label on its first piece.

    The other pieces of a word, the two marks and what comes after the end are masked: a word is
    learned and asked for once, however finely it is cut. What a sentence has beyond the tokenizer's
    length is cut off, and its words have no place.

    Args:
        tokenizer: `Tokenizer`, such as `backbone.tokenizer`.
        words: List of sentences, each a list of words.
        labels: List of sentences, each a list of as many labels; `None` where there are none yet.
        classes: Names of the labels; an index is what the target holds.

    Returns:
        `(tokens, targets, places)`: tokens `(n, length)` int32, -1 after a sentence's end; targets `(n, length)`
        int32, -1 where masked; and for each sentence the place of each word's first piece, -1 if it has none.

    Raises:
        ValueError: If a sentence has not as many labels as words, or a label is none of the classes.

    Example:
        >>> import tlteach as tl
        >>> cut = tl.load_backbone("bert", "mini").tokenizer
        >>> tokens, targets, places = tl.align_labels(
        ...     cut, [["Thermostat", "Ltd"]], labels=[["B", "I"]], classes=["O", "B", "I"]
        ... )
        >>> targets.tolist(), places
        ([[-1, 1, -1, -1, -1, -1, 2, -1, -1, -1]], [[1, 6]])

    Reference:
        Devlin et al. 2019, BERT (section 5.3: the first piece of a word is its label's).
    """
    rows, places = zip(*(_pieces(tokenizer, sentence) for sentence in words), strict=True)
    tokens = np.full((len(rows), max(map(len, rows))), MASKED, "int32")
    targets = tokens.copy()
    for i, row in enumerate(rows):
        tokens[i, : len(row)] = row
        if labels is not None:
            _check(words[i], labels[i], classes)
            for place, label in zip(places[i], labels[i], strict=True):
                if place >= 0:
                    targets[i, place] = classes.index(label)
    return tokens, targets, list(places)


def _pieces(tokenizer, words):
    cutter, row, places = tokenizer.cutter, [tokenizer.cutter.start_token_id], []
    for word in words:
        own = np.asarray(cutter(word)).astype("int32").reshape(-1).tolist()
        fits = own and len(row) + len(own) < tokenizer.length
        places.append(len(row) if fits else MASKED)
        if own and not fits:
            return [*row, cutter.end_token_id], places + [MASKED] * (len(words) - len(places))
        row += own
    return [*row, cutter.end_token_id], places


def _check(words, labels, classes):
    if len(words) != len(labels):
        raise ValueError(f"each word needs a label. Received: {len(words)} words and {len(labels)} labels.")
    unknown = [label for label in labels if label not in classes]
    if unknown:
        raise ValueError(f"a label must be one of {', '.join(classes) or 'classes='}. Received: {unknown[0]!r}.")


def attach_token_head(backbone, head, *, layer=None):
    """Put a head on each position of a language backbone: one flat model from word pieces to labels.

    Args:
        backbone: A `Backbone` that takes texts. The model shares its layers.
        head: A number of classes for a new random linear head, or a probe from `linear_probe` on
            features of word pieces, which is copied.
        layer: Stage that the head stands on; the last if `None`.

    Returns:
        A plain `keras.Model` from word pieces `(batch, length)` to probabilities `(batch, length, classes)`, with
        the backbone's `tokenizer`. Train it with `fit`, weighing masked places with 0.

    Raises:
        ValueError: If the backbone takes no texts, or the head does not fit.

    Example:
        >>> import tlteach as tl
        >>> tl.attach_token_head(tl.load_backbone("bert", "mini"), 7).output_shape
        (None, None, 7)

    Reference:
        Lesson 07.
    """
    if backbone.tokenizer is None:
        raise ValueError(f"a token head needs a language backbone, such as 'bert'. Received: {backbone.name!r}.")
    (end,) = ends_of(backbone, layer)
    x = tensor_of(backbone.model, end)  # (batch, length, width)
    model = keras.Model(backbone.model.input, _head_on(x, head), name=f"{backbone.name}_tagger")
    freeze_batchnorm(model)
    model.tokenizer = backbone.tokenizer
    return model


def entities_of(labels):
    """Return a sentence's entities as a set of `(type, first word, word after the last)`.

    A stray I-, without one of its type before it, begins an entity, as CoNLL's own count has it.

    Args:
        labels: BIO labels of the sentence's words.

    Example:
        >>> from tlteach.entities import entities_of
        >>> sorted(entities_of(["B-PER", "I-PER", "O", "I-LOC", "B-LOC"]))
        [('LOC', 3, 4), ('LOC', 4, 5), ('PER', 0, 2)]
    """
    found, kind, first = set(), None, 0
    for place, label in enumerate([*labels, "O"]):
        begins, _, own = label.partition("-")
        if kind and (begins != "I" or own != kind):
            found.add((kind, first, place))
            kind = None
        if begins in ("B", "I") and kind is None:
            kind, first = own, place
    return found


def entity_f1(true, predicted):
    """Judge whole entities: one counts as found if its type, its first and its last word are right.

    Most words are outside of any entity, so a share of words that are right flatters; and half a name
    is no name.

    Args:
        true: List of sentences, each a list of BIO labels.
        predicted: The same, of a model.

    Returns:
        `pandas.DataFrame`, a row a type and one for `all`: precision, recall, f1, n (true entities). 0 where
        nothing was found; F1 is NaN where there was nothing to find and nothing was found.

    Raises:
        ValueError: If the sentences differ in number or length.

    Example:
        >>> import tlteach as tl
        >>> tl.entity_f1([["B-PER", "I-PER", "O"]], [["B-PER", "O", "O"]]).loc["all", "f1"]
        np.float64(0.0)

    Reference:
        Tjong Kim Sang and De Meulder 2003, CoNLL-2003.
    """
    if [len(s) for s in true] != [len(s) for s in predicted]:
        raise ValueError("true and predicted must be the same sentences, word by word. Received: others.")
    told = {(i, *each) for i, labels in enumerate(true) for each in entities_of(labels)}
    said = {(i, *each) for i, labels in enumerate(predicted) for each in entities_of(labels)}
    kinds = sorted({each[1] for each in told | said})
    counts = {kind: [{e for e in some if e[1] == kind} for some in (told, said)] for kind in kinds}
    counts["all"] = [told, said]
    return pd.DataFrame({kind: _measured(*some) for kind, some in counts.items()}).T.astype({"n": int})


def _measured(told, said):
    hits = len(told & said)
    precision, recall = (hits / len(some) if some else 0.0 for some in (said, told))
    f1 = 2 * hits / (len(told) + len(said)) if told or said else np.nan
    return {"precision": precision, "recall": recall, "f1": f1, "n": len(told)}
