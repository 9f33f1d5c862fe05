"""Named entities: labels stay on the words' first pieces, and whole entities are counted, mistakes in BIO included."""

import re
from collections import Counter

import keras
import numpy as np
import pytest
from conftest import ROOT, small_backbone

import tlteach as tl
from tlteach.entities import entities_of

FOLDER = ROOT / "datasets" / "named_entities"
BIO = ["O", "B-PER", "I-PER"]


@pytest.fixture(scope="module")
def bert():
    pytest.importorskip("keras_hub")
    return tl.load_backbone("bert", "mini")


def pieces_at(tokenizer, tokens, places):
    return [tokenizer.cutter.id_to_token(int(tokens[place])) for place in places]


def test_a_word_carries_its_label_on_its_first_piece_alone(bert):
    words = ["Zbigniew", "didn't", "meet", "Łódź", "😀", ",", "thermostat"]
    labels = ["B-PER", "O", "O", "B-PER", "O", "O", "I-PER"]
    tokens, targets, places = tl.align_labels(bert.tokenizer, [words], labels=[labels], classes=BIO)
    cut = [len(bert.tokenizer.cutter(word)) for word in words]  # the tokenizer's own count
    assert cut[0] > 1 and cut[1] == 3 and cut[6] > 2
    assert places == [(np.cumsum([1, *cut[:-1]])).tolist()]
    expected = np.full(2 + sum(cut), -1)
    expected[places[0]] = [BIO.index(label) for label in labels]
    assert targets.tolist() == [expected.tolist()]
    assert tokens.shape == targets.shape and (tokens >= 0).all()
    assert pieces_at(bert.tokenizer, tokens[0], [places[0][1], places[0][2], places[0][5]]) == ["didn", "meet", ","]
    assert tokens[0, 0] == bert.tokenizer.cutter.start_token_id and tokens[0, -1] == bert.tokenizer.cutter.end_token_id


def test_pieces_are_those_of_the_whole_sentence(bert):
    words = ["We", "changed", "trains", "in", "Lyon", ",", "where", "it", "didn't", "rain", "."]
    tokens, _, _ = tl.align_labels(bert.tokenizer, [words])
    assert np.array_equal(tokens, bert.tokenizer("We changed trains in Lyon, where it didn't rain."))


def test_sentences_of_different_length_are_padded_and_masked(bert):
    tokens, targets, places = tl.align_labels(
        bert.tokenizer, [["a"], ["a", "b", "c"]], labels=[["O"], ["O"] * 3], classes=BIO
    )
    assert (tokens[0] == -1).tolist() == [False, False, False, True, True]
    assert targets.tolist() == [[-1, 0, -1, -1, -1], [-1, 0, 0, 0, -1]] and places == [[1], [1, 2, 3]]


def test_what_is_too_long_is_cut_between_words():
    pytest.importorskip("keras_hub")
    cut = tl.load_backbone("bert", "mini", input_size=8).tokenizer
    words = ["the", "film", "thermostat", "was", "good"]  # the third has five pieces
    tokens, targets, places = tl.align_labels(cut, [words], labels=[["O", "O", "B-PER", "O", "O"]], classes=BIO)
    assert places == [[1, 2, -1, -1, -1]] and targets.tolist() == [[-1, 0, 0, -1]]
    assert tokens[0, -1] == cut.cutter.end_token_id
    tokens, _, places = tl.align_labels(cut, [["film"] * 9])
    assert places == [[1, 2, 3, 4, 5, 6, -1, -1, -1]] and tokens.shape == (1, 8)


def test_a_word_without_a_piece_has_no_place(bert):
    words, labels = [["a", "\u200b", "b"]], [["O", "B-PER", "O"]]
    _, targets, places = tl.align_labels(bert.tokenizer, words, labels=labels, classes=BIO)
    assert places[0][1] == -1 or targets[0, places[0][1]] == 1  # dropped, or one unknown piece
    assert (targets >= 0).sum() == sum(place >= 0 for place in places[0])


def test_what_cannot_be_aligned(bert):
    with pytest.raises(ValueError, match=r"each word needs a label\. Received: 2 words and 1 labels\."):
        tl.align_labels(bert.tokenizer, [["a", "b"]], labels=[["O"]], classes=BIO)
    with pytest.raises(ValueError, match=r"a label must be one of O, B-PER, I-PER\. Received: 'B-LOC'\."):
        tl.align_labels(bert.tokenizer, [["a"]], labels=[["B-LOC"]], classes=BIO)


@pytest.mark.parametrize(
    "labels, expected",
    [
        ([], set()),
        (["O", "O"], set()),
        (["B-PER", "I-PER", "I-PER"], {("PER", 0, 3)}),
        (["B-PER", "B-PER"], {("PER", 0, 1), ("PER", 1, 2)}),
        (["I-PER", "I-PER"], {("PER", 0, 2)}),  # no B- before it
        (["B-PER", "I-LOC"], {("PER", 0, 1), ("LOC", 1, 2)}),  # goes on as another type
        (["B-PER", "O", "I-PER"], {("PER", 0, 1), ("PER", 2, 3)}),
        (["O", "B-LOC", "I-LOC", "B-LOC", "O"], {("LOC", 1, 3), ("LOC", 3, 4)}),
    ],
)
def test_entities_of_a_sentence(labels, expected):
    assert entities_of(labels) == expected


