"""Texts to word pieces: what a language backbone takes in place of pixels."""

import hashlib
import tempfile
from pathlib import Path

import numpy as np

from tlteach._assets import optional

NONE = -1  # stands where a row has no word piece: every number from 0 is one, in GPT-2 the first too


def keras_hub():
    """Import KerasHub, which only texts need.

    Raises:
        ImportError: If it is not installed.
    """
    return optional("keras_hub", "texts need KerasHub: pip install 'tlteach[text]'.")


class Tokenizer:
    """Cut texts into the word pieces that a language backbone was trained on.

    A Keras model takes numbers and no texts on most backends, so this stands before it and not
    inside: `backbone.tokenizer`, and `model.tokenizer` of a model that `attach_head` made. Keras
    does not save it with the model; `tlteach fit` puts it into the file beside the class names.

    Attributes:
        cutter: KerasHub tokenizer.
        length: Word pieces a text has at most, its first and last mark included.
        keep: What stays of a longer text: its `"ends"`, a quarter from the beginning and the rest
            from the end, where reviews come to their verdict; or its `"start"`.

    Reference:
        Wu et al. 2016 (word pieces); Sun et al. 2019, How to fine-tune BERT (both ends).
    """

    def __init__(self, cutter, length, *, keep="ends"):
        if keep not in ("start", "ends"):
            raise ValueError(f"keep must be 'start' or 'ends'. Received: {keep!r}.")
        if length < 3:
            raise ValueError(f"length must be 3 word pieces or more. Received: {length}.")
        self.cutter, self.length, self.keep = cutter, int(length), keep
        told = self.state()["assets"] | {"config": _settings(cutter)}
        self._name = hashlib.sha256(repr(sorted(told.items())).encode()).hexdigest()[:16]

    def __repr__(self):
        return f"Tokenizer({type(self.cutter).__name__}, {self._name}, length={self.length}, keep={self.keep!r})"

    def __call__(self, texts, *, length=None):
        """Return the word pieces of texts, `(n, length)` int32, with -1 after a text's end.

        Args:
            texts: A text, or a list of them. The empty text is its two marks alone.
            length: Columns; those of the longest text if `None`.

        Raises:
            ValueError: If one of them is no text, or does not fit the length.
        """
        rows = [self._row(text) for text in ([texts] if isinstance(texts, str) else texts)]
        longest = max(map(len, rows), default=0)
        if length is not None and longest > length:
            raise ValueError(f"length must be that of the longest text, {longest}, or more. Received: {length}.")
        out = np.full((len(rows), length or longest), NONE, "int32")
        for row, pieces in zip(out, rows, strict=True):
            row[: len(pieces)] = pieces
        return out

    def pieces(self, text):
        """Return the word pieces of one text as text, to look at."""
        return [self.cutter.id_to_token(int(number)) for number in self._row(text)]

    def _row(self, text):
        if not isinstance(text, str):
            raise ValueError(f"a text must be a string. Received: {text!r}, a {type(text).__name__}.")
        whole = text.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair is no character
        pieces, most = np.asarray(self.cutter(whole)).astype("int32").reshape(-1), self.length - 2
        if len(pieces) > most:
            first = most if self.keep == "start" else most // 4
            pieces = np.concatenate([pieces[:first], pieces[len(pieces) - most + first :]])
        return [self.cutter.start_token_id, *pieces, self.cutter.end_token_id]

    def state(self):
        """Return all it is made of, as JSON knows it."""
        with tempfile.TemporaryDirectory() as folder:
            self.cutter.save_assets(folder)
            assets = {p.name: p.read_text(encoding="utf-8") for p in sorted(Path(folder).iterdir())}
        kind = type(self.cutter).__name__
        return {
            "kind": kind,
            "config": _settings(self.cutter),
            "assets": assets,
            "length": self.length,
            "keep": self.keep,
        }

    @classmethod
    def of_state(cls, state):
        """Make again what `state` told of."""
        kind = getattr(keras_hub().tokenizers, state["kind"])
        cutter = kind(**state["config"])
        with tempfile.TemporaryDirectory() as folder:
            for name, text in state["assets"].items():
                Path(folder, Path(name).name).write_text(text, encoding="utf-8")
            cutter.load_assets(folder)
        return cls(cutter, state["length"], keep=state["keep"])


def _settings(cutter):
    """How a KerasHub tokenizer is set, its vocabulary left out."""
    known = ("lowercase", "strip_accents", "split", "add_prefix_space")
    return {name: value for name, value in cutter.get_config().items() if name in known}
