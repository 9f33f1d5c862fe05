"""Pretrain the mini BERT on reviews without labels and write its half-precision weights and vocabulary.

    KERAS_BACKEND=jax python tools/make_bert.py --reviews imdb_unlabelled.txt.gz

It needs `pip install tlteach[text] tokenizers`. Two tasks, as BERT had: words that were masked; and,
in place of the next sentence, which words stand elsewhere in the same review, told by the mean of the
outputs and by that of [CLS]. Interrupted, it goes on from the last checkpoint.
"""

import gzip
import json
import re
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import keras
import keras_hub
import numpy as np
import typer
from scipy.sparse import csr_array
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PAD, UNK, CLS, SEP, MASK = range(5)
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # the learner drops them; KerasHub takes them for spaces
VOCABULARY = 8000
WIDTH, HEADS, INNER, LONGEST = 128, 2, 512, 256
LENGTHS = {32: 0.15, 128: 0.6, 256: 0.25}  # of a batch's rows, and how often: sentences, passages, whole reviews
TOKENS = 4096  # in a batch, whatever its rows' length
NEAR = 4  # word pieces to either side that count as a neighbour
SPREAD = 0.04  # standard deviation of the embeddings to begin with
MASKED = 0.2  # share of the word pieces to be told
ELSEWHERE = 32  # words of the rest of the review to be told
FREQUENT = 1e-3  # share of all words from which on one is drawn less often (Mikolov et al. 2013)
HELD_OUT = 500  # reviews that are not learned from
PEAK, DECAY = 1.5e-3, 0.01
FALLING = 0.25  # share of the steps at the end in which the rate falls to zero
EVERY = 250  # steps between checkpoints


class Reviews(NamedTuple):
    """Word pieces of all reviews in one array, and where each review begins."""

    ids: np.ndarray
    start: np.ndarray  # (reviews + 1,)

    def part(self, chosen):
        """Return some consecutive reviews."""
        return Reviews(self.ids, self.start[chosen.start : chosen.stop + 1])


def read_reviews(path):
    with gzip.open(path, "rt", encoding="utf-8") as file:
        lines = [CONTROL.sub(" ", unicodedata.normalize("NFKC", line)).strip() for line in file]
    return [line for line in lines if line]


def word_pieces(texts, work):
    """Learn the vocabulary and cut the reviews into its pieces; both are kept."""
    if not (work / "reviews.npz").exists():
        from tokenizers import BertWordPieceTokenizer

        learner = BertWordPieceTokenizer(lowercase=True, strip_accents=True)
        learner.train_from_iterator(
            texts[HELD_OUT:], vocab_size=VOCABULARY, limit_alphabet=120, min_frequency=5, special_tokens=SPECIAL
        )
        learner.save_model(str(work))
        pieces = [each.ids for each in learner.encode_batch(texts, add_special_tokens=False)]
        start = np.cumsum([0, *map(len, pieces)])
        np.savez(work / "reviews.npz", ids=np.concatenate([np.array(p, "uint16") for p in pieces]), start=start)
    with np.load(work / "reviews.npz") as kept:
        reviews = Reviews(kept["ids"], kept["start"])
    return reviews, (work / "vocab.txt").read_text(encoding="utf-8").split("\n")[:-1]


def check_tokenizer(vocabulary, texts, reviews):
    """The pieces that are learned from must be those that KerasHub's tokenizer will give."""
    tokenizer = tokenizer_of(vocabulary)
    for text, first, last in zip(texts, reviews.start, reviews.start[1:], strict=False):
        if np.asarray(tokenizer(text)).tolist() != reviews.ids[first:last].tolist():
            raise RuntimeError(f"KerasHub must cut as the learner did. Received: another cut of {text[:200]!r}.")


def tokenizer_of(vocabulary):
    return keras_hub.models.BertTokenizer(vocabulary, lowercase=True, strip_accents=True)


