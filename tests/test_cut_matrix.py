"""Eight backbones, three depths: trained on kept activations or whole, the weights are the same."""

import keras
import numpy as np
import pytest
from conftest import close, shaken, small_splits

import tlteach as tl
from tlteach._stages import find_stages

BACKBONES = {  # the smallest input that each takes, and what makes it small
    "vgg16": {"size": "mini", "input_size": (32, 32)},
    "resnet50": {"size": "mini", "input_size": (32, 32)},
    "mobilenetv2": {"alpha": 0.35, "input_size": (32, 32)},
    "mobilenet": {"alpha": 0.25, "input_size": (32, 32)},
    "efficientnetb0": {"input_size": (32, 32)},
    "densenet121": {"input_size": (32, 32)},
    "xception": {"input_size": (71, 71)},
    "convnexttiny": {"input_size": (32, 32)},
}


def classifier(name):
    keras.utils.set_random_seed(0)
    backbone = tl.load_backbone(name, weights=None, **{"size": "full", **BACKBONES[name]})
    shaken(backbone)
    keras.utils.set_random_seed(1)
    return backbone, tl.attach_head(backbone, 2)


def ten_steps(name, depth, *, cut):
    """Train the head, or it and the last stage or two, for ten steps; return the model, its run and what may move."""
    backbone, model = classifier(name)
    train = [*list(backbone.stages)[len(backbone.stages) - depth :], "head"]
    phase = tl.Phase(train, epochs=5, learning_rate=1e-3, optimizer="sgd", batch_size=4, keep="last", cut=cut)
    before = [np.array(v) for v in model.weights]
    run = tl.fine_tune(model, small_splits(train=8, val=4), phase, store=None)
    stages = find_stages(model)
    may_move = {id(v) for stage in train for n in stages[stage] for v in weights_of(model, n)}
    return before, [np.array(v) for v in model.weights], run, [id(v) in may_move for v in model.weights]


def weights_of(model, name):
    return [v for layer in model.layers if layer.name == name for v in layer.weights]


@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize("name", list(BACKBONES))
def test_cut_or_whole_ten_steps_give_the_same_weights(name, depth):
    before, trained, run, may_move = ten_steps(name, depth, cut=True)
    _, whole, full_run, _ = ten_steps(name, depth, cut=False)
    assert run.plan["cut at"][0] != "resize" == full_run.plan["cut at"][0]
    assert np.allclose(run.history["loss"].dropna(), full_run.history["loss"].dropna(), rtol=1e-4, atol=1e-6)
    for old, a, b, moves in zip(before, trained, whole, may_move, strict=True):
        assert (close(a, b, 1e-6) and close(a - old, b - old, 1e-2)) or np.abs(a - b).max() < 1e-7
        assert moves or (np.array_equal(a, old) and np.array_equal(b, old))


@pytest.mark.parametrize("name, stage", [("inceptionv3", 1), ("nasnetmobile", 1)])
def test_where_a_cut_cannot_be_the_whole_model_is_trained_and_the_plan_says_so(name, stage):
    from tlteach._cutting import choose_cut

    backbone = tl.load_backbone(name, "full", weights=None, input_size=(96, 96))
    model = tl.attach_head(backbone, 2)
    last = list(backbone.stages)[-stage]
    choice = choose_cut(model, small_splits(), tl.Phase([last, "head"], epochs=9))
    assert choice == ("resize", f"whole: several tensors enter {last}")
    with pytest.raises(ValueError, match=rf"cut=True needs a place to cut. Received: {last} .*several tensors enter"):
        choose_cut(model, small_splits(), tl.Phase([last, "head"], cut=True))
