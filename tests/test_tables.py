"""Tables of texts: what each format becomes, and what is said of what is wrong with one."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

import tlteach as tl
from tlteach.tables import with_test_table

ROWS = [(f"{taste} soup number {i}", taste) for i in range(10) for taste in ("good", "bad")]


def frame(rows=ROWS, **columns):
    return pd.DataFrame(rows, columns=["text", "label"]).assign(**columns)


def together(splits):
    return pd.concat([part.table for part in splits.parts().values()])


def quietly(source, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return tl.from_table(source, **options)


def write(path, how):
    if how == "json":
        path.write_text("\n".join(json.dumps({"text": t, "label": name}) for t, name in ROWS) + "\n")
    elif how == "bare":
        path.write_text("".join(f"{t}\t{name}\n" for t, name in ROWS))
    else:
        frame().to_csv(path, sep=how, index=False)
    return path


@pytest.mark.parametrize(
    "name, how",
    [("a.csv", ","), ("a.csv", ";"), ("a.tsv", "\t"), ("a.TSV", "bare"), ("a.jsonl", "json"), ("a.json", "json")],
)
def test_every_format_gives_the_same_splits(name, how, tmp_path):
    splits, truth = quietly(write(tmp_path / name, how)), quietly(frame())
    for part, expected in truth.parts().items():
        found = splits.parts()[part]
        assert list(found.pictures) == list(expected.pictures) and found.labels.tolist() == expected.labels.tolist()
    assert splits.name == "a" and splits.classes == ["bad", "good"]
    assert [part.num_examples for part in splits.parts().values()] == [12, 4, 4]
    assert all(part.table["label"].map(splits.classes.__getitem__).eq(part.table["class"]).all()
               for part in splits.parts().values())  # fmt: skip


def test_a_frame_keeps_its_columns_and_says_where_a_text_stood():
    splits = quietly(frame(domain="food", rating=range(20)))
    table = together(splits)
    assert set(table["domain"]) == {"food"} and sorted(table["rating"]) == list(range(20))
    assert table["path"].iloc[0].startswith("row ") and "text" in splits.test.table
    assert repr(splits.train).startswith("Split(12 texts")


def test_texts_with_commas_quotes_and_lines(tmp_path):
    odd = ['He said "good", twice', '"good"', "line\nbreak good", "tab good", "", 'ends with a quote"']
    rows = [(t or "bad, really", "x") for t in odd] + [(f"other {i}", "y") for i in range(6)]
    frame(rows).to_csv(tmp_path / "a.csv", index=False)
    found = together(quietly(tmp_path / "a.csv"))
    assert set(found["text"]) == {t for t, _ in rows}


def test_a_tsv_keeps_a_texts_own_quotes_and_takes_off_a_spreadsheets(tmp_path):
    own = ['"Good" he said, "very', '"Good" and "fine"', 'plain "word"', "last"]
    lines = [f"{t}\tx" for t in own] + ['"a ""quoted"" cell"\tx'] + [f"other {i}\ty" for i in range(5)]
    (tmp_path / "a.tsv").write_text("\n".join(lines))
    assert set(together(quietly(tmp_path / "a.tsv"))["text"]) >= {*own, 'a "quoted" cell'}


def test_numbers_as_labels_are_one_class_however_they_are_written():
    rows = [(f"text {i}", [1, 1.0, "1", 0, "0", np.int64(0)][i % 6]) for i in range(18)]
    assert quietly(frame(rows)).classes == ["0", "1"]


@pytest.mark.parametrize(
    "row, why",
    [
        (("", "good"), "an empty text"),
        (("  ", "good"), "an empty text"),
        ((None, "good"), "no text but (None|nan)"),
        ((3, "good"), "no text but 3"),
        (("fine", None), "no label for 'fine'"),
        (("fine", float("nan")), "no label for 'fine'"),
        (("fine", " "), "no label for 'fine'"),
    ],
)
def test_rows_that_cannot_be_used_are_named(row, why):
    with pytest.warns(UserWarning, match=f"1 of 21 rows cannot be read and are left out: row 20: {why}"):
        splits = tl.from_table(frame([*ROWS, row]))
    assert len(together(splits)) == 20


def test_bad_lines_are_named_with_their_number(tmp_path):
    lines = [f"{t}\t{name}" for t, name in ROWS]
    lines[3] = "no tab here"
    lines[5] += "\tone\ttoo many"
    (tmp_path / "a.tsv").write_text("\n".join(lines))
    told = "2 of 20 rows cannot be read and are left out: a.tsv:4: 1 columns and not 2; a.tsv:6: 4 columns and not 2"
    with pytest.warns(UserWarning, match=told):
        tl.from_table(tmp_path / "a.tsv")
    (tmp_path / "a.jsonl").write_text(
        "\n".join([json.dumps({"text": t, "label": n}) for t, n in ROWS] + ["{oops", "[1]"])
    )
    told = r"2 of 22 rows cannot be read .*: a.jsonl:21: no JSON \(.*\); a.jsonl:22: no JSON object"
    with pytest.warns(UserWarning, match=told):
        tl.from_table(tmp_path / "a.jsonl")


def test_mixed_encodings_are_named_and_read(tmp_path):
    lines = [f"{t}\t{name}".encode() for t, name in ROWS]
    lines[0] = "caf\u00e9 good\tgood".encode()
    lines[1] = "caf\u00e9 bad\tbad".encode("cp1252")
    (tmp_path / "a.tsv").write_bytes(b"\n".join(lines))
    with pytest.warns(
        UserWarning, match="1 of 20 lines of a.tsv are not UTF-8 and are read as Windows-1252: a.tsv:0002"
    ):
        splits = tl.from_table(tmp_path / "a.tsv")
    assert {"caf\u00e9 good", "caf\u00e9 bad"} <= set(together(splits)["text"])
    (tmp_path / "b.csv").write_bytes(frame().to_csv(index=False).encode("utf-16"))
    (tmp_path / "c.csv").write_bytes(frame().to_csv(index=False).encode("utf-8-sig"))
    assert len(together(quietly(tmp_path / "b.csv"))) == len(together(quietly(tmp_path / "c.csv"))) == 20


def test_a_text_with_two_labels_is_named_and_left_out():
    doubtful = [*ROWS, ("It was fine.", "good"), ("it was FINE", "bad")]
    with pytest.warns(UserWarning, match=r"2 of 22 rows have a text that stands there with another label too.*row 20"):
        splits = tl.from_table(frame(doubtful))
    assert len(together(splits)) == 20


def test_equal_texts_are_never_on_two_sides():
    twice = [*ROWS, *((text.upper() + "!", name) for text, name in ROWS)]
    for seed in range(5):
        splits = quietly(frame(twice), seed=seed)
        assert len(tl.check_leakage(splits)) == 0 and len(together(splits)) == 40


def test_leakage_between_given_splits_of_texts_is_found():
    one, other = quietly(frame()), quietly(frame(), seed=1)
    mixed = tl.Splits(one.train, one.val, other.test, "mixed")
    truth = set(one.train.pictures) | set(one.val.pictures)
    assert set(tl.check_leakage(mixed)["kind"]) == {"exact"}
    assert len(tl.check_leakage(mixed)) == len(truth & set(other.test.pictures)) > 0


def test_splits_that_the_table_tells():
    part = [("train", "Test", "valid", "train")[i // 2 % 4] for i in range(20)]
    splits = quietly(frame(split=part))
    assert [p.num_examples for p in splits.parts().values()] == [10, 4, 6]
    assert "split" not in splits.train.table
    drawn = quietly(frame(split=["train", "train", "test", "test"] * 5))
    assert drawn.test.num_examples == 10 and drawn.val.num_examples == 2


def test_a_test_table_takes_its_texts_out_of_the_rest(tmp_path):
    splits, seen = quietly(frame()), quietly(frame()).train.pictures[0]
    test = frame([(seen, "good" if "good" in seen else "bad"), ("new and good", "good"), ("new and bad", "bad")])
    with pytest.warns(UserWarning, match="1 texts stand in the test table too and are left out"):
        whole = with_test_table(splits, test)
    assert whole.test.num_examples == 3 and whole.train.num_examples == 11
    with pytest.raises(ValueError, match="the test table must have the classes bad, good. Received: odd."):
        with_test_table(splits, frame([("a", "odd")]))


@pytest.mark.parametrize(
    "source, why",
    [
        (frame().rename(columns={"text": "review"}), r"with the columns review, label; name yours with text="),
        ("a.xlsx", "Received: 'a.xlsx'"),
        (7, "Received: 7"),
        (frame([("a", "x")] * 1), "there must be at least two labels. Received: 1 rows that can be used, with x."),
        (
            frame([("a", "x"), ("b", "y")]),
            "each label needs at least 3 different texts, one for each split. Received: x with 1, y with 1.",
        ),
    ],
)
def test_what_is_no_table(source, why):
    with pytest.raises(ValueError, match=why):
        tl.from_table(source)


def test_a_table_that_is_not_there_or_empty(tmp_path):
    with pytest.raises(FileNotFoundError, match="the table must be an existing file"):
        tl.from_table(tmp_path / "none.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ValueError, match="which is empty"):
        tl.from_table(tmp_path / "empty.csv")
    splits = tl.from_table(frame().rename(columns={"text": "review", "label": "stars"}), text="review", label="stars")
    assert splits.classes == ["bad", "good"]
