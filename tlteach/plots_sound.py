"""Plots of sound: each takes `ax=None`, draws what was computed, and returns the Axes."""

import numpy as np

from tlteach.plots import _axes

LABELLED = (100, 200, 500, 1000, 2000, 3500)  # hertz


def plot_spectrogram(spectrogram, *, ax=None):
    """Draw a spectrogram with seconds along and hertz upwards, as a network sees it.

    Args:
        spectrogram: `Spectrogram` from `spectrogram`.
        ax: Axes to draw on; new ones if `None`.

    Returns:
        The Axes.

    Example:
        >>> import numpy as np, tlteach as tl
        >>> tone = np.sin(2 * np.pi * 440 * np.arange(4000) / 8000)
        >>> tl.plot_spectrogram(tl.spectrogram(tone)).get_ylabel()
        'frequency (Hz, mel scale)'
    """
    ax = _axes(ax, (4.2, 3.2))
    level, seconds, hertz = spectrogram
    ax.imshow(
        level, origin="lower", aspect="auto", cmap="magma", extent=(seconds[0], seconds[-1], -0.5, len(hertz) - 0.5)
    )
    shown = [each for each in LABELLED if hertz[0] <= each <= hertz[-1]]
    ax.set_yticks(np.interp(shown, hertz, np.arange(len(hertz))), [f"{each:,}" for each in shown])
    ax.set(xlabel="time (s)", ylabel="frequency (Hz, mel scale)")
    return ax
