"""Occlusion: which words of a text mattered to a model, seen by leaving them out one after another."""

import re

import keras
import numpy as np
import pandas as pd

_AT_ONCE = 64  # texts that go through a model together
_LEAST = 1e-7  # a probability's distance from 0 and 1, so that its logit is finite


def word_evidence(model, text, *, target=None, span=1):
    """Leave out each word of a text in turn, and tell how much evidence for a class goes with it.

    Evidence is the logit of the class, log(p / (1 - p)), and a word's evidence is the logit of the
    whole text less that of the text without it. For a linear model on counted words that is the word's
    weight, exactly; for others it tells what this one change does. Words that say the same hide each
    other (each can be missed), and a word that turns another around ("not") shows only beside it:
    look at pairs with `span=2`. It tells what the model used, not what is true.

    Args:
        model: A `keras.Model` with a `tokenizer`, such as `attach_head` gives of a language backbone; or any
            function from a list of texts to probabilities `(texts, classes)`, such as the
            `predict_proba` of scikit-learn.
        text: The text; what stands between blanks is a word.
        target: Number of the class; the predicted one if `None`.
        span: How many neighbouring words are left out together, 1 or more.

    Returns:
        `pandas.DataFrame`, a row a place: word (or words), start (its place in the text), evidence
        (in logits, negative where the word speaks against the class) and probability (of the class,
        without it). `attrs` hold the target and the probability of the whole text.

    Raises:
        ValueError: If the text has too few words, there is no such class, or the model takes no texts.

    Example:
        >>> import numpy as np, tlteach as tl
        >>> def finds_good(texts):
        ...     p = np.array([0.9 if "good" in text else 0.5 for text in texts])
        ...     return np.stack([1 - p, p], 1)
        >>> tl.word_evidence(finds_good, "A good film.")[["word", "evidence"]].round(1)
            word  evidence
        0      A       0.0
        1   good       2.2
        2  film.       0.0

    Reference:
        Zeiler and Fergus 2014, Visualizing and understanding convolutional networks; Li et al. 2016,
        Understanding neural networks through representation erasure; lesson 06.
    """
    words = _words(text, span)
    texts = [text, *(_without(text, words[i : i + span]) for i in range(len(words) - span + 1))]
    p = _probabilities(model, texts)  # (texts, classes)
    target = _target(target, p)
    logit = _logit(p[:, target])
    parts = [words[i : i + span] for i in range(len(words) - span + 1)]
    table = pd.DataFrame(
        {
            "word": [text[part[0][0] : part[-1][1]] for part in parts],
            "start": [part[0][0] for part in parts],
            "evidence": logit[0] - logit[1:],
            "probability": p[1:, target],
        }
    )
    table.attrs.update(target=target, probability=float(p[0, target]))
    return table


def _words(text, span):
    """Return `(start, end)` of each word."""
    if not isinstance(text, str):
        raise ValueError(f"text must be one text. Received: {type(text).__name__}.")
    words = [found.span() for found in re.finditer(r"\S+", text)]
    if span < 1 or len(words) < span:
        raise ValueError(
            f"the text must have as many words as are left out together, 1 or more. "
            f"Received: {len(words)} words, span={span}."
        )
    return words


def _without(text, words):
    before, after = text[: words[0][0]], text[words[-1][1] :]
    return (before + after.lstrip()).strip()


def _probabilities(model, texts):
    cut = getattr(model, "tokenizer", None)
    if isinstance(model, keras.Model) and cut is None:
        raise ValueError(
            "word_evidence needs a model that takes texts: a Keras model with a `tokenizer`, or a function from texts "
            f"to probabilities. Received: {model.name!r} without one; set model.tokenizer = backbone.tokenizer."
        )
    give = model if cut is None else lambda some: keras.ops.convert_to_numpy(model(cut(some), training=False))
    starts = range(0, len(texts), _AT_ONCE)
    return np.concatenate([np.asarray(give(texts[i : i + _AT_ONCE]), "float64") for i in starts])


def _target(target, p):
    if target is None:
        return int(p[0].argmax())
    if target not in range(p.shape[1]):
        raise ValueError(f"target must be a class, 0 to {p.shape[1] - 1}. Received: {target!r}.")
    return int(target)


def _logit(p):
    p = np.clip(p, _LEAST, 1 - _LEAST)
    return np.log(p / (1 - p))
