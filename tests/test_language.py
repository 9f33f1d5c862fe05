"""Language backbones: KerasHub's own outputs, in stages; features that padding and the cache leave alone."""

import json
import sys

import keras
import numpy as np
import pandas as pd
import pytest
from conftest import close

import tlteach as tl
from tlteach._stages import boundary_before, find_stages

hub = pytest.importorskip("keras_hub")
from tlteach._language import flatten  # noqa: E402
from tlteach._tokens import Tokenizer  # noqa: E402
from tlteach.backbones import takes_texts  # noqa: E402

WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] a the soup film was is good bad not very ##ly cold hot dull fine !".split()
FAMILIES = {
    "BertBackbone": {"num_segments": 2},
    "RobertaBackbone": {},
    "DistilBertBackbone": {},
    "GPT2Backbone": {},
}


def plain_of(kind="BertBackbone", seed=0):
    keras.utils.set_random_seed(seed)
    sizes = dict(vocabulary_size=len(WORDS), num_layers=2, num_heads=2, hidden_dim=8, intermediate_dim=16)
    plain = getattr(hub.models, kind)(**sizes, max_sequence_length=12, **FAMILIES[kind])
    random = np.random.default_rng(seed)
    plain.set_weights([random.normal(0, 0.3, w.shape) for w in plain.get_weights()])
    return plain


def tokenizer(length=12, **options):
    return Tokenizer(hub.tokenizers.BertTokenizer(WORDS, lowercase=True), length, **options)


def backbone_of(kind="BertBackbone", seed=0):
    model = flatten(plain_of(kind, seed))
    model.tokenizer = tokenizer()
    return tl.Backbone(kind, "full", model, (12,), "random")


def meals(count=24):
    """Texts of three to 30 words that end in the taste, which the tokenizer keeps of long ones."""
    rows = [
        (f"The soup{' a' * i} {'was' if i % 3 else 'is'} {'very ' * (i % 4)}{taste}!", taste)
        for i in range(count)
        for taste in ("good", "bad")
    ]
    return tl.from_table(pd.DataFrame(rows, columns=["text", "label"]))


@pytest.mark.parametrize("kind", FAMILIES)
def test_features_are_those_of_keras_hub(kind):
    plain = plain_of(kind)
    tokens = np.array([[2, 6, 7, 9, 11, 3, -1, -1], [2, 0, 3, -1, -1, -1, -1, -1]], "int32")
    given = {"token_ids": np.maximum(tokens, 0), "padding_mask": (tokens >= 0).astype("int32")}
    given |= {"segment_ids": np.zeros_like(tokens)} if kind == "BertBackbone" else {}
    truth = plain.predict_on_batch(given)
    truth = np.asarray(truth["sequence_output"] if isinstance(truth, dict) else truth)
    found = np.asarray(flatten(plain).predict_on_batch(tokens))
    assert np.abs(found - truth)[tokens >= 0].max() < 1e-5
    assert not found[tokens < 0].any()


@pytest.mark.parametrize("kind", FAMILIES)
def test_stages_and_where_they_can_be_cut(kind):
    backbone = backbone_of(kind)
    assert list(backbone.stages) == ["embeddings", "layer_0", "layer_1"]
    assert boundary_before(backbone.model, "layer_0") == "embeddings_features"
    assert boundary_before(backbone.model, "layer_1") == "layer_0_features"
    weights = [w.path for w in backbone.model.weights]
    assert len(weights) == sum(len(layer.weights) for layer in backbone.model.layers)


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("pooling", ["avg", "cls", "last"])
def test_pooling_by_hand_and_whatever_the_padding(kind, pooling):
    backbone = backbone_of(kind)
    text = "The soup was not good!"
    places = np.asarray(backbone.model.predict_on_batch(backbone.tokenizer(text)))[0]  # (length, width)
    truth = {"avg": places.mean(0), "cls": places[0], "last": places[-1]}[pooling]
    alone = tl.extract_features(backbone, [text], pooling=pooling, store=None)
    padded = tl.extract_features(backbone, ["a", text, "a very " * 9], pooling=pooling, store=None)
    assert close(alone[0], truth) and close(padded[1], truth)


@pytest.mark.parametrize("pooling", ["avg", "cls", "last"])
def test_several_layers_stand_side_by_side(pooling):
    backbone, texts, layers = backbone_of(), ["a", "The soup was not good!"], ["layer_0", "layer_1"]
    alone = [tl.extract_features(backbone, texts, layer=each, pooling=pooling, store=None) for each in layers]
    joined = tl.extract_features(backbone, texts, layer=layers, pooling=pooling, store=None)
    assert close(joined, np.concatenate(alone, axis=1))
    model = tl.attach_head(backbone, 2, layer=layers, pooling=pooling)
    assert model.get_layer("head").kernel.shape == (16, 2)
    assert list(find_stages(model)) == ["embeddings", *layers, "head"]


