"""Groups: what belongs together stays together, whether a file, the names or a column say so; and its controls."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from conftest import drawn, save
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedGroupKFold

import tlteach as tl
from tlteach._drawing import draw_parts
from tlteach._groups import connected, unite
from tlteach._pictures import near_pairs, recognise
from tlteach.data import with_test_folder
from tlteach.features import split_of_array

PATTERN = r"(?P<patient>p\d+)_"
SLICES = 4  # of a patient


def patients(root, counts, *, seed=0, slices=SLICES):
    """Write a folder of `{class: patients}`, each patient with slices `p7_2.png`, and return it."""
    number = 100 * seed
    for name, count in counts.items():
        for _ in range(count):
            for i in range(slices):
                save(root / name / f"p{number}_{i}.png", drawn(10 * number + i))
            number += 1
    return root


def sides(splits, column="patient"):
    """Return `{group: set of the splits it stands in}`."""
    found = {}
    for part, split in splits.parts().items():
        for group in split.table[column]:
            found.setdefault(group, set()).add(part)
    return found


def one_side(splits, column="patient"):
    return all(len(parts) == 1 for parts in sides(splits, column).values())


def in_memory(rows, groups=None):
    """Splits in memory of `{part: [(label, patient), ...]}`."""
    parts, start = {}, 0
    for part, pairs in rows.items():
        arrays = np.stack([drawn(start + i, (8, 8)) for i in range(len(pairs))])
        split = split_of_array(arrays, np.array([label for label, _ in pairs]), classes=["a", "b"])
        looks = [recognise(picture)[1] for picture in arrays]
        names = [f"{part}/{i}.png" for i in range(len(pairs))]
        split.table = split.table.assign(path=names, look=looks, patient=[patient for _, patient in pairs])
        parts[part], start = split, start + len(pairs)
    return tl.Splits(**parts, name="memory", groups=groups)


def clinic(count=20, slices=3):
    """Splits by slice: each patient has a class and a slice in each split."""
    rows = [(i % 2, f"p{i}") for i in range(count)]
    return in_memory({part: rows * (slices if part == "train" else 1) for part in ("train", "val", "test")}, "patient")


# from_folder with groups


@pytest.mark.parametrize("seed", range(3))
def test_no_patient_is_on_two_sides(tmp_path, seed):
    splits = tl.from_folder(patients(tmp_path, {"a": 10, "b": 5}), groups=PATTERN, seed=seed)
    assert splits.groups == "patient" and one_side(splits) and len(sides(splits)) == 15
    counts = {part: np.bincount(split.labels).tolist() for part, split in splits.parts().items()}
    assert counts == {"train": [24, 12], "val": [8, 4], "test": [8, 4]}
    assert len(tl.check_leakage(splits)) == 0


def test_without_groups_patients_are_divided(tmp_path):
    """The test above could not fail otherwise."""
    splits = tl.from_folder(patients(tmp_path, {"a": 10, "b": 5}))
    assert splits.groups is None
    for split in splits.parts().values():
        split.table["patient"] = split.table["path"].str.extract(r"(p\d+)_")[0]
    assert not one_side(splits)


def test_the_seed_decides_which_patients(tmp_path):
    patients(tmp_path, {"a": 10, "b": 10})
    first, again, other = (sides(tl.from_folder(tmp_path, groups=PATTERN, seed=s)) for s in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("groups", [r"(p\d+)_", r"^(p\d+)", r"[ab]/(p\d+)_"])
def test_a_pattern_may_fit_names_or_paths(tmp_path, groups):
    splits = tl.from_folder(patients(tmp_path, {"a": 4, "b": 4}), groups=groups)
    assert splits.groups == "group" and one_side(splits, "group") and len(sides(splits, "group")) == 8


def rows_of(root):
    return [(f.relative_to(root).as_posix(), f.name.split("_")[0]) for f in sorted(root.rglob("*.png"))]


@pytest.mark.parametrize("called", ["path", "name", "stem", "dotted", "windows"])
def test_a_file_may_name_pictures_in_several_ways(tmp_path, called):
    root = patients(tmp_path / "data", {"a": 4, "b": 4})
    ways = {
        "path": lambda p: p,
        "name": lambda p: p.split("/")[1],
        "stem": lambda p: p.split("/")[1].removesuffix(".png"),
        "dotted": lambda p: f"./{p} ",
        "windows": lambda p: p.replace("/", "\\"),
    }
    table = pd.DataFrame([(ways[called](path), group) for path, group in rows_of(root)], columns=["picture", "site"])
    table.to_csv(tmp_path / "groups.csv", index=False)
    splits = tl.from_folder(root, groups=tmp_path / "groups.csv")
    truth = dict(rows_of(root))
    assert splits.groups == "site" and one_side(splits, "site")
    for split in splits.parts().values():
        assert split.table["site"].tolist() == [truth[path] for path in split.table["path"]]


@pytest.mark.parametrize("separator, name", [(",", "t.csv"), (";", "t.csv"), ("\t", "t.tsv")])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_further_columns_are_kept(tmp_path, separator, name, encoding):
    root = patients(tmp_path, {"a": 4, "b": 4})
    table = pd.DataFrame(rows_of(root), columns=["file", "patient"])
    table = table.assign(patient="00" + table["patient"].str[1:], age=range(len(table)), label="no", note="a, b")
    table = table[["age", "label", "patient", "file", "note"]].sample(frac=1, random_state=0)
    table.to_csv(root / name, sep=separator, index=False, encoding=encoding)
    splits = tl.from_folder(root, groups=name)  # found in the folder itself
    assert splits.groups == "patient"
    rows = table.set_index("file")
    for split in splits.parts().values():
        assert set(split.labels) == {0, 1} and split.table["age"].tolist() == rows["age"][split.table["path"]].tolist()
        assert split.table["patient"].tolist() == rows["patient"][split.table["path"]].tolist()
        assert split.table["patient"].str.startswith("00").all() and set(split.table["note"]) == {"a, b"}


@pytest.mark.parametrize("seed", range(4))
def test_groups_that_share_a_picture_stay_together(tmp_path, seed):
    patients(tmp_path, {"a": 8, "b": 8})
    save(tmp_path / "a/p1_9.jpg", drawn(0), quality=60)  # patient 0's first slice again
    save(tmp_path / "b/p8_9.png", drawn(11))  # patient 1's second slice, with the other label
    found = sides(tl.from_folder(tmp_path, groups=PATTERN, seed=seed))
    assert found["p0"] == found["p1"] == found["p8"] and all(len(parts) == 1 for parts in found.values())


def test_patients_with_several_classes(tmp_path):
    for i in range(12):
        for k, name in enumerate(["a", "b", "c"][: 1 + i % 3]):
            save(tmp_path / name / f"p{i}_.png", drawn(10 * i + k))
    splits = tl.from_folder(tmp_path, groups=PATTERN)
    assert one_side(splits) and all(set(split.labels) == {0, 1, 2} for split in splits.parts().values())


def test_the_rarest_class_is_everywhere(tmp_path):
    splits = tl.from_folder(patients(tmp_path, {"common": 30, "rare": 3}, slices=2), groups=PATTERN)
    assert all(set(split.labels) == {0, 1} for split in splits.parts().values())
    assert splits.test.num_examples == 14


def test_shares_are_met_as_well_as_scikit_learn_meets_them():
    """Patients of very unequal size: each class's share of the pictures in the test is as near as its folds are."""
    random = np.random.default_rng(0)
    sizes = random.integers(1, 39, 233)
    kinds = np.repeat(random.choice(["a", "b", "c"], 233, p=[0.35, 0.38, 0.27]), sizes)
    unit = np.repeat(np.arange(233), sizes)
    table = pd.DataFrame({"class": kinds, "unit": unit})

    def off(chosen):
        return max(abs(chosen[kinds == name].mean() - 0.2) for name in "abc")

    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0).split(kinds, kinds, unit)
    theirs = np.mean([off(np.isin(np.arange(len(kinds)), fold)) for _, fold in folds])
    part = draw_parts(table, {"test": 0.2, "val": 0.2}, seed=0, column="patient")
    assert all(len(set(part[unit == number])) == 1 for number in range(233))
    assert off(part == "test") <= max(theirs, 0.02) and off(part == "val") <= max(theirs, 0.02)


