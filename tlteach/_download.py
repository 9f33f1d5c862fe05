"""Fetching a file: with progress, again after a broken connection, and on from where it broke off."""

import http.client
import os
import time
import urllib.error
import urllib.request

from tqdm import tqdm

from tlteach._assets import write_beside
from tlteach._sources import fault, sums_of

TRIES = 5
PAUSE = 2.0  # seconds before the second try; twice as many before each further one
TIMEOUT = 30  # seconds without a byte
_BLOCK = 2**18


def fetch(source, path):
    """Fetch a published file; a file that is there and right is not fetched again.

    Args:
        source: `Source`.
        path: `pathlib.Path` where it goes; beside it, `.part` keeps what a broken call fetched and, where no sum is
            published, `.part.etag` which file the server said it was.

    Returns:
        Its size, SHA-256 and MD5.

    Raises:
        OSError: If it cannot be fetched, or is not the published file.
    """
    if path.is_file() and not fault(source, found := sums_of(path)):
        return found
    part = path.with_name(path.name + ".part")
    _fetch_all(source, part)
    found = sums_of(part)
    if wrong := fault(source, found):
        part.unlink()
        raise OSError(f"{wrong}; what came from {source.url} is another file or broken: try again.")
    os.replace(part, path)
    _tag_file(part).unlink(missing_ok=True)
    return found


def _fetch_all(source, part):
    for number in range(TRIES):
        try:
            return _fetch_rest(source, part)
        except urllib.error.HTTPError as error:
            reason = f"{error.code} {error.reason}"
            if error.code == 416 and part.exists() and part.stat().st_size:  # nothing is left, or the part is too long
                if source.sum:  # which tells
                    return None
                part.unlink()
                continue
            if error.code < 500 and error.code not in (408, 429):
                break
        except (http.client.HTTPException, urllib.error.URLError, ConnectionError, TimeoutError) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        if number + 1 < TRIES:
            time.sleep(PAUSE * 2**number)
    raise OSError(
        f"{source.file} could not be fetched from {source.url} ({reason}). Is there a network, and may it be reached? "
        "What came is kept, and the same command goes on."
    )


def _tag_file(part):
    return part.with_name(part.name + ".etag")


def _begun(source, part):
    """Return how many bytes of a part count, and which file the server said they are from.

    Without a published sum nobody would notice halves that do not belong together, so the server is asked for the
    rest of the very same file; a part of an unknown file does not count.
    """
    have = part.stat().st_size if part.exists() else 0
    if source.sum:
        return have, None
    tag = _tag_file(part).read_text(encoding="utf-8") if _tag_file(part).exists() else ""
    return (have, tag) if tag else (0, None)


def _begin(source, part, tag):
    """Empty a part, and note which file it will be from; a weak tag (`W/...`) does not tell one byte from another."""
    _tag_file(part).unlink(missing_ok=True)
    part.write_bytes(b"")
    if tag and not source.sum and not tag.startswith("W/"):
        write_beside(_tag_file(part), tag)


def _fetch_rest(source, part):
    """Ask for what is missing; a server that knows no ranges sends all of it again."""
    have, tag = _begun(source, part)
    headers = {"Range": f"bytes={have}-"} if have else {}
    request = urllib.request.Request(source.url, headers=headers | ({"If-Range": tag} if have and tag else {}))
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        have = have if answer.status == 206 else 0
        if have and tag and answer.headers.get("ETag") != tag:
            part.unlink()
            raise ConnectionError("the file at this address has changed")
        if not have:
            _begin(source, part, answer.headers.get("ETag"))
        total = have + int(answer.headers.get("Content-Length") or 0)
        bar = tqdm(total=total or None, initial=have, unit="B", unit_scale=True, desc=source.file[:40], delay=2)
        with bar, open(part, "ab") as file:
            while block := answer.read(_BLOCK):
                file.write(block)
                bar.update(len(block))
            have = file.tell()
    if total and have < total:
        raise ConnectionError(f"the connection ended after {have} of {total} bytes")
