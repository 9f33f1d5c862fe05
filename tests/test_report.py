"""The page and the numbers of a fit: what a hospital asks for, and a sentence where it cannot be told."""

import html
import json
import re
from dataclasses import replace
from functools import partial

import keras
import numpy as np
import pandas as pd
import pytest
from conftest import drawn

import tlteach as tl
from tlteach import _report_measures
from tlteach._report_measures import measure, parts_of
from tlteach._report_page import _evidence, _thresholds, page
from tlteach.calibration import at_temperature, best_temperature, error_by_luck, log_losses, temperature_of
from tlteach.data import Splits
from tlteach.decisions import curves_against_rest
from tlteach.evaluation import report_of
from tlteach.features import split_of_array
from tlteach.recipe import Fit, fit_splits
from tlteach.report import verdict, write_report

CLASSES = ["ill", "well", "unclear"]


def told(n, seed, *, sharp=1.0, columns=None, groups=None):
    """A report of invented probabilities: sharper than they should be above 1."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 1.5, (n, 3))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (random.random((n, 1)) > p.cumsum(1)).sum(1).clip(0, 2)
    p = p**sharp / (p**sharp).sum(1, keepdims=True)
    names = np.array(CLASSES)
    table = pd.DataFrame(p, columns=CLASSES).add_prefix("p_")
    table = table.assign(**{"class": names[labels], "predicted": names[p.argmax(1)], "probability": p.max(1)})
    return report_of(table.assign(**(columns or {})), CLASSES, groups=groups, resamples=50)


@pytest.fixture(scope="module", autouse=True)
def few_resamples():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_report_measures, "curves_against_rest", partial(curves_against_rest, resamples=20))
        yield


@pytest.fixture(scope="module")
def validated():
    return told(300, 1, sharp=3.0)


@pytest.fixture(scope="module")
def report():
    columns = {"scanner": ["A", "B", None] * 80, "age": np.arange(240) % 60, "site": "X", "file": np.arange(240) * 1.0}
    return told(240, 2, sharp=3.0, columns=columns | {"file": [f"{i}.dcm" for i in range(240)]})


@pytest.fixture(scope="module")
def measured(report, validated):
    return measure(report, validated)


def test_thresholds_are_validations_and_measured_on_the_test(report, validated, measured):
    for name, row in measured.thresholds.iterrows():
        assert row["threshold"] == tl.choose_threshold(validated, name, sensitivity=0.95)
        test = tl.sensitivity_specificity(report, name, threshold=row["threshold"])
        assert row[["sensitivity", "specificity", "PPV", "NPV"]].tolist() == test["value"].tolist()
        assert row["sensitivity_low"] <= row["sensitivity"] <= row["sensitivity_high"]
    assert measured.thresholds.index.tolist() == CLASSES and measured.too_few == []


def test_precision_has_an_interval_and_the_curves_are_measured_once(report, measured):
    one = tl.one_against_rest(report, curves=measured.curves)
    pd.testing.assert_frame_equal(measured.per_class[one.columns.tolist()], one)
    roc, precisions = measured.curves["ill"]
    assert one.loc["ill", ["AUC", "AUC_low"]].tolist() == [roc.area, roc.interval[0]]
    assert one.loc["ill", "average_precision_high"] == precisions.interval[1]
    precision = measured.per_class["precision"]
    assert precision.to_numpy() == pytest.approx(report.per_class["precision"].to_numpy())
    assert (measured.per_class["precision_low"] < precision).all()
    assert (precision < measured.per_class["precision_high"]).all()


def test_a_temperature_undoes_what_made_the_probabilities_too_sure(report, validated, measured):
    found = measured.calibration
    assert found.temperature == temperature_of(validated) and 2.2 < found.temperature < 4  # 3 was put in
    assert found.scaled_error < found.error and found.change[1] < 0
    assert found.luck < found.scaled_error  # a temperature cannot undo luck
    assert found.loss - found.scaled_loss == pytest.approx((log_losses(report) - losses(report, found)).mean())


def losses(report, found):
    p = at_temperature(report, found.temperature).predictions
    assert np.allclose(p[[f"p_{name}" for name in CLASSES]].sum(1), 1)
    assert (p["predicted"] == report.predictions["predicted"]).all()
    return -np.log(
        p.to_numpy()[np.arange(len(p)), [p.columns.get_loc(f"p_{name}") for name in p["class"]]].astype(float)
    )


def test_a_temperature_from_probabilities_is_that_from_logits():
    random = np.random.default_rng(0)
    logits, labels = random.normal(0, 3, (200, 3)), random.integers(0, 3, 200)
    labels = np.where(random.random(200) < 0.6, logits.argmax(1), labels)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    names = np.array(CLASSES)
    table = pd.DataFrame(p, columns=CLASSES).add_prefix("p_")
    table = table.assign(**{"class": names[labels], "predicted": names[p.argmax(1)], "probability": p.max(1)})
    assert temperature_of(report_of(table, CLASSES)) == pytest.approx(best_temperature(logits, labels), rel=1e-4)


def test_a_calibrated_model_shows_the_error_of_luck():
    errors = [tl.expected_calibration_error(told(240, seed)) for seed in range(30)]
    assert np.mean(errors) == pytest.approx(np.mean([error_by_luck(told(240, s), draws=50) for s in range(5)]), rel=0.2)


def test_parts_are_compared_and_ages_in_quarters(report):
    tables, others = parts_of(report)
    assert set(tables) == {"scanner", "age"} and others == {"site": 1, "file": 240}
    assert set(tables["scanner"].index) == {"A", "B", "not told"} and (tables["scanner"]["n"] == 80).all()
    assert set(tables["age"].index) == {"0 to 14", "15 to 29", "30 to 44", "45 to 59"}
    own = report.predictions[report.predictions["scanner"] == "A"]
    assert tables["scanner"].loc["A", "accuracy"] == (own["class"] == own["predicted"]).mean()


def test_few_of_validation_choose_nothing(report):
    few = measure(report, told(30, 3))
    assert few.thresholds.empty and few.too_few == CLASSES and few.calibration.temperature is None
    wanted = (
        r"Validation has too few to tell a temperature by: \d+ of 30 there were classified wrongly, and it needs 5 of"
    )
    assert re.fullmatch(wanted + r" 40\.", few.calibration.why_not)
    none = measure(report)
    assert none.thresholds.empty and none.calibration.why_not.startswith("No temperature is told, as the model learned")


def model_and_splits(pool):
    """A model with a pooled linear head on pictures of noise."""
    keras.utils.set_random_seed(0)
    x = keras.Input((8, 8, 3))
    y = pool()(keras.layers.Conv2D(4, 3, activation="relu")(keras.layers.Rescaling(1 / 99)(x)))
    model = keras.Model(x, keras.layers.Dense(3, "softmax")(y))
    dense = model.layers[-1]
    dense.set_weights([np.random.default_rng(0).normal(0, 1, dense.kernel.shape), np.array([0.3, -0.2, 0.1])])
    pictures = np.stack([drawn(i, (8, 8)) for i in range(90)])
    labels = np.random.default_rng(1).integers(0, 3, 90)
    split = split_of_array(pictures, labels, classes=CLASSES)
    split.table = split.table.assign(path=[f"<{i}>.png" for i in range(90)], scanner=["A", "B"] * 45)
    return model, Splits(split, split, split, name="<slices>")


def fit_of(pool, *, validated=True):
    model, splits = model_and_splits(pool)
    report = tl.evaluate(model, splits.test)
    by = {"validated": report, "validated_by": "the probe"} if validated else {}
    return Fit(model, report, None, "Decided.", splits, 1.0, 1.0, **by)


def words_of(written):
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", written)).split())


@pytest.fixture(scope="module")
def averaging():
    return fit_of(keras.layers.GlobalAveragePooling2D)


def test_the_page_and_the_numbers_tell_all_of_it(averaging, tmp_path):
    write_report(averaging, tmp_path)
    written = (tmp_path / "report.html").read_text()
    words, numbers = words_of(written), json.loads((tmp_path / "report.json").read_text())
    for heading in ("Each class against", "If few may be missed", "How sure", "By scanner", "Where in the picture"):
        assert f"<h2>{heading}" in written
    assert "average precision" in written and "at which the probe found 95% of the class" in words
    assert "among the 6 x 6 places" in words and "The surest mistakes:" in words
    pictures = re.findall(r'<img alt="([^"]*)" src', written)
    assert len(pictures) == written.count("<img ") == 7 and any("AP 0." in each for each in pictures)
    assert "<slices>" not in written and "&lt;slices&gt;" in written and "<0>" not in written
    found = numbers["thresholds"]
    assert found["chosen_for_sensitivity"] == 0.95 and found["by"] == "the probe"
    assert found["classes"]["ill"]["sensitivity_low"] <= found["classes"]["ill"]["sensitivity"]
    assert (
        set(numbers["accuracy_by"]["scanner"]) == {"A", "B"} and "average_precision_low" in numbers["per_class"]["ill"]
    )
    assert 0 < numbers["calibration"]["error_by_luck"] < 1 and "temperature" in numbers["calibration"]


def test_the_page_says_how_many_thresholds_there_are_and_whose(averaging):
    measured = measure(averaging.report, averaging.validated)
    for rows, sentence in (
        (3, "There are 3 thresholds, one for each class in the table: a picture is called that class where"),
        (2, "There are 2 thresholds, one for each class in the table: a picture"),
        (1, "There is one threshold, that of ill: a picture is called that class where"),
    ):
        few = replace(measured, thresholds=measured.thresholds.iloc[:rows], too_few=CLASSES[rows:])
        words = words_of(_thresholds(averaging, few, "pictures"))
        assert sentence in words and ("No threshold for" in words) == (rows < 3)


def test_a_telephone_is_told_what_goes_on_sideways(averaging):
    written = page(averaging, measure(averaging.report, averaging.validated), verdict(averaging.report))
    wide = re.findall(r'(?:<p class="hint">([^<]*)</p>)?<div class="wide[^"]*"><(img|table)', written)
    assert all(hint == "There is more of this to the right →" for hint, what in wide if what == "img")
    hints = [hint for hint, what in wide if what == "table"]
    assert hints == ["There is more of the table to the right →"] * 2 + [""]  # by scanner it fits


def test_a_map_is_the_log_odds_of_the_answer(averaging):
    rows = np.arange(12)
    maps, p = _evidence(averaging, rows), averaging.report.predictions.iloc[rows]
    for drawn_map, (_, row) in zip(maps, p.iterrows(), strict=True):
        others = [row[f"p_{name}"] for name in CLASSES if name != row["predicted"]]
        rival = max(others) if row["class"] == row["predicted"] else row[f"p_{row['class']}"]
        assert drawn_map.mean() == pytest.approx(np.log(row["probability"] / rival), abs=1e-3)


def test_a_temperature_near_one_is_no_correction_and_a_page_says_what_was_learned_with(averaging):
    measured = measure(averaging.report, averaging.validated)
    found = measured.calibration
    scaled = {"scaled_error": 0.1, "scaled_table": found.table, "scaled_loss": 0.2, "change": (-0.1, 0.1)}
    near, far = (replace(measured, calibration=replace(found, temperature=t, **scaled)) for t in (1.05, 1.2))
    fit = replace(averaging, backbone="resnet50 mini", seed=7)
    words = words_of(page(fit, near, verdict(fit.report)))
    assert "the temperature 1.05, which is as good as 1" in words and "raise each probability" not in words
    assert "resnet50 mini, seed 7." in words
    assert "raise each probability to the power 0.83" in words_of(page(fit, far, verdict(fit.report)))


def test_what_cannot_be_told_is_a_sentence():
    fit = fit_of(keras.layers.GlobalMaxPooling2D, validated=False)
    words = words_of(page(fit, measure(fit.report), verdict(fit.report)))
    assert "No threshold was chosen, as the model learned from the validation pictures too." in words
    assert "No temperature is told, as the model learned from the validation split from the beginning." in words
    assert "No maps of the evidence: they are exact only for a head that averages one feature map" in words


def test_validation_is_judged_by_the_probe_that_did_not_learn_from_it(monkeypatch):
    from conftest import small_backbone, small_splits

    from tlteach import recipe

    asked = []
    solve = recipe.linear_probe
    monkeypatch.setattr(
        recipe, "linear_probe", lambda x, **how: asked.append((how, x, solve(x, **how))) or asked[-1][2]
    )
    fit = fit_splits(small_splits(), small_backbone("vgg16"), phases=0)
    features, probe = asked[0][1:]
    assert "with_val" not in asked[0][0] and asked[-1][0]["with_val"]
    p = fit.validated.predictions[[f"p_{name}" for name in fit.splits.classes]].to_numpy()
    assert np.allclose(p, probe.predict_on_batch(features.val.x), atol=1e-6)
    assert fit.validated_by == "the linear probe that learned from the training split alone"