def test_numbers_of_what_hangs_together():
    assert connected([(0, 2, 5), (2, 3, 1)], 5).tolist() == [0, 1, 0, 0, 2]
    assert connected([], 3).tolist() == [0, 1, 2]
    assert unite(["x", "y", "x", "z"], [1, 2, 3, 2]).tolist() == [0, 1, 0, 1]
    assert unite(["x", "y", "z"], [1, 1, 3], ["q", "r", "r"]).tolist() == [0, 0, 0]


# given splits


def given(tmp_path):
    for seed, part in enumerate(["train", "val", "test"]):
        patients(tmp_path / part, {"a": 3, "b": 3}, seed=seed)
    return tmp_path


def test_a_patient_of_two_given_splits_stays_in_the_last(tmp_path):
    root = given(tmp_path)
    save(root / "train/a/p200_x.png", drawn(77001))  # a new slice of a patient of the test
    save(root / "val/b/p203_x.png", drawn(77002))
    save(root / "train/b/p103_x.png", drawn(77003))
    with pytest.warns(UserWarning) as caught:
        splits = tl.from_folder(root, groups=PATTERN)
    assert [str(w.message) for w in caught] == [
        "3 pictures are of a patient that stands in a later split too and are left out: "
        "train/a/p200_x.png, train/b/p103_x.png, val/b/p203_x.png"
    ]
    assert one_side(splits) and sum(len(s.table) for s in splits.parts().values()) == 3 * 6 * SLICES
    assert sides(splits)["p200"] == {"test"} and len(tl.check_leakage(splits)) == 0