class Batches:
    """Windows of reviews, masked; the order depends on seed and step alone.

    Args:
        reviews: `Reviews`.
        seed: Seed of windows and masks.
    """

    def __init__(self, reviews, seed):
        self.reviews, self.seed = reviews, seed
        counts = np.bincount(reviews.ids[reviews.start[0] : reviews.start[-1]], minlength=VOCABULARY)
        share = counts / counts.sum()
        self.keep = np.minimum(1, np.sqrt(FREQUENT / np.maximum(share, 1e-9)))
        self.long = np.diff(reviews.start)

    def at(self, step, length=None):
        """Return `(x, y, weights)` of a step."""
        random = np.random.default_rng([self.seed, step])
        length = length or int(random.choice(list(LENGTHS), p=list(LENGTHS.values())))
        rows = TOKENS // length
        # a review is drawn as often as it has windows; short ones at least once
        windows = np.maximum(1, self.long / (length - 2))
        chosen = random.choice(len(windows), rows, p=windows / windows.sum())
        tokens = np.full((rows, length), PAD, "int32")
        elsewhere = np.zeros((rows, ELSEWHERE), "int32")
        for row, review in enumerate(chosen):
            tokens[row], elsewhere[row] = self._window(review, length, random)
        x, y, weights = masked(tokens, random)
        return x, {"words": y, "review": elsewhere}, {"words": weights, "review": np.ones(rows, "float32")}

    def _window(self, review, length, random):
        """A window `(length,)` with its special tokens, and word pieces from outside of it `(ELSEWHERE,)`."""
        own = self.reviews.ids[self.reviews.start[review] : self.reviews.start[review + 1]]
        most = length - 2
        first = int(random.integers(-most // 4, max(1, len(own) - most + most // 4)))  # beginnings and ends too
        first = max(0, min(first, len(own) - most))
        window = own[first : first + most]
        rest = np.concatenate([own[:first], own[first + most :]])
        rest = rest if len(rest) >= 8 else own
        weights = self.keep[rest] * (rest > MASK)
        drawn = random.choice(rest, ELSEWHERE, p=weights / weights.sum()) if weights.sum() else np.full(ELSEWHERE, UNK)
        filled = np.full(length, PAD, "int32")
        filled[: len(window) + 2] = [CLS, *window, SEP]
        return filled, drawn


def masked(tokens, random):
    """Hide some word pieces: of ten, eight become [MASK], one another piece, one stays (Devlin et al. 2019)."""
    count = int(MASKED * tokens.shape[1])
    order = random.random(tokens.shape) + (tokens <= MASK)  # special ones, unknown ones and padding come last
    positions = np.sort(np.argsort(order, 1)[:, :count], 1).astype("int32")  # (rows, count)
    truth = np.take_along_axis(tokens, positions, 1)
    weights = (truth > MASK).astype("float32")
    weights *= np.minimum(count, np.ceil(MASKED * (tokens != PAD).sum(1)))[:, None] >= _rank(weights)
    other = random.integers(MASK + 1, VOCABULARY, truth.shape)
    draw = random.random(truth.shape)
    shown = np.where(draw < 0.8, MASK, np.where(draw < 0.9, other, truth))
    hidden = tokens.copy()
    np.put_along_axis(hidden, positions, np.where(weights > 0, shown, truth), 1)
    x = {"token_ids": hidden, "padding_mask": (tokens != PAD).astype("int32"), "positions": positions}
    return x, truth, weights * (weights.size / max(1, weights.sum()))


def _rank(weights):
    return np.cumsum(weights, 1)


def build(layers, vocabulary_size):
    """Return `(backbone, model)`: BERT, and BERT with its two heads, whose words are the embedding's own."""
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=vocabulary_size, num_layers=layers, num_heads=HEADS, hidden_dim=WIDTH,
        intermediate_dim=INNER, max_sequence_length=LONGEST, dropout=0.0,
    )  # fmt: skip
    tokens, mask, positions = (keras.Input((None,), dtype="int32", name=n) for n in (*_INPUTS, "positions"))
    x = backbone({"token_ids": tokens, "padding_mask": mask, "segment_ids": keras.ops.zeros_like(tokens)})
    x = x["sequence_output"]  # (rows, length, width)
    told = _head(backbone, "words")(x, mask_positions=positions)  # (rows, count, vocabulary)
    share = keras.ops.cast(mask, x.dtype)[..., None]
    mean = keras.ops.sum(x * share, 1) / keras.ops.sum(share, 1)
    both = keras.ops.stack([mean, x[:, 0]], 1)  # (rows, 2, width)
    pair = keras.ops.zeros_like(positions[:, :2]) + keras.ops.convert_to_tensor([[0, 1]], "int32")
    review = _head(backbone, "review")(both, mask_positions=pair)  # (rows, 2, vocabulary)
    inputs = {"token_ids": tokens, "padding_mask": mask, "positions": positions}
    return backbone, keras.Model(inputs, {"words": told, "review": review})


_INPUTS = ("token_ids", "padding_mask")


def _head(backbone, name):
    return keras_hub.layers.MaskedLMHead(
        token_embedding=backbone.token_embedding,
        intermediate_activation="gelu",
        kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.02),
        name=name,
    )


