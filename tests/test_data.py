"""Data: any folder a person may bring, fair splits, few labels, leakage, and Keras' own methods."""

import keras
import numpy as np
import pandas as pd
import pytest
from conftest import drawn, fill, save

import tlteach as tl
from tlteach._pictures import recognise
from tlteach.data import with_test_folder
from tlteach.features import split_of_array


def paths(splits):
    return {part: list(split.table["path"]) for part, split in splits.parts().items()}


def copy(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())
    return target


def splits_of(counts, groups=None):
    """Splits `{part: [labels]}` of tiny pictures in memory."""
    parts = {}
    for number, (part, labels) in enumerate(counts.items()):
        arrays = np.stack([drawn(100 * number + i, (8, 8)) for i in range(len(labels))])
        parts[part] = split_of_array(arrays, np.array(labels), classes=["a", "b", "c"][: max(labels) + 1])
    return tl.Splits(**parts, name="tiny", groups=groups)


# reading a folder


def test_class_folders_become_three_splits(tmp_path):
    splits = tl.from_folder(fill(tmp_path / "pets", {"dog": 10, "cat": 10}))
    assert splits.classes == ["cat", "dog"] and splits.name == "pets"
    assert {part: split.num_examples for part, split in splits.parts().items()} == {"train": 12, "val": 4, "test": 4}
    for split in splits.parts().values():
        assert np.bincount(split.labels).tolist() == [split.num_examples // 2] * 2
        assert [p.split("/")[0] for p in split.table["path"]] == [splits.classes[i] for i in split.labels]


def test_a_picture_is_read_from_its_file(tmp_path):
    split = tl.from_folder(fill(tmp_path, {"a": 4, "b": 4})).train
    number = int(split.table["path"][0].split("/")[1][:3])
    assert np.array_equal(split.picture(0), drawn(number))
    assert np.array_equal(split.array()[0], drawn(number))


def test_given_splits_are_kept(tmp_path):
    for seed, part in enumerate(["train", "val", "test"]):
        fill(tmp_path / part, {"a": 4, "b": 5}, seed=seed)
    for part, found in paths(tl.from_folder(tmp_path)).items():
        assert len(found) == 9 and all(p.startswith(part + "/") for p in found)


def test_splits_may_have_their_other_names(tmp_path):
    names = {"Training": (0, 6), "valid": (100, 3), "Testing": (200, 3)}
    for name, (first, count) in names.items():
        for number, cls in enumerate("ab"):
            for i in range(count):
                save(tmp_path / name / cls / f"{i}.png", drawn(1000 * number + first + i))
    splits = tl.from_folder(tmp_path)
    assert {part: split.num_examples for part, split in splits.parts().items()} == {"train": 12, "val": 6, "test": 6}
    assert all(path.startswith("Testing/") for path in paths(splits)["test"])


def test_with_train_alone_the_rest_is_drawn_from_it(tmp_path):
    found = paths(tl.from_folder(fill(tmp_path / "train", {"a": 10, "b": 10}).parent))
    assert {part: len(p) for part, p in found.items()} == {"train": 12, "val": 4, "test": 4}


def test_with_train_and_test_validation_is_drawn_from_train(tmp_path):
    fill(tmp_path / "train", {"a": 10, "b": 10})
    fill(tmp_path / "test", {"a": 4, "b": 4}, seed=1)
    found = paths(tl.from_folder(tmp_path))
    assert len(found["test"]) == 8 and all(p.startswith("test/") for p in found["test"])
    assert len(found["val"]) >= 2 and all(p.startswith("train/") for p in found["val"] + found["train"])
    assert len(found["val"]) + len(found["train"]) == 20


def test_a_leak_between_given_splits_is_left_out_and_named(tmp_path):
    fill(tmp_path / "train", {"a": 6, "b": 6})
    fill(tmp_path / "test", {"a": 4, "b": 4}, seed=1)
    copy(tmp_path / "test/a/000.png", tmp_path / "train/a/leak.png")
    with pytest.warns(UserWarning, match=r"^1 pictures stand, .* in a later split too.*: train/a/leak.png$"):
        splits = tl.from_folder(tmp_path)
    found = paths(splits)
    assert all("train/a/leak.png" not in part for part in found.values()) and "test/a/000.png" in found["test"]
    assert len(tl.check_leakage(splits)) == 0


def test_a_class_may_be_called_train(tmp_path):
    assert tl.from_folder(fill(tmp_path, {"plane": 4, "train": 4})).classes == ["plane", "train"]


def test_pictures_in_nested_folders_belong_to_the_outer_class(tmp_path):
    fill(tmp_path, {"cat/siam/2024": 4, "cat/persian": 4, "dog": 4})
    splits = tl.from_folder(tmp_path)
    assert splits.classes == ["cat", "dog"]
    assert sum(np.bincount(s.labels, minlength=2) for s in splits.parts().values()).tolist() == [8, 4]


def test_what_is_not_a_class_picture_is_passed_over(tmp_path):
    fill(tmp_path, {"a": 3, "b": 3, ".trash": 3, "a/.ipynb_checkpoints": 2, "__MACOSX": 0})
    (tmp_path / "notes").mkdir()
    (tmp_path / "a/readme.txt").write_text("not a picture")
    (tmp_path / "a/._000.png").write_bytes(b"a Mac's own file")
    (tmp_path / "b/Thumbs.db").write_bytes(b"a Windows' own file")
    save(tmp_path / "stray.png", drawn(77))
    splits = tl.from_folder(tmp_path)
    assert splits.classes == ["a", "b"]
    assert sum(len(p) for p in paths(splits).values()) == 6


def test_suffixes_in_capitals_and_other_alphabets_are_read(tmp_path):
    for i in range(3):
        save(tmp_path / "Кошки" / f"кот {i}.PNG", drawn(i))
        save(tmp_path / "犬 & friends" / f"犬#{i}.JPEG", drawn(10 + i))
    splits = tl.from_folder(str(tmp_path))
    assert splits.classes == ["Кошки", "犬 & friends"]
    assert splits.train.sized((8, 8))[0][0].shape == (2, 8, 8, 3)


def test_huge_numbers_as_names_are_names(tmp_path):
    for i in range(3):
        save(tmp_path / "0001" / f"{10**30 + i}.png", drawn(i))
        save(tmp_path / "1" / f"{i}.png", drawn(10 + i))
    assert tl.from_folder(tmp_path).classes == ["0001", "1"]


def test_pictures_of_one_pixel_are_pictures(tmp_path):
    for i in range(8):
        save(tmp_path / "ab"[i % 2] / f"{i}.png", np.full((1, 1, 3), 30 * i, "uint8"))
    splits = tl.from_folder(tmp_path)
    assert splits.train.sized((4, 4))[0][0].shape == (4, 4, 4, 3)


def test_rare_classes_are_in_every_split(tmp_path):
    splits = tl.from_folder(fill(tmp_path, {"common": 60, "rare": 9, "rarest": 3}))
    for split in splits.parts().values():
        assert set(split.labels) == {0, 1, 2}
    assert splits.test.num_examples == 12 + 2 + 1


def test_unreadable_files_are_named_in_one_warning(tmp_path):
    fill(tmp_path, {"a": 5, "b": 5})
    (tmp_path / "a/empty.jpg").touch()
    (tmp_path / "b/text.png").write_text("words")
    with pytest.warns(UserWarning) as caught:
        splits = tl.from_folder(tmp_path)
    texts = [str(w.message) for w in caught]
    assert len(texts) == 1 and texts[0].startswith("2 of 12 files cannot be read and are left out: a/empty.jpg: empty")
    assert "b/text.png: cannot be read as a picture" in texts[0]
    assert sum(len(p) for p in paths(splits).values()) == 10


def test_many_unreadable_files_are_counted_and_ten_named(tmp_path):
    fill(tmp_path, {"a": 4, "b": 4})
    for i in range(15):
        (tmp_path / f"a/bad{i:02}.jpg").touch()
    with pytest.warns(UserWarning, match=r"^15 of 23 files .*bad09.jpg: empty file; \.\.\.$"):
        tl.from_folder(tmp_path)


# each error text


def test_a_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"path must be an existing folder .* Received: .*nowhere\."):
        tl.from_folder(tmp_path / "nowhere")


