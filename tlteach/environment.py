"""Versions: what a lesson was run with, so that two people can compare their numbers."""

import os
import platform


def versions():
    """Tell what this notebook runs on.

    Numbers differ a little between versions and machines; who asks about them should say these.

    Returns:
        `pandas.Series` of strings: tlteach, Python, Keras, backend, NumPy, size, machine.

    Example:
        >>> import tlteach as tl
        >>> tl.versions()["size"]
        'mini'
    """
    import keras
    import numpy
    import pandas as pd

    import tlteach
    from tlteach._assets import default_size

    backend = keras.backend.backend()
    found = {
        "tlteach": tlteach.__version__,
        "Python": platform.python_version(),
        "Keras": keras.version(),
        "backend": f"{backend} {_version_of(backend)}".strip(),
        "NumPy": numpy.__version__,
        "size": default_size(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }
    return pd.Series(found, name="version")


def _version_of(package):
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # such as tensorflow-cpu, which brings `tensorflow`
        return ""