def elsewhere_loss(truth, logits):
    """Mean log loss of words `(rows, ELSEWHERE)` by logits `(rows, 2, vocabulary)`."""
    logs = keras.ops.log_softmax(logits, -1)
    truth = keras.ops.repeat(keras.ops.cast(truth, "int32")[:, None], 2, 1)
    return -keras.ops.mean(keras.ops.take_along_axis(logs, truth, -1), (1, 2))


def starting_embeddings(reviews):
    """Word vectors to begin with, from counts: half from whole reviews, half from near neighbours.

    The singular vectors of which words share a review (Deerwester et al. 1990) and of which stand
    near each other more often than by chance (Levy and Goldberg 2014): minutes of counting that
    save hours of training.
    """
    ids = reviews.ids[reviews.start[0] : reviews.start[-1]].astype("int64")
    rows = np.repeat(np.arange(len(reviews.start) - 1), np.diff(reviews.start))
    counts = csr_array((np.ones(len(ids), "float32"), (rows, ids)), (rows[-1] + 1, VOCABULARY))
    counts.sum_duplicates()
    rare = np.log(counts.shape[0] / (1 + np.bincount(counts.indices, minlength=VOCABULARY)))
    counts.data = (1 + np.log(counts.data)) * np.maximum(rare, 0)[counts.indices]
    counts = normalize(counts)
    near = np.zeros(VOCABULARY**2, "float32")
    for apart in range(1, NEAR + 1):
        within = rows[apart:] == rows[:-apart]
        pairs = ids[:-apart][within] * VOCABULARY + ids[apart:][within]
        near += np.bincount(pairs, minlength=len(near)).astype("float32")
    near = near.reshape(VOCABULARY, VOCABULARY)
    near += near.T.copy()
    chance = near.sum(0) ** 0.75
    more = np.log(np.maximum(near, 1e-9) * chance.sum() / (near.sum(1, keepdims=True) * chance + 1e-9))
    vectors = [_singular(counts.T), _singular(csr_array(np.where(near > 0, np.maximum(more, 0), 0)))]
    return np.hstack(vectors) * SPREAD