def test_a_folder_without_pictures(tmp_path):
    told = r"a folder for each class with pictures or recordings \(.jpg.*Received: .*, without any"
    with pytest.raises(ValueError, match=told):
        tl.from_folder(tmp_path)


def test_the_class_folder_instead_of_the_one_above(tmp_path):
    save(tmp_path / "loose.png", drawn(0))
    with pytest.raises(ValueError, match=r"Received: .*, which holds such files itself: give the folder above it\."):
        tl.from_folder(tmp_path)


def test_a_single_class(tmp_path):
    with pytest.raises(ValueError, match=r"at least two classes.*Received: .* with \['only'\]"):
        tl.from_folder(fill(tmp_path, {"only": 5}))


@pytest.mark.parametrize("inside", [{"pets/cat": 4, "pets/dog": 4}, {"pets/train/cat": 4, "pets/test/cat": 4}])
def test_the_folder_above_the_one_of_classes(tmp_path, inside):
    inner = sorted({name.split("/")[1] for name in inside})
    text = rf"at least two classes.*with \['pets'\] .*; if {', '.join(inner)} are the classes or splits, give .*pets\."
    with pytest.raises(ValueError, match=text):
        tl.from_folder(fill(tmp_path, inside))


@pytest.mark.parametrize("path", [None, 3, "", b"pets", ["pets"]])
def test_a_path_that_is_none(path):
    with pytest.raises(ValueError, match=r"path must be a folder's path, as text or as pathlib.Path\. Received: "):
        tl.from_folder(path)
    with pytest.raises(ValueError, match=r"the test folder must be a folder's path, .*Received: "):
        with_test_folder(splits_of({"train": [0, 1], "val": [0], "test": [0]}), path)