def test_the_rest_is_drawn_by_patient(tmp_path):
    patients(tmp_path / "train", {"a": 8, "b": 8})
    patients(tmp_path / "test", {"a": 3, "b": 3}, seed=1)
    splits = tl.from_folder(tmp_path, groups=PATTERN)
    assert one_side(splits) and splits.test.num_examples == 6 * SLICES and splits.val.num_examples == 4 * SLICES


def test_nothing_left_to_train_on(tmp_path):
    """Every patient has slices on both sides: the split cannot be mended by leaving out."""
    patients(tmp_path / "train", {"a": 3, "b": 3})
    for name, first in (("a", 0), ("b", 3)):
        for number in range(first, first + 3):
            save(tmp_path / "test" / name / f"p{number}_x.png", drawn(90000 + number))
    with (
        pytest.warns(UserWarning, match="24 pictures are of a patient"),
        pytest.raises(
            ValueError, match=r"train on that stand in no later split.*none of a, b, as each patient of theirs"
        ),
    ):
        tl.from_folder(tmp_path, groups=PATTERN)


def test_a_test_folder_with_patients_of_its_own(tmp_path):
    splits = tl.from_folder(patients(tmp_path / "mine", {"a": 5, "b": 5}), groups=PATTERN, test=0)
    patients(tmp_path / "other", {"a": 2, "b": 2}, seed=5)
    whole = with_test_folder(splits, tmp_path / "other", groups=PATTERN)
    assert whole.groups == "patient" and one_side(whole) and whole.train.num_examples == splits.train.num_examples
    shared = splits.train.table["patient"][0]
    save(tmp_path / f"other/a/{shared}_x.png", drawn(5))
    with pytest.warns(UserWarning, match=rf"^4 pictures \(or their patient\) stand in the test folder.*{shared}_0.png"):
        whole = with_test_folder(splits, tmp_path / "other", groups=r"(p\d+)_")
    assert one_side(whole) and sides(whole)[shared] == {"test"}
    assert whole.train.num_examples == splits.train.num_examples - 4


def test_a_test_folder_whose_patients_are_not_known(tmp_path):
    splits = tl.from_folder(patients(tmp_path / "mine", {"a": 5, "b": 5}), groups=PATTERN, test=0)
    whole = with_test_folder(splits, patients(tmp_path / "other", {"a": 2, "b": 2}, seed=5))
    assert whole.groups == "patient" and whole.test.num_examples == 16 and len(tl.check_leakage(whole)) == 0


def test_a_test_folder_has_no_groups_where_the_splits_have_none(tmp_path):
    splits = tl.from_folder(patients(tmp_path, {"a": 5, "b": 5}))
    with pytest.raises(ValueError, match=r"need splits with groups: from_folder\(.*\)\. Received: \(p"):
        with_test_folder(splits, tmp_path, groups=r"(p\d+)_")


def test_a_subset_keeps_the_groups(tmp_path):
    splits = tl.from_folder(patients(tmp_path, {"a": 8, "b": 8}), groups=PATTERN)
    few = tl.subset(splits, 12)
    assert few.groups == "patient" and one_side(few) and few.train.num_examples + few.val.num_examples == 12


# errors