def test_f1_counts_whole_entities():
    true = [["B-PER", "I-PER", "O", "B-LOC"], ["B-ORG", "O", "O"], ["O"]]
    said = [["B-PER", "I-PER", "O", "B-ORG"], ["B-ORG", "I-ORG", "O"], ["B-PER"]]
    table = tl.entity_f1(true, said)
    assert table.index.tolist() == ["LOC", "ORG", "PER", "all"] and table["n"].tolist() == [1, 1, 1, 3]
    assert table.loc["PER", ["precision", "recall", "f1"]].tolist() == pytest.approx([1 / 2, 1, 2 / 3])
    assert table.loc["ORG", ["precision", "recall", "f1"]].tolist() == [0, 0, 0]
    assert table.loc["all", ["precision", "recall", "f1"]].tolist() == pytest.approx([1 / 4, 1 / 3, 2 / 7])


def test_f1_of_everything_and_of_nothing():
    true = [["B-PER", "O"], ["B-LOC", "I-LOC"]]
    assert (tl.entity_f1(true, true)["f1"] == 1).all()
    nothing = tl.entity_f1(true, [["O", "O"], ["O", "O"]])
    assert (nothing[["precision", "recall", "f1"]] == 0).all(axis=None)
    assert np.isnan(tl.entity_f1([["O"]], [["O"]]).loc["all", "f1"])
    with pytest.raises(ValueError, match="the same sentences, word by word"):
        tl.entity_f1(true, [["O", "O"]])


def test_a_head_on_each_piece_gives_what_its_probe_gives(bert):
    words = [["Clara", "left", "Lyon"], ["It", "rained", "all", "day", "."]]
    tokens, _, places = tl.align_labels(bert.tokenizer, words)
    features = keras.ops.convert_to_numpy(bert.model(tokens))  # (2, length, width)
    rows = np.concatenate([features[i, place] for i, place in enumerate(places)])
    probe = tl.linear_probe((rows, np.array([1, 0, 2, 0, 0, 0, 0, 0])))
    model = tl.attach_token_head(bert, probe)
    found = keras.ops.convert_to_numpy(model(tokens))
    assert found.shape == (2, tokens.shape[1], 3) and np.allclose(found.sum(-1), 1, atol=1e-5)
    own = np.concatenate([found[i, place] for i, place in enumerate(places)])
    assert np.allclose(own, keras.ops.convert_to_numpy(probe(rows)), atol=1e-5)
    assert model.tokenizer is bert.tokenizer
    lower = tl.attach_token_head(bert, 3, layer="layer_0")
    assert not any("layer_1" in layer.name for layer in lower.layers)


def test_masked_places_teach_nothing(bert):
    """With a weight of zero, another target at a masked place changes no loss."""
    words, labels = [["Zbigniew", "left"]], [["B-PER", "O"]]
    tokens, targets, _ = tl.align_labels(bert.tokenizer, words, labels=labels, classes=BIO)
    model = tl.attach_token_head(bert, 3)
    model.compile("sgd", "sparse_categorical_crossentropy")
    weights = (targets >= 0).astype("float32")
    losses = [
        model.evaluate(tokens, np.where(targets < 0, y, targets), sample_weight=weights, verbose=0) for y in (0, 2)
    ]
    assert losses[0] == pytest.approx(losses[1])


def test_a_backbone_of_pictures_has_no_tokens():
    with pytest.raises(
        ValueError, match=r"a token head needs a language backbone, such as 'bert'\. Received: 'vgg16'\."
    ):
        tl.attach_token_head(small_backbone("vgg16"), 3)


def test_marks_are_read(tmp_path):
    (tmp_path / "own.txt").write_text("[Ada Lovelace](PER)'s aunt didn't write — to [Acme](ORG).\n\n", encoding="utf-8")
    table = tl.load_entities(tmp_path / "own.txt")
    assert table["words"][0] == ["Ada", "Lovelace", "'", "s", "aunt", "didn't", "write", "—", "to", "Acme", "."]
    assert table["labels"][0] == ["B-PER", "I-PER", *"OOOOOOO", "B-ORG", "O"] and table["split"].tolist() == ["train"]
    with pytest.raises(FileNotFoundError, match="must be an existing file"):
        tl.load_entities(tmp_path / "none.txt")
    (tmp_path / "own.txt").write_text("test\t \n", encoding="utf-8")
    with pytest.raises(ValueError, match="a sentence must have words"):
        tl.load_entities(tmp_path / "own.txt")


def named(table):
    return [
        (" ".join(words[first:last]), kind)
        for words, labels in zip(table["words"], table["labels"], strict=True)
        for kind, first, last in entities_of(labels)
    ]


def test_the_card_says_what_is_there():
    card, table = (FOLDER / "README.md").read_text(encoding="utf-8"), tl.load_entities()
    train, test = (table[table["split"] == part] for part in ("train", "test"))
    kinds, known = Counter(kind for _, kind in named(table)), {name for name, _ in named(train)}
    seen = sum(name in known for name, _ in named(test))
    for number in (len(table), len(train), len(test), len(named(test)), *kinds.values()):
        assert re.search(rf"\b{number}\b", card), number
    assert f"{seen} of the {len(named(test))}" in card
    assert set(kinds) == {"PER", "LOC", "ORG"}


def test_no_template_stands_behind_them():
    """With its entities left out, no sentence is another; and none is the start of many."""
    table = tl.load_entities()
    bare = [
        " ".join(w if label == "O" else label for w, label in zip(words, labels, strict=True))
        for words, labels in zip(table["words"], table["labels"], strict=True)
    ]
    assert len(set(bare)) == len(bare)
    plain = [
        tuple(w for w, label in zip(*pair, strict=True) if label == "O")
        for pair in zip(table["words"], table["labels"], strict=True)
    ]
    assert Counter(each[:4] for each in plain if len(each) > 4).most_common(1)[0][1] <= 4


def test_they_are_no_data_set_of_pictures_or_texts():
    with pytest.raises(ValueError, match=r"name must be one of brain_mri, cats_vs_dogs, reviews, spoken_digits\."):
        tl.load_dataset("named_entities")
