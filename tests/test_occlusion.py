"""Occlusion: of a linear model on counted words it is the words' weights; a Keras model is asked text by text."""

import keras
import numpy as np
import pandas as pd
import pytest

import tlteach as tl

WEIGHTS = {"good": 2.0, "fine": 0.5, "not": -1.5, "dull": -3.0}


def linear(texts):
    """Probabilities of three classes: the second one's logit is the sum of the words' weights, less 0.3."""
    logit = np.array([sum(WEIGHTS.get(word.strip(".,"), 0) for word in text.split()) - 0.3 for text in texts])
    p = 1 / (1 + np.exp(-logit))
    return np.stack([0.25 * (1 - p), p, 0.75 * (1 - p)], 1)


def test_evidence_of_a_linear_model_is_its_weights():
    text = "A good film, not dull, fine."
    table = tl.word_evidence(linear, text, target=1)
    assert table["word"].tolist() == ["A", "good", "film,", "not", "dull,", "fine."]
    assert np.allclose(table["evidence"], [0, 2.0, 0, -1.5, -3.0, 0.5])
    assert [text[start:].startswith(word) for start, word in zip(table["start"], table["word"], strict=True)] == [
        True
    ] * 6
    assert table.attrs == {"target": 1, "probability": pytest.approx(1 / (1 + np.exp(2.3)))}
    assert np.allclose(table["probability"], 1 / (1 + np.exp(2.3 + table["evidence"])))


def test_neighbours_are_left_out_together():
    table = tl.word_evidence(linear, "not good  at all", target=1, span=2)
    assert table["word"].tolist() == ["not good", "good  at", "at all"]
    assert np.allclose(table["evidence"], [0.5, 2.0, 0])


def test_the_predicted_class_if_none_is_asked_for():
    assert tl.word_evidence(linear, "good").attrs["target"] == 1
    assert tl.word_evidence(linear, "dull").attrs["target"] == 2
    assert np.allclose(tl.word_evidence(linear, "good", target=1)["probability"], 1 / (1 + np.exp(0.3)))


def test_what_the_model_is_asked_and_in_how_many_texts():
    asked = []

    def once(texts):
        asked.extend(texts)
        assert len(texts) <= 64
        return np.full((len(texts), 2), 0.5)

    table = tl.word_evidence(once, " ".join(["word"] * 150))
    assert len(table) == 150 and len(asked) == 151
    asked.clear()
    tl.word_evidence(once, " one 😀 שלום\n two ")
    assert asked == [" one 😀 שלום\n two ", "😀 שלום\n two", "one שלום\n two", "one 😀 two", "one 😀 שלום"]


def test_a_sure_model_has_finite_evidence():
    table = tl.word_evidence(lambda texts: np.array([[0.0, 1.0] if "x" in t else [1.0, 0.0] for t in texts]), "x y")
    assert np.isfinite(table["evidence"]).all() and table["evidence"][0] > 30 and table["evidence"][1] == 0


class Letters:
    """A tokenizer: a number for each word, 0 for one that it does not know, as a language backbone's does."""

    known = ["", *WEIGHTS]

    def __call__(self, texts):
        rows = [[self.known.index(w) if w in self.known else 0 for w in text.split()] for text in texts]
        out = np.full((len(rows), max(map(len, rows))), 0, "int32")
        for row, numbers in zip(out, rows, strict=True):
            row[: len(numbers)] = numbers
        return out


def counting_model():
    """A Keras model whose second logit, less the first, is the sum of the words' weights."""
    tokens = keras.Input((None,), dtype="int32")
    own = keras.layers.Embedding(5, 1, embeddings_initializer="zeros", name="own")
    total = keras.ops.sum(own(tokens), 1)  # (batch, 1)
    head = keras.layers.Dense(2, activation="softmax", use_bias=False, name="head")
    model = keras.Model(tokens, head(total))
    own.set_weights([np.array([0, *WEIGHTS.values()])[:, None]])
    head.set_weights([np.array([[0.0, 1.0]])])
    model.tokenizer = Letters()
    return model


def test_a_keras_model_with_a_tokenizer():
    table = tl.word_evidence(counting_model(), "a good film but dull", target=1)
    assert np.allclose(table["evidence"], [0, 2.0, 0, 0, -3.0], atol=1e-4)


def test_a_language_backbone():
    pytest.importorskip("keras_hub")
    model = tl.attach_head(tl.load_backbone("bert", "mini"), 2)
    text, less = "An awful, awful 😀 film.", "awful, awful 😀 film."
    table = tl.word_evidence(model, text)
    p = [keras.ops.convert_to_numpy(model(model.tokenizer([each])))[0] for each in (text, less)]
    target = p[0].argmax()
    odds = [np.log(each[target] / each[1 - target]) for each in p]
    assert len(table) == 5 and table["evidence"][0] == pytest.approx(odds[0] - odds[1], abs=1e-4)
    assert table["evidence"].abs().max() > 1e-3


@pytest.mark.parametrize("text, span", [("", 1), ("  ", 1), ("one two", 3), ("one two", 0)])
def test_too_few_words(text, span):
    with pytest.raises(ValueError, match=r"the text must have as many words as are left out together, 1 or more\. Rec"):
        tl.word_evidence(linear, text, span=span)


def test_what_cannot_be_asked():
    with pytest.raises(ValueError, match=r"target must be a class, 0 to 2\. Received: 3\."):
        tl.word_evidence(linear, "good", target=3)
    with pytest.raises(ValueError, match=r"text must be one text\. Received: list\."):
        tl.word_evidence(linear, ["good"])
    model = counting_model()
    del model.tokenizer
    with pytest.raises(ValueError, match=r"word_evidence needs a model that takes texts.*without one; set model"):
        tl.word_evidence(model, "good")


def test_the_plot_writes_every_word_on_its_colour():
    table = tl.word_evidence(linear, "A good film, not dull. " * 6, target=1)
    ax = tl.plot_word_evidence({"linear": table, "half": table.assign(evidence=table["evidence"] / 2)})
    assert [t.get_text() for t in ax.texts] == ["linear", *table["word"], "half", *table["word"]]
    colour = {t.get_text(): t.get_bbox_patch().get_facecolor() for t in ax.texts[1:31]}
    assert colour["good"][0] > colour["good"][2] and colour["dull."][0] < colour["dull."][2]
    assert colour["A"][:3] == pytest.approx((1, 1, 1), abs=0.01)
    assert len({t.get_position()[1] for t in ax.texts}) == 2 + 2 * 3
    assert max(t.get_position()[0] + len(t.get_text()) for t in ax.texts) <= 64
    assert len(tl.plot_word_evidence(pd.DataFrame({"word": ["x"], "evidence": [0.0]})).texts) == 1