def test_a_folder_called_as_a_backbone_of_pictures_is_none_of_texts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("vgg16", "encoder"):
        (tmp_path / name).mkdir()
    assert [takes_texts(name) for name in ("vgg16", "speech", "encoder", "bert")] == [False, False, True, True]


@pytest.mark.parametrize("pooling", ["avg", "cls", "last"])
def test_kept_features_are_those_of_the_whole_model(pooling, tmp_path):
    backbone, data = backbone_of(), meals()
    features = tl.extract_features(backbone, data, pooling=pooling, store=tmp_path)
    probe = tl.linear_probe(features)
    model = tl.attach_head(backbone, probe, pooling=pooling)
    for _ in range(2):  # computed, then read
        again = tl.extract_features(backbone, data.test, pooling=pooling, store=tmp_path)
        whole = model.predict_on_batch(model.tokenizer(list(data.test.pictures)))
        assert close(whole, probe.predict_on_batch(again))
    assert tl.evaluate(model, data.test).n == data.test.num_examples


@pytest.mark.parametrize("kind", ["BertBackbone", "GPT2Backbone"])
def test_fine_tuning_cut_or_whole_is_the_same_and_frozen_means_frozen(kind, tmp_path):
    data, weights, before = meals(), [], None
    for cut in (True, False):
        model = tl.attach_head(backbone_of(kind), 2)
        keras.utils.set_random_seed(5)
        model.get_layer("head").set_weights([np.full((8, 2), 0.1), np.zeros(2)])
        before = model.get_weights()
        phases = [tl.Phase(("layer_1", "head"), epochs=2, cut=cut, keep="last", learning_rate=1e-2, optimizer="sgd")]
        run = tl.fine_tune(model, data, phases, store=tmp_path)
        assert run.plan["cut at"].item() == ("layer_0_features" if cut else "tokens")
        weights.append(model.get_weights())
    assert all(np.abs(a - b).max() < 2e-5 for a, b in zip(*weights, strict=True))
    table = tl.trainable_table(model, before)
    assert (table.loc[["embeddings", "layer_0"], "moved"] == 0).all()
    assert (table.loc[["layer_1", "head"], "moved"] > 0).all()


def test_fine_tuning_learns_and_gradual_unfreezing_names_the_layers():
    backbone, data = backbone_of(), meals()
    phases = tl.gradual_unfreezing(backbone, 2, epochs=2)
    assert [phase.name for phase in phases] == ["layer_1 + head", "layer_0 + layer_1 + head"]
    model = tl.attach_head(backbone, tl.linear_probe(tl.extract_features(backbone, data, store=None)))
    run = tl.fine_tune(model, data, [*phases, tl.Phase("all", epochs=2, learning_rate=1e-3)], store=None)
    assert run.history["val_accuracy"].max() >= 0.9 and list(run.plan["cut at"])[2] == "tokens"


@pytest.mark.parametrize(
    "text",
    ["", " ", "🙂", "🙂🙂 good", "שלום עולם", "مرحبا", "\u202enot\u202c", "good\x00bad", "\ud83d", "的的", "a" * 99],
)
def test_any_text_has_features(text):
    found = tl.extract_features(backbone_of(), [text, "good"], store=None)
    assert found.shape == (2, 8) and np.isfinite(found).all()


def test_a_text_of_ten_thousand_words_is_shortened_as_it_was_asked():
    text = "good " * 5000 + "bad " * 4999 + "dull"
    start, ends = tokenizer(keep="start"), tokenizer()
    assert start.pieces(text) == ["[CLS]", *["good"] * 10, "[SEP]"]
    assert ends.pieces(text) == ["[CLS]", *["good"] * 2, *["bad"] * 7, "dull", "[SEP]"]
    assert np.array_equal(start("a good film"), ends("a good film"))


def test_the_tokenizer_by_hand():
    cut = tokenizer()
    assert cut(["A good film!", ""]).tolist() == [[2, 5, 11, 8, 20, 3], [2, 3, -1, -1, -1, -1]]
    assert cut("").tolist() == [[2, 3]] and cut("a", length=5).tolist() == [[2, 5, 3, -1, -1]]
    assert cut.pieces("badly xyz") == ["[CLS]", "bad", "##ly", "[UNK]", "[SEP]"]
    again = Tokenizer.of_state(json.loads(json.dumps(cut.state())))
    assert repr(again) == repr(cut) != repr(tokenizer(11))
    assert again("A good film!").tolist() == cut("A good film!").tolist()


