"""A bundle: a tar file that begins with a manifest; what is in it is believed only after it was looked at."""

import errno
import io
import json
import os
import re
import shutil
import tarfile
from contextlib import ExitStack
from pathlib import Path

from tqdm import tqdm

from tlteach._sources import fault, folder_of, sums_of, sums_of_stream

MANIFEST, FORMAT = "manifest.json", 1
_FIELDS = {"name": str, "kind": str, "file": str, "bytes": int, "sha256": str}
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # a name that is no way out of a folder
_LONGEST = 2**20  # bytes of a manifest


def write_bundle(bundle, files):
    """Write a bundle beside its place, and rename it.

    Args:
        bundle: `pathlib.Path`.
        files: List of `(Source, path, (size, SHA-256, MD5))`.
    """
    entries = [
        {"name": s.name, "kind": s.kind, "file": s.file, "bytes": size, "sha256": sha, "url": s.url}
        for s, _, (size, sha, _) in files
    ]
    beside = bundle.with_name(f".{bundle.name}.beside")
    try:
        with tarfile.open(beside, "w") as archive:
            told = json.dumps({"format": FORMAT, "files": entries}, indent=1).encode()
            archive.addfile(_member(MANIFEST, len(told)), io.BytesIO(told))
            for source, path, (size, *_) in tqdm(files, desc="write the bundle", unit="file", delay=2):
                with open(path, "rb") as file:
                    archive.addfile(_member(f"{source.kind}/{source.file}", size), file)
        os.replace(beside, bundle)
    finally:
        beside.unlink(missing_ok=True)


def _member(name, size):
    told = tarfile.TarInfo(name)
    told.size, told.mode = size, 0o644
    return told


def read_bundle(bundle, known):
    """Look at all of a bundle, and return what it holds as a list of `(Source, SHA-256)`.

    Args:
        bundle: Path.
        known: All `Source` that may be in it.

    Raises:
        ValueError: If anything in it is not as its manifest, or the published sums, say.
    """
    try:
        with tarfile.open(bundle, "r:") as archive:
            members = iter(archive)
            listed = _manifest(archive, next(members, None), known)
            seen = set()
            for member in tqdm(members, total=len(listed), desc="verify", unit="file", delay=2):
                _check(archive, member, listed, seen)
    except (tarfile.TarError, EOFError) as error:
        raise _refused(f"it is no tar file, or cut short ({error})") from None
    missing = sorted(set(listed) - seen)
    if missing:
        raise _refused(f"it is cut short: {missing[0]} is missing")
    return list(listed.values())


def _refused(reason):
    return ValueError(
        f"a bundle must be whole and as 'tlteach prefetch --to' wrote it. Received: {reason}; copy it again."
    )


def _manifest(archive, first, known):
    if first is None or first.name != MANIFEST or not _plain(first) or first.size > _LONGEST:
        raise _refused("it does not begin with a manifest")
    try:
        told = json.loads(archive.extractfile(first).read())
        files = told["files"] if told["format"] == FORMAT else None
        entries = [{field: entry[field] for field in _FIELDS} for entry in files]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise _refused("its manifest cannot be read") from None
    by_file = {(s.name, s.kind, s.file): s for s in known}
    listed = {}
    for entry in entries:
        if not all(type(entry[field]) is kind for field, kind in _FIELDS.items()):
            raise _refused("its manifest cannot be read")
        source = by_file.get((entry["name"], entry["kind"], entry["file"]))
        if source is None or not _stays(entry["kind"], entry["file"]):
            raise _refused(f"no lesson needs {entry['kind']}/{entry['file']} of {entry['name']}")
        if source.bytes not in (0, entry["bytes"]):
            raise _refused(f"{source.file} must have {source.bytes} bytes, and the manifest says {entry['bytes']}")
        listed[f"{source.kind}/{source.file}"] = source._replace(bytes=entry["bytes"]), entry["sha256"]
    return listed


