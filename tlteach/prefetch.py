"""The full size without a network: gather what lessons need into one file, and put it in place elsewhere."""

import re
import shutil
from pathlib import Path

from tlteach import _bundle, _download, _presets
from tlteach._sources import all_sources, fault, folder_of, sums_of
from tlteach.lessons import list_lessons, numbers_of


def needed(lessons="all"):
    """Return what lessons need in full size.

    Args:
        lessons: `"all"` (also what `tlteach fit` recommends), or numbers such as `"01,03"`.

    Returns:
        List of `Source`.

    Raises:
        ValueError: For an unknown lesson.
    """
    numbers = numbers_of(lessons.split(","))
    texts = {each.number: each.source.read_text(encoding="utf-8") for each in list_lessons()}
    quoted = r"[\"'](\w+)[\"'](?!:|[^()\n]*[\"']mini[\"'])"  # what a lesson loads; not a dict's key, nor the mini size
    names = {name for number in numbers for name in re.findall(quoted, texts[number])}
    return [s for s in all_sources() if s.name in names or lessons == "all"]


def listing(sources):
    """Return a line for each file: what needs it, how large it is, whether it is there, and where it goes."""
    lines = []
    for source in sources:
        place = folder_of(source.kind) / source.file
        size = f"{source.bytes / 1e6:.0f} MB" if source.bytes else "size not published"
        sums = {0: "no sum published", 32: "MD5", 64: "SHA-256"}[len(source.sum)]
        there = "there" if place.is_file() else "not there"
        lines.append(f"{source.name}: {source.file}, {size}, {sums}, {there}: {place}")
    known = sum(source.bytes for source in sources)
    return [*lines, f"{len(sources)} files, {known / 1e9:.2f} GB and those of unknown size."]


def gather(bundle, sources):
    """Fetch files and write a bundle; what is on this machine already is taken from there.

    Args:
        bundle: Path of the bundle. Until it is written, `BUNDLE.parts` keeps what was fetched; what belongs to
            KerasHub's presets, kagglehub's cache keeps.
        sources: List of `Source`.

    Returns:
        Lines to read.

    Raises:
        ValueError: If there is nothing to gather.
        ImportError: If a preset is to be gathered without kagglehub; nothing is fetched then.
        OSError: If a file cannot be fetched or is not the published one.
    """
    bundle = Path(bundle).resolve()
    if not sources:
        raise ValueError("prefetch needs lessons that fetch something. Received: none of these do.")
    if any(source.kind == "preset" for source in sources):
        _presets.hub()  # hours may pass before it is needed
    parts = bundle.with_name(f"{bundle.name}.parts")
    parts.mkdir(parents=True, exist_ok=True)
    files = [(source, *_at_hand(source, parts)) for source in sources]
    _bundle.write_bundle(bundle, files)
    shutil.rmtree(parts, ignore_errors=True)
    lines = [f"{source.file}: SHA-256 {sha}" for source, _, (_, sha, _) in files]
    return [*lines, f"{len(files)} files, {bundle.stat().st_size / 1e6:.0f} MB: {bundle}"]


def _at_hand(source, parts):
    """Return where a file is, and its sums."""
    if source.kind == "preset":
        return _presets.fetch_preset_file(source)
    place = folder_of(source.kind) / source.file
    if source.sum and place.is_file() and not fault(source, found := sums_of(place)):
        return place, found
    return parts / source.file, _download.fetch(source, parts / source.file)


def place(bundle, *, replace=False, known=None):
    """Put a bundle's files where Keras and TensorFlow Datasets look for them, after all of it was verified.

    Args:
        bundle: Path of a bundle.
        replace: Whether files that are there and differ are replaced; otherwise nothing is changed.
        known: All `Source` that may be in it; those of this package if `None`.

    Returns:
        Lines to read.

    Raises:
        ValueError: If it is no bundle, is cut short, or anything in it is not what it should be.
        OSError: If it cannot be read, or there is no room.
    """
    if not Path(bundle).is_file():
        raise ValueError(f"--from needs an existing bundle. Received: {bundle}.")
    listed = _bundle.read_bundle(bundle, all_sources() if known is None else known)
    placed = _bundle.place_bundle(bundle, listed, replace=replace)
    return [f"{path}{' was there already' if there else ''}" for path, there in placed]