def test_what_the_tokenizer_says():
    cut = tokenizer()
    with pytest.raises(ValueError, match=r"a text must be a string. Received: 3.5, a float."):
        cut(["good", 3.5])
    with pytest.raises(ValueError, match="length must be that of the longest text, 4, or more. Received: 3."):
        cut("a film", length=3)
    with pytest.raises(ValueError, match="keep must be 'start' or 'ends'. Received: 'middle'."):
        tokenizer(keep="middle")
    with pytest.raises(ValueError, match="length must be 3 word pieces or more. Received: 2."):
        tokenizer(2)


def test_texts_that_no_tokenizer_has_cut():
    data = meals()
    model = tl.attach_head(backbone_of(), 2)
    with pytest.raises(ValueError, match="a model takes no texts"):
        data.train[0]
    tokens = data.train.tokenized(model.tokenizer)
    assert tokens[0][0].dtype == np.int32 and tokens.fingerprint != data.train.fingerprint
    assert tokens is data.train.tokenized(model.tokenizer)
    bare = keras.models.clone_model(model)
    with pytest.raises(ValueError, match="texts need a model that knows how to cut them"):
        tl.evaluate(bare, data.test)
    with pytest.raises(ValueError, match="pooling of a text must be one of 'avg', 'cls', 'last'. Received: 'max'."):
        tl.attach_head(backbone_of(), 2, pooling="max")


def test_a_preset_folder(tmp_path):
    plain = plain_of()
    plain.save_to_preset(tmp_path / "tiny")
    hub.tokenizers.BertTokenizer(WORDS, lowercase=True).save_to_preset(tmp_path / "tiny")
    backbone = tl.load_backbone(tmp_path / "tiny")
    truth = flatten(plain).predict_on_batch(backbone.tokenizer("A good film!"))
    assert close(backbone.model.predict_on_batch(backbone.tokenizer("A good film!")), truth)
    assert backbone.name == "tiny" and backbone.input_size == (12,) and backbone.size == "full"
    twin = tl.load_backbone(str(tmp_path / "tiny"), weights=None, input_size=5)
    assert twin.tokenizer.length == 5 and twin.weights == "random"
    assert not close(twin.model.get_weights()[0], backbone.model.get_weights()[0])


def hugging_face_folder(folder, plain):
    """Write a BERT as the Hugging Face layout has it."""
    safetensors = pytest.importorskip("safetensors.numpy")
    names = {"query": "query_dense", "key": "key_dense", "value": "value_dense"}
    tensors = {
        "embeddings.word_embeddings.weight": plain.token_embedding.embeddings,
        "embeddings.position_embeddings.weight": plain.position_embedding.position_embeddings,
        "embeddings.token_type_embeddings.weight": plain.segment_embedding.embeddings,
        "embeddings.LayerNorm.weight": plain.embeddings_layer_norm.gamma,
        "embeddings.LayerNorm.bias": plain.embeddings_layer_norm.beta,
        "pooler.dense.weight": np.asarray(plain.pooled_dense.kernel).T,
        "pooler.dense.bias": plain.pooled_dense.bias,
    }
    for i, layer in enumerate(plain.transformer_layers):
        own, attention = f"encoder.layer.{i}.", layer._self_attention_layer
        for theirs, ours in names.items():
            dense = getattr(attention, ours)
            tensors[f"{own}attention.self.{theirs}.weight"] = np.asarray(dense.kernel).reshape(8, 8).T
            tensors[f"{own}attention.self.{theirs}.bias"] = np.asarray(dense.bias).reshape(8)
        kernel = np.asarray(attention.output_dense.kernel).reshape(8, 8).T
        dense = {"attention.output.dense": (kernel, attention.output_dense.bias)}
        for theirs, part in (("intermediate", "intermediate"), ("output", "output")):
            inner = getattr(layer, f"_feedforward_{part}_dense")
            dense[f"{theirs}.dense"] = (np.asarray(inner.kernel).T, inner.bias)
        for theirs, norm in (("attention.output", "_self_attention"), ("output", "_feedforward")):
            norm = getattr(layer, f"{norm}_layer_norm")
            dense[f"{theirs}.LayerNorm"] = (norm.gamma, norm.beta)
        for theirs, (weight, bias) in dense.items():
            tensors |= {f"{own}{theirs}.weight": weight, f"{own}{theirs}.bias": bias}
    folder.mkdir()
    contiguous = {name: np.ascontiguousarray(keras.ops.convert_to_numpy(t)) for name, t in tensors.items()}
    safetensors.save_file(contiguous, folder / "model.safetensors")
    config = {"model_type": "bert", "vocab_size": len(WORDS), "num_hidden_layers": 2, "num_attention_heads": 2}
    config |= {"hidden_size": 8, "intermediate_size": 16, "max_position_embeddings": 12}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")