@pytest.mark.parametrize("groups", [3, ["p"], True, b"p"])
def test_groups_of_another_type(tmp_path, groups):
    with pytest.raises(ValueError, match=r"groups must be a CSV or TSV file .*regular expression .*Received: "):
        tl.from_folder(patients(tmp_path, {"a": 3, "b": 3}), groups=groups)


@pytest.mark.parametrize(
    "groups, text",
    [
        ("patient", r"exactly one group in brackets, such as .* Received: 'patient', which has 0\."),
        (r"(p)(\d+)", r"Received: '\(p\)\(\\\\d\+\)', which has 2\."),
        (r"(p\d+", r"Received: '\(p\\\\d\+' \(missing \)"),
        ("missing.csv", r"Received: missing\.csv, no such file\."),
        (r"(?P<label>p\d+)", r"the group must not be called path, class, .* Received: 'label' from "),
        (
            r"(q\d)_",
            r"every picture needs its group\. Received: \(q\\d\)_, which gives none for 24 of 24: a/p0_0.png, ",
        ),
        (r"(p[0-4])_", r"which gives none for 4 of 24: b/p5_0.png, b/p5_1.png, b/p5_2.png, b/p5_3.png\."),
        (r"p\d(x?)_", r"every picture needs its group\..*none for 24 of 24"),
    ],
)
def test_a_pattern_that_does_not_do(tmp_path, groups, text):
    with pytest.raises(ValueError, match=text):
        tl.from_folder(patients(tmp_path, {"a": 3, "b": 3}), groups=groups)


@pytest.mark.parametrize(
    "content, text",
    [
        ("path,x,y\n", r"needs one column called group, patient, subject, or two columns in all\..*with path, x, y\."),
        ("path,patient,group\n", r"needs one column called group.*with path, patient, group\."),
        (
            "patient,scanner,age\n",
            r"needs a column of pictures, called path or file, .*patient\. Received: .*age\.",
        ),
        ("path\n", r"needs one column called group.*with path\."),
        ("", r"needs one column called group.* with nothing in it\."),
        ("path,class\na/p0_0.png,1\n", r"the group must not be called .* Received: 'class' from "),
        (
            "path,patient\na/p0_0.png,1\n",
            r"every picture needs its patient\. Received: .*none for 23 of 24: a/p0_1.png,",
        ),
        (
            "path,patient\na/p0_0.png,1\na/p0_0.png,2\n",
            r"each picture has one patient\..*with several for a/p0_0.png\.",
        ),
    ],
)
def test_a_file_that_does_not_do(tmp_path, content, text):
    root = patients(tmp_path, {"a": 3, "b": 3})
    (root / "groups.csv").write_text(content)
    with pytest.raises(ValueError, match=text):
        tl.from_folder(root, groups="groups.csv")


def test_a_file_of_another_kind(tmp_path):
    (tmp_path / "groups.xlsx").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"Received: .*groups\.xlsx, another kind of file\."):
        tl.from_folder(patients(tmp_path, {"a": 3, "b": 3}), groups=tmp_path / "groups.xlsx")


def test_names_that_come_twice_need_paths(tmp_path):
    for number, name in enumerate("ab"):
        for i in range(4):
            save(tmp_path / name / f"{i}.png", drawn(10 * number + i))
    (tmp_path / "groups.csv").write_text("name,patient\n" + "".join(f"{i}.png,p{i}\n" for i in range(4)))
    with pytest.raises(ValueError, match=r"names that come twice need their paths.*a name alone for a/0.png, a/1.png"):
        tl.from_folder(tmp_path, groups="groups.csv")


def test_a_class_with_fewer_patients_than_splits(tmp_path):
    patients(tmp_path, {"a": 6, "b": 2})
    with pytest.raises(
        ValueError, match=r"at least 3 different values of patient, one for each split\. Received: b with 2"
    ):
        tl.from_folder(tmp_path, groups=PATTERN)
    splits = tl.from_folder(tmp_path, groups=PATTERN, val=0)
    assert set(splits.test.labels) == set(splits.train.labels) == {0, 1}


def test_classes_that_cannot_be_parted(tmp_path):
    """Each class has three groups, but two of them hold both classes' rarest pictures together."""
    table = pd.DataFrame({"class": list("aabbccab"), "unit": [1, 2, 2, 3, 3, 1, 4, 4]})
    with pytest.raises(ValueError, match=r"each class must come up in each split without dividing a patient\."):
        draw_parts(table, {"test": 0.3, "val": 0.3}, seed=0, column="patient", classes=["a", "b"])


