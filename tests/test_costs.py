"""Costs: multiply-adds against the papers' figures, and against a count by hand."""

import keras
import pytest

import tlteach as tl
from tlteach.costs import multiply_adds


@pytest.mark.parametrize("name, published", [("resnet50", 3.8e9), ("vgg16", 15.3e9), ("mobilenet", 568e6)])
def test_the_networks_cost_what_their_papers_say(name, published):
    """He et al. 2016, table 1; Simonyan and Zisserman 2015 without its dense layers; Howard et al. 2017, table 4."""
    backbone = tl.load_backbone(name, "full", weights=None)
    assert sum(tl.cost_by_stage(backbone.model).values()) == pytest.approx(published, rel=0.02)


def test_each_kind_of_kernel_by_hand():
    x = keras.Input((8, 8, 4))
    y = keras.layers.Conv2D(6, 3, strides=2, padding="same", name="a")(x)  # 4 x 4 places
    y = keras.layers.DepthwiseConv2D(3, padding="same", name="b")(y)
    y = keras.layers.SeparableConv2D(5, 3, padding="same", name="c")(y)
    model = keras.Model(x, keras.layers.Dense(2, name="d")(keras.layers.Flatten(name="e")(y)))
    found = {layer.name: multiply_adds(layer) for layer in model.layers}
    by_hand = {"a": 16 * 9 * 4 * 6, "b": 16 * 9 * 6, "c": 16 * (9 * 6 + 6 * 5), "d": 80 * 2, "e": 0}
    assert {name: found[name] for name in by_hand} == by_hand
