"""Fetching a file: with progress, again after a broken connection, and on from where it broke off."""

import http.client
import os
import time
import urllib.error
import urllib.request

from tqdm import tqdm

from tlteach._sources import fault, sums_of

TRIES = 5
PAUSE = 2.0  # seconds before the second try; twice as many before each further one
TIMEOUT = 30  # seconds without a byte
_BLOCK = 2**18


def fetch(source, path):
    """Fetch a published file; a file that is there and right is not fetched again.

    Args:
        source: `Source`.
        path: `pathlib.Path` where it goes; beside it, `.part` keeps what a broken call fetched.

    Returns:
        Its size, SHA-256 and MD5.

    Raises:
        OSError: If it cannot be fetched, or is not the published file.
    """
    if path.is_file() and not fault(source, found := sums_of(path)):
        return found
    part = path.with_name(path.name + ".part")
    if not source.sum:
        part.unlink(missing_ok=True)  # without a published sum nobody would notice halves that do not belong together
    _fetch_all(source, part)
    found = sums_of(part)
    if wrong := fault(source, found):
        part.unlink()
        raise OSError(f"{wrong}; what came from {source.url} is another file or broken: try again.")
    os.replace(part, path)
    return found


def _fetch_all(source, part):
    for number in range(TRIES):
        try:
            return _fetch_rest(source, part)
        except urllib.error.HTTPError as error:
            reason = f"{error.code} {error.reason}"
            if error.code == 416 and part.stat().st_size:  # nothing is left, or the part is too long: its sum tells
                return None
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


def _fetch_rest(source, part):
    """Ask for what is missing; a server that knows no ranges sends all of it again."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(source.url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        have = have if answer.status == 206 else 0
        total = have + int(answer.headers.get("Content-Length") or 0)
        bar = tqdm(total=total or None, initial=have, unit="B", unit_scale=True, desc=source.file[:40], delay=2)
        with bar, open(part, "ab" if have else "wb") as file:
            while block := answer.read(_BLOCK):
                file.write(block)
                bar.update(len(block))
            have = file.tell()
    if total and have < total:
        raise ConnectionError(f"the connection ended after {have} of {total} bytes")