# leakage


def test_leakage_names_a_patient_on_both_sides():
    splits = in_memory(
        {"train": [(0, "ann"), (1, "bob")], "val": [(0, "cid")], "test": [(1, "bob"), (0, "cid")]}, "patient"
    )
    found = tl.check_leakage(splits)
    assert found["kind"].tolist() == ["group", "group"]
    assert {tuple(row) for row in found[["split", "other_split"]].values} == {("test", "train"), ("test", "val")}
    assert len(tl.check_leakage(tl.Splits(**splits.parts(), name="blind"))) == 0


# resplit


def test_a_new_split_by_patient_divides_none():
    new = tl.resplit(clinic(), groups="patient")
    assert one_side(new) and new.groups == "patient" and len(tl.check_leakage(new)[lambda t: t["kind"] == "group"]) == 0
    assert {part: split.num_examples for part, split in new.parts().items()} == {"train": 60, "val": 20, "test": 20}


def test_a_new_split_by_picture_divides_patients_and_says_so():
    new = tl.resplit(tl.resplit(clinic(), groups="patient"), seed=1)
    assert sum(len(parts) > 1 for parts in sides(new).values()) > 10
    assert set(tl.check_leakage(new)["kind"]) == {"group"}
    for split in new.parts().values():
        assert abs(split.labels.mean() - 0.5) < 0.05


def test_a_new_split_has_all_pictures_once_with_their_labels():
    old = clinic()
    for new in (tl.resplit(old), tl.resplit(old, groups="patient", val=0.1, test=0.3)):
        before, after = (
            Counter(
                (p.tobytes(), int(y), g)
                for s in each.parts().values()
                for p, y, g in zip(
                    (s.picture(i) for i in range(s.num_examples)), s.labels, s.table["patient"], strict=True
                )
            )
            for each in (old, new)
        )
        assert before == after and new.name == old.name


def test_a_new_split_does_not_look_for_twins():
    """Equal pictures part, on purpose: nothing but the column counts."""
    rows = {"train": [(i % 2, f"p{i}") for i in range(40)], "val": [(0, "x")], "test": [(1, "y")]}
    splits = in_memory(rows)
    splits.train.pictures = np.stack([drawn(1, (8, 8))] * 40)
    assert len(tl.resplit(splits).test.labels) > 5


def test_sizes_are_kept_and_val_may_be_empty():
    old = clinic()
    sized = tl.Splits(*(part.sized((5, 6), batch_size=7) for part in old.parts().values()), name="x")
    new = tl.resplit(sized, val=0)
    assert new.val.num_examples == 0 and new.train.size == (5, 6) and new.test.batch_size == 7


@pytest.mark.parametrize(
    "options, text",
    [
        ({"groups": "doctor"}, r"the group must be a column, one of .*patient.* Received: 'doctor'\."),
        ({"val": 0.7, "test": 0.3}, r"val and test must be shares .*Received: val=0\.7, test=0\.3"),
        ({"val": "0.2"}, r"val and test must be shares .*Received: val='0\.2'"),
        ({"seed": 1.5}, r"seed must be a whole number from 0\. Received: 1\.5\."),
    ],
)
def test_a_new_split_that_cannot_be(options, text):
    with pytest.raises(ValueError, match=text):
        tl.resplit(clinic(4), **options)


def test_too_few_patients_for_a_new_split():
    with pytest.raises(ValueError, match=r"3 different values of patient.*Received: a with 2, b with 2"):
        tl.resplit(clinic(4), groups="patient")


def test_a_column_with_gaps():
    splits = clinic(6)
    splits.val.table.loc[0, "patient"] = None
    with pytest.raises(ValueError, match=r"every picture needs its patient\. Received: 1 of 30 without one\."):
        tl.resplit(splits, groups="patient")


# labels at random


def test_labels_are_exchanged_within_each_split():
    splits = in_memory(
        {"train": [(i % 4 == 0, i) for i in range(80)], "val": [(1, 0)] * 9 + [(0, 1)], "test": [(0, 2)] * 5}
    )
    new = tl.shuffle_labels(splits)
    for part, split in new.parts().items():
        old = splits.parts()[part]
        assert np.bincount(split.labels, minlength=2).tolist() == np.bincount(old.labels, minlength=2).tolist()
        assert split.fingerprint == old.fingerprint and np.array_equal(split.array(), old.array())
        assert split.table["class"].tolist() == [split.classes[i] for i in split.labels]
    assert 0.4 < (new.train.labels == splits.train.labels).mean() < 0.85  # by chance: 0.625
    assert splits.train.labels[:5].tolist() == [1, 0, 0, 0, 1]  # what was given stays