def test_a_hugging_face_folder_of_three_files(tmp_path):
    plain = plain_of()
    hugging_face_folder(tmp_path / "encoder", plain)
    backbone = tl.load_backbone(tmp_path / "encoder")
    tokens = backbone.tokenizer(["A Good film!", "soup"])
    assert tokens.tolist() == [[2, 5, 11, 8, 20, 3], [2, 7, 3, -1, -1, -1]]
    assert close(backbone.model.predict_on_batch(tokens), flatten(plain).predict_on_batch(tokens))
    assert list(backbone.stages) == ["embeddings", "layer_0", "layer_1"]


def test_what_load_backbone_says_of_folders_and_names(tmp_path):
    pytest.importorskip("safetensors")  # without it a folder in the Hugging Face layout is not read at all
    with pytest.raises(ValueError, match=r"a language backbone is a folder with config.json.*a folder without one"):
        tl.load_backbone(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "nothing"}')
    with pytest.raises(ValueError, match="which cannot be read"):
        tl.load_backbone(tmp_path)
    with pytest.raises(ValueError, match="or bert, a preset of a language backbone"):
        tl.load_backbone("bort")
    with pytest.raises(ValueError, match="of language backbones bert has a mini size. Received: 'gpt2_base_en'"):
        tl.load_backbone("gpt2_base_en", "mini")
    with pytest.raises(ValueError, match=r"a language backbone takes no further options. Received: \['alpha'\]."):
        tl.load_backbone("bert", "mini", alpha=1)
    with pytest.raises(ValueError, match="input_size of a text must be 3 to 256 word pieces. Received: 999."):
        tl.load_backbone("bert", "mini", input_size=999)
    with pytest.raises(ValueError, match="weights must be 'default', None or an existing file. Received: 'none.h5'."):
        tl.load_backbone("bert", "mini", weights="none.h5")


def test_a_preset_that_cannot_be_fetched(monkeypatch):
    def refuse(*args, **kwargs):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(hub.models.Backbone, "from_preset", refuse)
    with pytest.raises(OSError, match=r"bert_tiny_en_uncased could not be fetched \(no route to host\)"):
        tl.load_backbone("bert_tiny_en_uncased")


def test_without_keras_hub(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)  # what an import finds that is not there
    with pytest.raises(ImportError, match=r"texts need KerasHub: pip install 'tlteach\[text\]'"):
        tl.load_backbone("bert", "mini")


def test_a_saved_model_is_read_by_plain_keras(tmp_path):
    model = tl.attach_head(backbone_of(), 2)
    tokens = model.tokenizer(["A good film!", "The soup was cold"])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert np.array_equal(again.predict_on_batch(tokens), model.predict_on_batch(tokens))
    assert list(find_stages(again)) == ["embeddings", "layer_0", "layer_1", "head"]


def test_temperature_keeps_the_tokenizer():
    data, model = meals(), tl.attach_head(backbone_of(), 2)
    new, _ = tl.scale_temperature(model, data.val)
    assert tl.evaluate(new, data.val).accuracy == tl.evaluate(model, data.val).accuracy


def test_the_shipped_mini_is_small_and_knows_words():
    from tlteach._assets import weights_file

    card = json.loads(weights_file("bert").with_name("bert_mini.json").read_text())
    assert card["bytes"] == weights_file("bert").stat().st_size <= 6e6
    assert 0.15 < card["masked_accuracy"] < 1
    bert = tl.load_backbone("bert", "mini")
    assert list(bert.stages) == ["embeddings", "layer_0", "layer_1"] and bert.tokenizer.length == 256
    table = keras.ops.convert_to_numpy(bert.model.get_layer("token_embedding").embeddings)
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    like = {
        w: table[bert.tokenizer.cutter.token_to_id(w)] for w in ("great", "excellent", "awful", "terrible", "zombie")
    }
    assert like["great"] @ like["excellent"] > like["great"] @ like["zombie"]
    assert like["awful"] @ like["terrible"] > like["awful"] @ like["excellent"]


def test_the_twin_of_the_mini_is_random_and_has_its_tokenizer():
    bert, twin = tl.load_backbone("bert", "mini"), tl.load_backbone("bert", "mini", weights=None)
    assert repr(twin.tokenizer) == repr(bert.tokenizer) and twin.weights == "random"
    assert [w.shape for w in twin.model.weights] == [w.shape for w in bert.model.weights]
    assert not np.array_equal(twin.model.get_weights()[0], bert.model.get_weights()[0])
