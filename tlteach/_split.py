"""What data are made of: a split of pictures or texts with labels, and three of them."""

import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import keras
import numpy as np

from tlteach import _media, _pictures

_THREADS = 4


class Split(keras.utils.PyDataset):
    """Pictures and labels of one split, in batches: a Keras data set that `fit` and `predict` take.

    Pictures stay where they are, in memory or in files, until a batch wants them. Texts are strings
    until a model's tokenizer has cut them (`tokenized`); what takes a model does so by itself.

    Attributes:
        table: `pandas.DataFrame`, a row a picture: path (or text), label (0 .. classes - 1), class, and
            what else the data set knows.
        classes: List of class names.
        size: `(height, width)` of the batches, or `None` for the pictures' own.
    """

    def __init__(self, pictures, table, classes, *, size=None, batch_size=32):
        super().__init__()
        self.pictures, self.table, self.classes = pictures, table.reset_index(drop=True), list(classes)
        self.size, self.batch_size, self._cut = size, batch_size, {}

    def __len__(self):
        return -(-self.num_examples // self.batch_size)

    def __getitem__(self, batch):
        rows = range(batch * self.batch_size, min((batch + 1) * self.batch_size, self.num_examples))
        return self._stack(rows), self.labels[rows.start : rows.stop]

    def __repr__(self):
        kind = "texts" if "text" in self.table else "pictures"
        return f"Split({self.num_examples} {kind}, classes={self.classes}, size={self.size})"

    @property
    def num_examples(self):
        """How many pictures there are."""
        return len(self.table)

    @property
    def labels(self):
        """Labels, `(num_examples,)`, integers from 0."""
        return self.table["label"].to_numpy()

    def picture(self, index):
        """Return one picture as it is, or a recording's spectrogram, `(height, width, 3)`, uint8 in 0..255."""
        source = self.pictures[index]
        return source if isinstance(source, np.ndarray) else _media.decode(source)

    def array(self):
        """Return all pictures, `(num_examples, height, width, 3)`, float32 in 0..255."""
        return self._stack(range(self.num_examples))

    def sized(self, size, *, batch_size=None):
        """Return the same split with pictures of one size.

        Args:
            size: `(height, width)` in pixels.
            batch_size: Pictures in a batch; as before if `None`.
        """
        chosen = batch_size or self.batch_size
        return Split(self.pictures, self.table, self.classes, size=size, batch_size=chosen)

    def take(self, rows):
        """Return the split of some rows, in this order."""
        pictures = self.pictures[rows] if _are_tokens(self.pictures) else [self.pictures[i] for i in rows]
        return Split(pictures, self.table.iloc[rows], self.classes, size=self.size, batch_size=self.batch_size)

    @property
    def holds_texts(self):
        """Whether these are texts that no tokenizer has cut yet."""
        return self.num_examples > 0 and isinstance(self.pictures[0], str)

    def tokenized(self, tokenizer):
        """Return the same split with texts as word pieces, `(num_examples, length)` int32, -1 after their end.

        Args:
            tokenizer: `Tokenizer`, such as `backbone.tokenizer`.
        """
        if repr(tokenizer) not in self._cut:
            rows = tokenizer(list(self.pictures))
            table = self.table.assign(sha256=[hashlib.sha256(row[row >= 0].tobytes()).hexdigest() for row in rows])
            self._cut[repr(tokenizer)] = Split(rows, table, self.classes, batch_size=self.batch_size)
        return self._cut[repr(tokenizer)]

    @property
    def fingerprint(self):
        """A hash of the pictures' content and order (not of the labels)."""
        return hashlib.sha256("".join(self.table["sha256"]).encode()).hexdigest()

    def _stack(self, rows):
        if self.holds_texts:
            raise ValueError("a model takes no texts. Received: a batch of them; cut them with .tokenized(tokenizer).")
        if _are_tokens(self.pictures):
            return self.pictures[rows]  # (batch, length)
        with ThreadPoolExecutor(_THREADS) as pool:
            pictures = list(pool.map(self._one, rows))
        shapes = {p.shape for p in pictures}
        if len(shapes) > 1:
            raise ValueError(
                f"a batch needs pictures of one size. Received: {len(shapes)} sizes; "
                "ask for one with .sized((224, 224))."
            )
        return np.stack(pictures).astype("float32") if pictures else np.zeros((0, *(self.size or (1, 1)), 3))

    def _one(self, index):
        picture = self.picture(index)
        return picture if self.size is None else _pictures.resize(picture, self.size)


def _are_tokens(pictures):
    return isinstance(pictures, np.ndarray) and pictures.ndim == 2


def text_hash(text):
    """Return what tells a text from all others but for case and punctuation."""
    words = re.findall(r"\w+", text.casefold()) or [text]  # emoji alone are no words
    return hashlib.sha256(" ".join(words).encode("utf-8", "replace")).hexdigest()


@dataclass(frozen=True, eq=False)
class Splits:
    """Training, validation and test split of one data set.

    Attributes:
        train: `Split` to learn from.
        val: `Split` to choose by.
        test: `Split` to be touched once, by `evaluate`.
        name: Name of the data set.
        card: What it is and is not, in Markdown.
        groups: Column of the tables that should not span two splits, such as a patient
            (`check_leakage` looks whether it does); or `None`.
    """

    train: Split
    val: Split
    test: Split
    name: str
    card: str = field(default="", repr=False)
    groups: str | None = None

    @property
    def classes(self):
        """Class names, in the order of the labels."""
        return self.train.classes

    def parts(self):
        """Return `{"train": ..., "val": ..., "test": ...}`."""
        return {"train": self.train, "val": self.val, "test": self.test}