def test_the_seed_decides_the_exchange():
    splits = clinic(40)
    first, again, other = (tl.shuffle_labels(splits, seed=s).train.labels.tolist() for s in (0, 0, 1))
    assert first == again != other


def test_a_patient_gets_one_class_in_all_splits():
    splits = clinic(40)
    new = tl.shuffle_labels(splits, by="patient")
    table = pd.concat([split.table for split in new.parts().values()])
    assert (table.groupby("patient")["label"].nunique() == 1).all()
    assert np.bincount(table["label"]).tolist() == [100, 100]
    changed = table.groupby("patient")["label"].first() != [int(p[1:]) % 2 for p in sorted(set(table["patient"]))]
    assert 5 < changed.sum() < 35


def test_by_patient_each_split_keeps_its_patients_of_each_class():
    splits = tl.resplit(clinic(40), groups="patient")
    new = tl.shuffle_labels(splits, by="patient", seed=3)
    for part, split in new.parts().items():
        per = [s.table.groupby("patient")["label"].first().sum() for s in (split, splits.parts()[part])]
        assert per[0] == per[1]
    assert any((new.parts()[p].labels != splits.parts()[p].labels).any() for p in splits.parts())


def test_a_patient_with_two_classes_cannot_get_anothers():
    splits = in_memory({"train": [(0, "ann"), (1, "ann"), (0, "bob")], "val": [(1, "cid")], "test": [(1, "dan")]})
    with pytest.raises(ValueError, match=r"each patient must have a single class.*Received: several for ann\."):
        tl.shuffle_labels(splits, by="patient")
    with pytest.raises(ValueError, match=r"the group must be a column.*Received: 'site'"):
        tl.shuffle_labels(splits, by="site")


# twins


def brute_force(looks, limit=12):
    """The definition of near, pair by pair."""
    bits = np.unpackbits(np.frombuffer(bytes.fromhex("".join(look[:64] for look in looks)), np.uint8)).reshape(-1, 256)
    small = np.array([list(bytes.fromhex(look[64:])) for look in looks], "float32")
    found = []
    for i in range(len(looks)):
        for j in range(i + 1, len(looks)):
            apart = int((bits[i] != bits[j]).sum())
            one, other = (small[k] - small[k].mean() for k in (i, j))
            one, other = (v / max(np.linalg.norm(v), 16) for v in (one, other))
            if apart <= limit and ((one - other) ** 2).sum() <= 0.02:
                plain = np.linalg.norm(small[i] - small[i].mean()) <= 16
                if not plain or abs(small[i].mean() - small[j].mean()) <= 8:
                    found.append((i, j, apart))
    return found


def test_twins_are_those_that_pair_by_pair_comparing_finds():
    digits = (load_digits().images[:150] * 15.9).astype("uint8")
    pictures = [np.kron(d, np.ones((4, 4), "uint8"))[..., None].repeat(3, -1) for d in digits]
    pictures += [np.full((9, 9, 3), value, "uint8") for value in (0, 5, 90, 255)] + [drawn(i) for i in range(40)]
    pictures += [np.clip(drawn(i) * 0.9 + 20, 0, 255).astype("uint8") for i in range(0, 40, 3)]
    looks = [recognise(p)[1] for p in pictures]
    pairs = near_pairs(looks)
    assert pairs == brute_force(looks) and len(pairs) >= 15


def test_twins_are_found_across_the_blocks_that_are_compared_at_once():
    random = np.random.default_rng(0)
    raw = random.integers(0, 256, (9000, 96), "uint8")
    planted = [(3, 8999), (511, 512), (700, 8300), (8191, 8192), (8192, 8193)]
    for one, other in planted:
        raw[other] = raw[one]
    raw[8999, 0] ^= 0b101  # two bits
    looks = [row.tobytes().hex() for row in raw]
    assert near_pairs(looks) == [
        (3, 8999, 2),
        (511, 512, 0),
        (700, 8300, 0),
        (8191, 8192, 0),
        (8191, 8193, 0),
        (8192, 8193, 0),
    ]
