"""Comparison: strategies, sources, numbers of labels and seeds, all in one table that a kill does not lose."""

import hashlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import keras
import pandas as pd
from filelock import FileLock
from tqdm import tqdm

from tlteach._assets import cache_dir
from tlteach._named import named_sources, weights_hash
from tlteach._strategies import BUILT_IN, code_hash, run_whole, wants_source
from tlteach._workers import Worker, pack
from tlteach.backbones import SPEECH, load_backbone
from tlteach.data import subset
from tlteach.frontends import holds_sound

COLUMNS = ["strategy", "source", "labels", "seed", "accuracy", "seconds"]
NO_SOURCE = "none"
_TEXT = ["keras_hub"]  # takes seconds to import
_FORMAT = 1  # of the kept rows; another number begins anew


@dataclass(frozen=True)
class _Cell:
    """One run: a strategy, a source (or none), so many labels, a seed, and what tells it from all others."""

    strategy: str
    source: str
    labels: int
    seed: int
    key: str


def compare(strategies, splits, *, labels=(10, 40, 160), seeds=5, sources=None, store="default"):
    """Run every strategy with every number of labels, seed and source, and measure each model on the test split.

    Each run has a process of its own: none inherits another's memory or random state. What all strategies get
    with one seed and number of labels are the same labels, so compare them seed by seed (`benefits` does).
    A strategy does not see the test split. Where a model is a frozen backbone with a head on it, the
    backbone is run over the test split once and its features are kept; everything else is run anew.

    A finished run is kept, so a comparison that was killed goes on when the same call is made again, and one that
    asks for more runs only those. A kept run is one of the same code, data, weights, labels, seed and
    Keras backend. Of a strategy's code what stands in its own notebook or module is looked at; where it calls
    something in another module that you have changed, pass another `store`.

    Args:
        strategies: List of names: `"scratch"` (a small network that begins at random), `"frozen"` (a linear probe,
            which learns from the validation labels too), `"fine-tuned"` (from the probe, the last stage too) and
            `"all stages"` (from the probe, everything); or a dict from a name to one of these or a function
            `f(backbone, splits, seed)` that returns a `keras.Model`, or `f(splits, seed)`, which needs no
            source and is run once.
        splits: `Splits`.
        labels: How many labelled pictures, training and validation together, as in `subset`.
        seeds: How many seeds, or a list of them. A seed draws the labels, and whatever is random.
        sources: Backbones: names, keyword arguments of `load_backbone`, a list of these, or a dict from a name of
            your own to them. By default `"vgg16"`, for recordings `"speech"`, for texts `"bert"`.
        store: `"default"` keeps rows under the cache folder (`TLTEACH_CACHE`), a path keeps them there,
            `None` keeps none.

    Returns:
        `pandas.DataFrame`, a row a run, in the order of what was asked for: strategy, source (`"none"` for a
        strategy without), labels, seed, accuracy (0 to 1), seconds (what the strategy took, without
        evaluation; features that were already kept cost nothing). After Ctrl-C, the runs that are done.

    Raises:
        ValueError: If a strategy is unknown, a source cannot be loaded, or there are not so many labels.
        RuntimeError: If a run fails; those before it are kept.

    Side effects:
        Writes rows, and features to the feature store. Starts processes; on Linux they are forked from one that has
        imported Keras, elsewhere each imports it and does ten runs.

    Example:
        >>> import tlteach as tl
        >>> pets = tl.load_dataset("cats_vs_dogs", "mini")
        >>> tl.compare(["scratch", "frozen"], pets, seeds=0).columns.tolist()  # with seeds=5 it is 30 runs
        ['strategy', 'source', 'labels', 'seed', 'accuracy', 'seconds']

    Reference:
        Torrey and Shavlik 2009, Transfer Learning.
    """
    strategies = _named_strategies(strategies)
    sources = _loadable(_default_source(splits) if sources is None else sources)
    seeds = list(range(seeds)) if isinstance(seeds, int) else [int(each) for each in seeds]
    counts = [labels] if isinstance(labels, int) else list(dict.fromkeys(labels))
    for count in counts:
        subset(splits, count)  # too many or too few are told before any work is done
    cells = _cells(strategies, splits, sources, counts=counts, seeds=seeds)
    rows = _Rows(_place(splits, store))
    try:
        _run(cells, rows, strategies, sources=sources, splits=splits)
    except KeyboardInterrupt:
        done = sum(cell.key in rows.found for cell in cells)
        onwards = "; the same call goes on from there" if rows.path else ""
        print(f"compare was stopped after {done} of {len(cells)} runs{onwards}.", file=sys.stderr)
    return _table(cells, rows.found, list(strategies), list(sources))