def _singular(matrix):
    """The first singular vectors of the rows, `(rows, WIDTH / 2)`, each row and then each column of deviation one."""
    u, s, _ = randomized_svd(matrix, WIDTH // 2, n_iter=3, random_state=0)
    u = u * np.sqrt(s)
    u /= np.linalg.norm(u, axis=1, keepdims=True) + 1e-6
    return ((u - u.mean(0)) / (u.std() + 1e-6)).astype("float32")


def compile_model(model, steps):
    optimizer = keras.optimizers.AdamW(_Rate(steps), weight_decay=DECAY, beta_2=0.98, clipnorm=1.0)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    words = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    losses = {"words": words, "review": elsewhere_loss}
    model.compile(optimizer, losses, loss_weights={"words": 1.0, "review": 0.5}, jit_compile="auto")


class _Rate(keras.optimizers.schedules.LearningRateSchedule):
    """Up in the first 200 steps, level, and down at the end: how many steps there are may be decided late."""

    def __init__(self, steps):
        self.steps = steps

    def __call__(self, step):
        step = keras.ops.cast(step, "float32")
        falling = (self.steps - step) / (FALLING * self.steps)
        return PEAK * keras.ops.minimum(1.0, keras.ops.minimum((step + 1) / 200, falling))

    def get_config(self):
        return {"steps": self.steps}


def accuracy(model, batches, *, count=20, length=128):
    """Share of masked word pieces told rightly on batches of reviews that were held out."""
    right = total = 0.0
    for step in range(count):
        x, y, weights = batches.at(step, length)
        told = np.asarray(model.predict_on_batch(x)["words"]).argmax(-1)
        right += ((told == y["words"]) * (weights["words"] > 0)).sum()
        total += (weights["words"] > 0).sum()
    return float(right / total)


class Checkpoint:
    """All that a run needs to go on, in one file."""

    def __init__(self, model, path):
        self.variables, self.path = [*model.variables, *model.optimizer.variables], path

    def save(self):
        beside = self.path.with_name("beside_" + self.path.name)
        np.savez(beside, *[keras.ops.convert_to_numpy(v) for v in self.variables])
        beside.replace(self.path)

    def restore(self):
        if self.path.exists():
            with np.load(self.path) as kept:
                for number, variable in enumerate(self.variables):
                    variable.assign(kept[f"arr_{number}"])


def ahead(batches, steps):
    """Yield `(step, batch)`; the next batch is made while one is worked on."""
    with ThreadPoolExecutor(1) as maker:
        waiting = maker.submit(batches.at, steps.start)
        for step in steps:
            batch, waiting = waiting.result(), maker.submit(batches.at, step + 1)
            yield step, batch


def train(model, batches, held_out, *, steps, path):
    """Train to the last step from wherever a checkpoint stands."""
    model.optimizer.build(model.trainable_variables)
    checkpoint = Checkpoint(model, path)
    checkpoint.restore()
    first, began = int(model.optimizer.iterations), time.perf_counter()
    for step, (x, y, weights) in ahead(batches, range(first, steps)):
        logs = model.train_on_batch(x, y, sample_weight=weights, return_dict=True)
        if step % 100 == 99:
            told = " ".join(f"{name} {float(value):.3f}" for name, value in logs.items())
            rate = (step + 1 - first) / (time.perf_counter() - began)
            print(f"step {step + 1}/{steps} {told} {rate:.2f} steps/s", flush=True)
            model.reset_metrics()
        if step % EVERY == EVERY - 1 or step == steps - 1:
            checkpoint.save()
            if step % (4 * EVERY) == 4 * EVERY - 1:
                print(f"held-out masked accuracy {accuracy(model, held_out, count=5):.4f}", flush=True)


def export(backbone, vocabulary, out):
    """Write the backbone's weights in half precision, and its vocabulary beside them."""
    config = backbone.get_config() | {"dropout": 0.1, "dtype": "float16", "name": "bert"}
    half = keras_hub.models.BertBackbone.from_config(config)
    half.set_weights(backbone.get_weights())
    path = Path(out) / "bert_mini.weights.h5"
    half.save_weights(path)
    path.with_name("bert_mini.vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    return path


def main(
    reviews: Path = typer.Option(help="reviews without labels, one a line, gzipped"),
    steps: int = 12000,
    layers: int = 2,
    seed: int = 0,
    work: Path = typer.Option(Path("build/bert"), help="word pieces and checkpoints"),
    out: Path = typer.Option(Path("tlteach/weights"), help="where the weights go"),
):
    work.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(seed)
    texts = read_reviews(reviews)
    pieces, vocabulary = word_pieces(texts, work)
    check_tokenizer(vocabulary, texts[:100], pieces)
    held_out, learned = Batches(pieces.part(range(HELD_OUT)), 1), pieces.part(range(HELD_OUT, len(texts)))
    backbone, model = build(layers, len(vocabulary))
    compile_model(model, steps)
    if not (work / "embeddings.npy").exists():
        np.save(work / "embeddings.npy", starting_embeddings(learned))
    backbone.token_embedding.embeddings.assign(np.load(work / "embeddings.npy"))
    train(model, Batches(learned, seed + 2), held_out, steps=steps, path=work / f"bert_{layers}.npz")
    path = export(backbone, vocabulary, out)
    card = {
        "network": "BertBackbone",
        "config": {k: v for k, v in backbone.get_config().items() if isinstance(v, int) and k != "trainable"},
        "source": f"{len(texts) - HELD_OUT} film reviews without labels",
        "word_pieces": int(learned.start[-1] - learned.start[0]),
        "masked_accuracy": round(accuracy(model, held_out, count=50), 4),
        "masked_accuracy_is_of": f"{HELD_OUT} reviews held out, windows of 128 word pieces",
        "recipe": {"steps": steps, "word pieces a step": TOKENS, "seed": seed, "learning_rate": PEAK},
        "keras": keras.version(),
        "keras_hub": keras_hub.__version__,
        "bytes": path.stat().st_size,
    }
    path.with_name("bert_mini.json").write_text(json.dumps(card, indent=1) + "\n")
    print(json.dumps(card))


if __name__ == "__main__":
    typer.run(main)