def _stays(kind, file):
    """Whether a name stays in its folder; a preset alone has folders of its own."""
    names = file.split("/")
    return all(map(_SAFE.fullmatch, names)) and (len(names) == 1 or kind == "preset")


def _plain(member):
    return member.type in (tarfile.REGTYPE, tarfile.AREGTYPE)


def _check(archive, member, listed, seen):
    if member.name not in listed or member.name in seen:
        raise _refused(f"{member.name[:200]!r} is not in its manifest, or twice in the bundle")
    if not _plain(member):
        raise _refused(f"{member.name} is a link or a device, and no file")
    source, sha = listed[member.name]
    found = sums_of_stream(archive.extractfile(member))
    if wrong := fault(source, found):
        raise _refused(wrong)
    if found[1] != sha:
        raise _refused(f"{member.name} must have SHA-256 {sha}, and has {found[1]}")
    seen.add(member.name)


def place_bundle(bundle, listed, *, replace=False):
    """Put a verified bundle's files in place: all are written beside their places first, then renamed.

    Args:
        bundle: Path.
        listed: What `read_bundle` returned.
        replace: Whether files that differ are replaced.

    Returns:
        List of `(path, whether it was there already)`.
    """
    places = {f"{s.kind}/{s.file}": (folder_of(s.kind) / s.file, s, sha) for s, sha in listed}
    for path, source, _ in places.values():
        _check_folders(path, folder_of(source.kind))
    there = {name: _same(path, sha, replace) for name, (path, _, sha) in places.items() if os.path.lexists(path)}
    new = {name: place for name, place in places.items() if not there.get(name)}
    _check_room(new.values())
    with tarfile.open(bundle, "r:") as archive, ExitStack() as tidy:
        beside = {path: _beside(archive, name, (path, source, sha), tidy) for name, (path, source, sha) in new.items()}
        for path, written in beside.items():
            os.replace(written, path)
    return [(path, name not in new) for name, (path, *_) in places.items()]


def _check_folders(path, root):
    """Refuse a place whose folder is none, or, below `root`, a link that leads elsewhere."""
    for folder in path.parents:
        if os.path.lexists(folder):
            link = folder.is_symlink() and root in folder.parents
            if link or not folder.is_dir():
                kind = "a link" if link else "a file"
                raise ValueError(
                    f"a folder must stand at {folder}. Received: {kind}; move it away, nothing was changed."
                )
        if folder == root:
            return


def _same(path, sha, replace):
    """Whether a file that is there is the bundle's; an error if it is not and may not be replaced."""
    if path.is_file() and not path.is_symlink() and sums_of(path)[1] == sha:
        return True
    if replace and not path.is_dir():
        return False
    raise ValueError(
        f"another file stands at {path}. Pass --replace to replace it, or move it away; nothing was changed."
    )


def _check_room(places):
    need = sum(source.bytes for _, source, _ in places)
    for path, *_ in places:
        there = next(parent for parent in path.parents if parent.exists())
        if (free := shutil.disk_usage(there).free) < need:
            raise _no_room(need, free, there)


def _no_room(need, free, there):
    told = f"the bundle's files need {need / 2**20:.0f} MiB, and {there} has {free / 2**20:.0f} MiB free"
    return OSError(errno.ENOSPC, f"{told}. Nothing was changed; make room, or set KERAS_HOME and TFDS_DATA_DIR")


def _beside(archive, name, place, tidy):
    """Copy a member beside its place, verified once more on the way."""
    path, source, sha = place
    path.parent.mkdir(parents=True, exist_ok=True)
    written = Path(path.parent, f".{path.name}.{os.getpid()}.beside")
    tidy.callback(written.unlink, missing_ok=True)
    try:
        with open(written, "wb") as file:
            found = sums_of_stream(archive.extractfile(name), to=file)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        told = f"{source.file} could not be written ({error.strerror}); nothing was changed"
        raise OSError(error.errno, told, str(path.parent)) from error
    if found[1] != sha:
        raise _refused(f"{name} changed while it was read")
    return written
