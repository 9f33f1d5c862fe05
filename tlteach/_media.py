"""One example of a data set, a picture or a recording: what it is shows in the file's ending."""

from pathlib import Path

from tlteach import _pictures, _sounds

SUFFIXES = (*_pictures.SUFFIXES, *_sounds.SUFFIXES)


def is_sound(path):
    """Whether a file's ending is that of a recording."""
    return Path(path).suffix.lower() in _sounds.SUFFIXES


def decode(source):
    """Return an example as a picture, `(height, width, 3)`, uint8 in 0..255.

    Args:
        source: Path of a picture or of a recording, or a `Recording`.

    Raises:
        ValueError: If the file cannot be read.
    """
    if not isinstance(source, _sounds.Recording):
        if not is_sound(source):
            return _pictures.decode(source)
        source = _sounds.Recording(source)
    return source.picture()


def recognise(path):
    """Return `(sha256, look, remark)` of a file; the remark is empty where nothing is odd about it.

    Args:
        path: Path of a picture or of a recording.

    Raises:
        ValueError: If the file cannot be read.
    """
    return _sounds.recognise(path) if is_sound(path) else (*_pictures.recognise(path), "")