@pytest.mark.parametrize("seed", ["a", 1.0, None, -1, True])
def test_a_seed_that_is_none(tmp_path, seed):
    with pytest.raises(ValueError, match=rf"seed must be a whole number from 0\. Received: {seed!r}\."):
        tl.from_folder(fill(tmp_path, {"a": 3, "b": 3}), seed=seed)


def test_a_class_with_too_few(tmp_path):
    with pytest.raises(ValueError, match=r"at least 3 pictures that can be read. Received: few with 2\."):
        tl.from_folder(fill(tmp_path, {"few": 2, "many": 9}))


@pytest.mark.filterwarnings("ignore:6 of 6 files")
def test_nothing_that_can_be_read(tmp_path):
    for name in ("a/1.jpg", "a/2.jpg", "a/3.jpg", "b/1.jpg", "b/2.jpg", "b/3.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("no")
    with pytest.raises(ValueError, match=r"at least two classes.*with none \(that can be read\)"):
        tl.from_folder(tmp_path)


def test_too_few_different_pictures(tmp_path):
    fill(tmp_path, {"a": 5, "b": 2})
    for i in range(3):
        copy(tmp_path / "b/000.png", tmp_path / f"b/copy{i}.png")
    with pytest.raises(ValueError, match=r"each class needs at least 3 different pictures.*Received: b with 2"):
        tl.from_folder(tmp_path)


@pytest.mark.parametrize(
    "shares",
    [{"val": 1.5}, {"test": -0.1}, {"val": 0.6, "test": 0.4}, {"val": "0.2"}, {"test": None}, {"val": True}],
)
def test_shares_that_leave_nothing_to_train_on(tmp_path, shares):
    with pytest.raises(ValueError, match=r"val and test must be shares .* less than 1 together. Received: val="):
        tl.from_folder(fill(tmp_path, {"a": 5, "b": 5}), **shares)


def test_a_share_of_nothing_gives_an_empty_split(tmp_path):
    splits = tl.from_folder(fill(tmp_path, {"a": 5, "b": 5}), val=0)
    assert splits.val.num_examples == 0 and splits.train.num_examples == 8
    assert splits.val.sized((8, 8)).array().shape == (0, 8, 8, 3)


def test_an_unknown_data_set():
    with pytest.raises(ValueError, match=r"name must be one of .*cats_vs_dogs.*Received: 'zebras'\.$"):
        tl.load_dataset("zebras")
    with pytest.raises(ValueError, match=r"Received: 'cats_and_dogs'\. Did you mean 'cats_vs_dogs'\?$"):
        tl.load_dataset("cats_and_dogs")


@pytest.mark.parametrize("name", [None, 3, "", ["brain_mri"], b"brain_mri"])
def test_a_data_set_that_is_no_name(name):
    with pytest.raises(ValueError, match="name must be one of .*brain_mri, cats_vs_dogs.*Received: "):
        tl.load_dataset(name)


def test_brain_slices_are_split_by_patient():
    mri = tl.load_dataset("brain_mri", "mini")
    patients = [set(split.table["patient"]) for split in mri.parts().values()]
    assert mri.groups == "patient" and mri.name == "brain_mri" and "Full" in mri.card
    assert all(patients) and not (patients[0] & patients[1] or patients[0] & patients[2] or patients[1] & patients[2])
    assert tl.load_dataset("cats_vs_dogs", "mini").groups is None


# splitting


def test_the_seed_decides_the_splits(tmp_path):
    fill(tmp_path, {"a": 20, "b": 20})
    first, again, other = (paths(tl.from_folder(tmp_path, seed=s)) for s in (3, 3, 4))
    assert first == again
    assert first["test"] != other["test"] and first["val"] != other["val"]


@pytest.mark.parametrize("seed", range(5))
def test_duplicates_are_never_on_two_sides(tmp_path, seed):
    fill(tmp_path, {"a": 12, "b": 12})
    copy(tmp_path / "a/000.png", tmp_path / "a/exact.png")
    copy(tmp_path / "a/001.png", tmp_path / "b/across.png")  # the same picture, two labels
    save(tmp_path / "a/near.jpg", drawn(2), quality=60)
    save(tmp_path / "b/near.jpg", drawn(3), quality=60)
    side = {p: part for part, found in paths(tl.from_folder(tmp_path, seed=seed)).items() for p in found}
    assert len(side) == 28
    for one, other in [("000.png", "a/exact.png"), ("001.png", "b/across.png"), ("002.png", "a/near.jpg")]:
        assert side[f"a/{one}"] == side[other]
    assert side["a/003.png"] == side["b/near.jpg"]


def test_leakage_is_found_exact_near_and_by_group(tmp_path):
    for seed, part in enumerate(["train", "val", "test"]):
        fill(tmp_path / part, {"a": 4, "b": 4}, seed=seed)
    splits = tl.from_folder(tmp_path)
    train = splits.train.take([0, 1, 2, 3])
    train.table["patient"] = ["ann", "bob", "cid", "dan"]
    for split, names in ((splits.val, ["eve"] * 8), (splits.test, ["fay"] * 7 + ["bob"])):
        split.table["patient"] = names
    leaky = tl.Splits(train, splits.val, splits.test, "leaky", groups="patient")
    found = tl.check_leakage(leaky)
    assert found[["kind", "split", "path", "other_split", "other_path"]].values.tolist() == [
        ["group", "test", "test/b/003.png", "train", "train/a/001.png"]
    ]


def test_planted_twins_are_found(tmp_path):
    splits = tl.from_folder(fill(tmp_path, {"a": 10, "b": 10}))
    exact = tl.Splits(splits.train, splits.val, splits.train.take([2, 5]), "exact")
    found = tl.check_leakage(exact)
    assert found[["kind", "bits"]].values.tolist() == [["exact", 0]] * 2
    assert found["path"].tolist() == found["other_path"].tolist() == splits.train.table["path"][[2, 5]].tolist()
    file = save(tmp_path / "near.jpg", splits.train.picture(3), quality=50)
    sha, look = recognise(file)
    table = pd.DataFrame({"path": ["near.jpg"], "label": [0], "class": ["a"], "sha256": [sha], "look": [look]})
    found = tl.check_leakage(tl.Splits(splits.train, splits.val, tl.Split([file], table, splits.classes), "near"))
    assert found[["kind", "path"]].values.tolist() == [["near", splits.train.table["path"][3]]]
    assert found[["split", "other_split", "other_path"]].values.tolist() == [["train", "test", "near.jpg"]]
    assert 0 < found["bits"][0] <= 12


def test_clean_splits_have_no_leak(tmp_path):
    assert len(tl.check_leakage(tl.from_folder(fill(tmp_path, {"a": 10, "b": 10})))) == 0


# few labels


@pytest.mark.parametrize("labels", [6, 7, 15, 40, 60])
@pytest.mark.parametrize("val", [0.1, 0.25, 0.9])
def test_a_subset_counts_training_and_validation_together(labels, val):
    splits = splits_of({"train": [0] * 30 + [1] * 8 + [2] * 2, "val": [0] * 12 + [1] * 6 + [2] * 2, "test": [0, 1, 2]})
    few = tl.subset(splits, labels, val=val)
    assert few.train.num_examples + few.val.num_examples == labels
    assert set(few.train.labels) == set(few.val.labels) == {0, 1, 2}
    assert few.test is splits.test


def test_a_subset_is_stratified_and_seeded():
    splits = splits_of({"train": [0] * 30 + [1] * 10, "val": [0] * 12 + [1] * 4, "test": [0, 1]})
    first, again, other = (tl.subset(splits, 16, seed=s) for s in (1, 1, 2))
    assert np.bincount(first.train.labels).tolist() == [9, 3]
    assert first.train.fingerprint == again.train.fingerprint != other.train.fingerprint


def test_a_subset_of_all_is_all():
    splits = splits_of({"train": [0, 1] * 6, "val": [0, 1] * 2, "test": [0, 1]})
    whole = tl.subset(splits, 16)
    assert (whole.train.fingerprint, whole.val.fingerprint) == (splits.train.fingerprint, splits.val.fingerprint)


@pytest.mark.parametrize("labels", [3, 17, "5", 7.5, None])
def test_a_subset_needs_labels_that_are_there(labels):
    splits = splits_of({"train": [0, 1] * 6, "val": [0, 1] * 2, "test": [0, 1]})
    with pytest.raises(ValueError, match=rf"4 \(two a class\) to 16 \(all there are\). Received: {labels!r}\."):
        tl.subset(splits, labels)


# a Keras data set


def test_a_split_is_given_to_fit_and_predict():
    split = splits_of({"train": [0, 1] * 5, "val": [0], "test": [0]}).train.sized((8, 8), batch_size=4)
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(split, epochs=1, verbose=0)
    assert len(split) == 3 and np.isfinite(history.history["loss"][0])
    expected = np.asarray(model(split.array()))
    assert np.allclose(model.predict(split, verbose=0), expected, rtol=1e-4, atol=1e-2)  # rows in their order


def test_batches_cover_the_split_in_order():
    split = splits_of({"train": [0, 1, 2, 0, 1], "val": [0], "test": [0]}).train.sized((8, 8), batch_size=2)
    assert [len(split[i][1]) for i in range(len(split))] == [2, 2, 1]
    assert np.concatenate([split[i][1] for i in range(3)]).tolist() == [0, 1, 2, 0, 1]
    assert np.array_equal(np.concatenate([split[i][0] for i in range(3)]), split.array())


def test_sized_changes_only_the_size():
    split = splits_of({"train": [0, 1, 2], "val": [0], "test": [0]}).train
    small = split.sized((5, 6), batch_size=2)
    assert small[0][0].shape == (2, 5, 6, 3) and split[0][0].shape == (3, 8, 8, 3)
    assert small.fingerprint == split.fingerprint and small.labels.tolist() == [0, 1, 2]


def test_pictures_of_many_sizes_need_one(tmp_path):
    for i in range(8):
        save(tmp_path / "ab"[i % 2] / f"{i}.png", drawn(i, (20 + i, 30)))
    split = tl.from_folder(tmp_path).train
    with pytest.raises(ValueError, match=r"one size. Received: \d sizes; ask for one with .sized\(\(224, 224\)\)"):
        split[0]
    assert split.sized((16, 16))[0][0].shape == (4, 16, 16, 3)


def test_take_keeps_pictures_and_labels_together():
    split = splits_of({"train": [0, 1, 2, 1], "val": [0], "test": [0]}).train
    chosen = split.take([3, 0])
    assert chosen.labels.tolist() == [1, 0]
    assert np.array_equal(chosen.array(), split.array()[[3, 0]])


def test_the_fingerprint_knows_pictures_and_order_but_not_labels():
    arrays = np.stack([drawn(i, (8, 8)) for i in range(3)])
    one, other = (split_of_array(arrays, labels, classes=["a", "b"]) for labels in ([0, 1, 0], [1, 1, 1]))
    assert one.fingerprint == other.fingerprint
    assert one.fingerprint != split_of_array(arrays[::-1]).fingerprint
