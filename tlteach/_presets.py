"""Presets of KerasHub that lessons need: fetched through kagglehub, and found where a bundle has put them."""

import errno
import os
import time
from pathlib import Path

from tlteach import _download
from tlteach._assets import optional, shared_dir
from tlteach._sources import all_sources, folder_of, sums_of

HOST = "api.kaggle.com"  # what kagglehub asks


def preset_files(name):
    """Return the files of a preset that KerasHub reads, as a list of `Source`; empty for a preset no lesson needs.

    Args:
        name: The preset's name, such as `"bert_base_en_uncased"`.
    """
    return [source for source in all_sources() if source.kind == "preset" and source.file.split("/")[0] == name]


def placed_preset(name):
    """Return the folder of a preset that a bundle has put in place, here or in a shared folder; else `None`.

    Args:
        name: The preset's name. A folder that lacks one of its files does not count.
    """
    files = [source.file for source in preset_files(name)]
    roots = [folder_of("preset"), *([shared_dir() / "models"] if shared_dir() else [])]
    return next((root / name for root in roots if files and all((root / file).is_file() for file in files)), None)


def fetched_preset(name):
    """Return the folder in kagglehub's cache where KerasHub would find a preset without network, or `None`.

    Args:
        name: The preset's name.
    """
    files = [_address(source) for source in preset_files(name)]
    for handle, path in files:
        marked = _cache() / Path(handle).parent / ".complete" / Path(handle).name / f"{path}.complete"
        if not (marked.is_file() and (_cache() / handle / path).is_file()):
            return None
    return _cache() / files[0][0] if files else None


def _cache():
    return Path(os.environ.get("KAGGLEHUB_CACHE") or "~/.cache/kagglehub").expanduser() / "models"


def _address(source):
    """Kaggle's handle of the preset, and the file's path in it."""
    return source.url.removeprefix("kaggle://"), source.file.split("/", 1)[1]


def hub():
    """Import kagglehub, which comes with KerasHub and is needed to fetch a preset alone.

    Raises:
        ImportError: If it is not installed.
    """
    return optional(
        "kagglehub",
        "a preset of KerasHub is fetched by kagglehub, which comes with it: pip install 'tlteach[text]', or name "
        "lessons without texts, such as --lessons 01,04.",
    )


def fetch_preset_file(source):
    """Fetch a file of a preset into kagglehub's cache, which keeps what came and goes on from there.

    Args:
        source: `Source` of kind `"preset"`.

    Returns:
        Its path; and its size, SHA-256 and MD5. None is published to compare with; kagglehub compares with what the
        server tells.

    Raises:
        ImportError: If kagglehub is not installed.
        OSError: If it cannot be fetched.
    """
    found, (handle, file) = hub(), _address(source)
    for number in range(_download.TRIES):
        try:
            path = Path(found.model_download(handle, file))
            return path, sums_of(path)
        except Exception as error:  # what kagglehub raises has no class in common
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
            if not _passing(error):
                break
        if number + 1 < _download.TRIES:
            time.sleep(_download.PAUSE * 2**number)
    raise OSError(
        f"{source.file} could not be fetched from {source.url} ({reason}). Is there a network, and may {HOST} be "
        "reached? What came is kept, and the same command goes on."
    )


def _passing(error):
    """Whether another try may help: a broken connection or a server that is busy, and no refusal or full disk."""
    status = getattr(getattr(error, "response", None), "status_code", None) or 0
    refused = 400 <= status < 500 and status not in (408, 429)
    return isinstance(error, OSError) and error.errno not in (errno.ENOSPC, errno.EDQUOT) and not refused