def _named_strategies(strategies):
    if isinstance(strategies, str) or callable(strategies):
        strategies = [strategies]
    if not isinstance(strategies, dict):
        strategies = {each if isinstance(each, str) else _name_of(each): each for each in strategies}
    unknown = [each for each in strategies.values() if not callable(each) and each not in BUILT_IN]
    if unknown or not strategies:
        raise ValueError(
            f"a strategy must be one of {', '.join(BUILT_IN)}, or a function. Received: "
            f"{repr(unknown[0]) if unknown else 'none'}."
        )
    return {name: BUILT_IN.get(each, each) if isinstance(each, str) else each for name, each in strategies.items()}


def _name_of(function):
    name = getattr(function, "__name__", "<none>")
    if name.startswith("<"):
        raise ValueError(f'a strategy needs a name: give a dict, {{"name": function}}. Received: {function!r}.')
    return name.replace("_", " ")


def _default_source(splits):
    return "bert" if splits.train.holds_texts else SPEECH if holds_sound(splits.train) else "vgg16"


def _loadable(sources):
    wanted = named_sources(sources)
    for name, source in wanted.items():
        if not isinstance(source, dict):
            raise ValueError(
                "every run loads a backbone of its own, so a source must be its name or the keyword arguments of "
                f"load_backbone. Received: a {type(source).__name__} ({name})."
            )
    return wanted


def _cells(strategies, splits, sources, *, counts, seeds):
    """Every run, seed by seed: so what is done when it is stopped is a comparison with fewer seeds."""
    data = [(part.fingerprint, part.labels.tolist()) for part in splits.parts().values()]
    facts = _hash([_FORMAT, data, keras.backend.backend()])
    codes = {name: code_hash(strategy) for name, strategy in strategies.items()}
    used = any(wants_source(strategy) for strategy in strategies.values())
    weights = {name: _facts_of(source) for name, source in sources.items()} if used else {}
    cells = []
    for seed in seeds:
        for count in counts:
            for name, strategy in strategies.items():
                for source in sources if wants_source(strategy) else [NO_SOURCE]:
                    key = _hash([facts, codes[name], weights.get(source), int(count), seed])
                    cells.append(_Cell(name, source, int(count), seed, key))
    return cells


def _facts_of(source):
    """What is known of a backbone before a run loads it; random weights differ by seed."""
    backbone = load_backbone(**source)
    weights = None if backbone.weights == "random" else weights_hash(backbone)
    return backbone.name, backbone.size, list(backbone.input_size), weights, repr(sorted(source))


def _hash(facts):
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:40]


def _place(splits, store):
    """The file of the rows of these data, or `None`."""
    if store is None:
        return None
    root = cache_dir() if store == "default" else Path(store)
    return root / "comparisons" / f"{_hash([part.fingerprint for part in splits.parts().values()])[:20]}.jsonl"


def _run(cells, rows, strategies, *, sources, splits):
    missing = [cell for cell in cells if cell.key not in rows.found]
    bar = tqdm(total=len(cells), initial=len(cells) - len(missing), desc="compare", unit="run", smoothing=0)
    with bar, Worker(_TEXT if splits.train.holds_texts else ()) as worker:
        for cell in missing:
            bar.set_postfix_str(f"{cell.strategy}, {cell.labels} labels, seed {cell.seed}")
            few = subset(splits, cell.labels, seed=cell.seed)
            call = pack(run_whole, strategies[cell.strategy], sources.get(cell.source), few, cell.seed)
            try:
                found = worker(call)
            except RuntimeError as error:
                raise RuntimeError(
                    f"the run of {cell.strategy!r} with source {cell.source!r}, {cell.labels} labels and seed "
                    f"{cell.seed} failed: {error}"
                ) from None
            rows.add({**vars(cell), **found})
            bar.update()


class _Rows:
    """Finished runs, kept in a file of lines: a line is whole, or it is not read."""

    def __init__(self, path):
        self.path = path
        self.found = {row["key"]: row for row in _read(path)}

    def add(self, row):
        self.found[row["key"]] = row
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = "\n" + json.dumps(row)  # ends a line that a killed run left unfinished
        with FileLock(f"{self.path}.lock"), open(self.path, "a", encoding="utf-8") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())


def _read(path):
    if path is None or not path.exists():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
            yield {"key": row["key"], "accuracy": float(row["accuracy"]), "seconds": float(row["seconds"])}
        except (ValueError, TypeError, KeyError):
            continue


def _table(cells, found, strategies, sources):
    """The runs that are done, in the order of what was asked for, under the names that it was asked by."""
    order = {name: i for i, name in enumerate([*strategies, *sources, NO_SOURCE])}
    done = [cell for cell in cells if cell.key in found]
    done.sort(key=lambda cell: (strategies.index(cell.strategy), order[cell.source], cell.labels, cell.seed))
    return pd.DataFrame([{**vars(cell), **found[cell.key]} for cell in done], columns=COLUMNS)
