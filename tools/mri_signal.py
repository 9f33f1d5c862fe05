"""From tissue to grey value: the spin-echo equation, gadolinium, two scanners, bias, noise and window.

Times are in milliseconds, at 1.5 tesla.
"""

import numpy as np
from mri_atlas import grain

# Proton density, T1, T2, and mmol of gadolinium a litre after it was injected. The first five are those of the
# BrainWeb simulator (Kwan et al. 1999). Measured tumours scatter and overlap widely (Kjaer et al. 1991), so theirs
# are round values between grey matter and fluid, and every patient's differ; gland and adenoma follow the order
# that Pasztor et al. 1987 found in vitro.
TISSUES = {
    "csf": (1.00, 2569, 329, 0.00),
    "grey": (0.86, 833, 83, 0.01),
    "white": (0.77, 500, 70, 0.01),
    "fat": (1.00, 350, 70, 0.00),
    "muscle": (1.00, 900, 47, 0.06),
    "skin": (0.90, 900, 45, 0.08),
    "bone": (0.05, 500, 12, 0.00),
    "marrow": (0.72, 480, 60, 0.03),
    "air": (0.00, 500, 50, 0.00),
    "dura": (0.60, 800, 35, 0.20),
    "mucosa": (0.90, 1000, 110, 0.35),
    "vitreous": (1.00, 2500, 350, 0.00),
    "lens": (0.70, 1000, 35, 0.00),
    "gland": (0.86, 830, 76, 0.40),
    "vein": (0.70, 1200, 45, 1.20),  # blood moves away: short T2; gadolinium makes up for it
    "artery": (0.06, 1200, 60, 0.50),
    "choroid": (0.90, 1300, 140, 0.30),
    "old_white": (0.84, 900, 120, 0.00),
    "oedema": (0.86, 1100, 140, 0.02),
    "glioma": (0.90, 1150, 135, 0.04),
    "glioma_rim": (0.90, 1050, 120, 1.00),
    "necrosis": (0.96, 1900, 230, 0.02),
    "meningioma": (0.87, 930, 96, 1.00),
    "adenoma": (0.87, 980, 100, 0.70),
    "cyst": (0.97, 1700, 240, 0.00),
}
FATTY, FAT_LEFT = ("fat", "marrow"), 0.3  # fat is suppressed after gadolinium: else it is as bright as a tumour
LESIONS = ("oedema", "glioma", "glioma_rim", "necrosis", "meningioma", "adenoma", "cyst")
RELAXIVITY = (4.8, 5.5)  # litre / (mmol s) of gadobutrol in plasma (Szomolanyi et al. 2019 for the first)
# A is sharp and quiet, B is older: other times, more noise, coarser, and it sends its pictures out brighter.
SCANNERS = {
    "A": dict(
        times={"t1": (420, 10), "t1_gd": (420, 10), "t2": (4000, 95)},
        noise=0.014, blur=0.35, bias=0.06, fov=226.0, gamma=1.0, black=35, white=3.0,
    ),
    "B": dict(
        times={"t1": (480, 13), "t1_gd": (480, 13), "t2": (3000, 105)},
        noise=0.020, blur=0.60, bias=0.10, fov=236.0, gamma=0.92, black=15, white=2.7,
    ),
}  # fmt: skip


def spin_echo(density, t1, t2, *, tr, te):
    """Return the signal PD (1 - exp(-TR / T1)) exp(-TE / T2) of a spin echo."""
    return density * (1 - np.exp(-tr / t1)) * np.exp(-te / t2)


def with_gadolinium(t1, t2, concentration):
    """Return T1 and T2 in ms, shortened by `concentration` mmol a litre: 1/T' = 1/T + r c."""
    return tuple(1000 / (1000 / t + r * concentration) for t, r in zip((t1, t2), RELAXIVITY, strict=True))


def signals(contrast, scanner, random):
    """Return each tissue's signal in one patient: all values and times differ by some percent."""
    tr, te = np.array(SCANNERS[scanner]["times"][contrast]) * random.normal(1, 0.02, 2)
    found = {}
    for name, (density, t1, t2, dose) in TISSUES.items():
        spread = 0.06 if name in LESIONS else 0.015
        jitter = np.exp(random.normal(0, spread, 4))
        t1, t2 = t1 * jitter[0], t2 * jitter[1]
        if contrast == "t1_gd":
            density = density * (FAT_LEFT if name in FATTY else 1)
            t1, t2 = with_gadolinium(t1, t2, dose * jitter[3] ** 2)
        found[name] = spin_echo(density * min(jitter[2], 1 / density if density else 1), t1, t2, tr=tr, te=te)
    return found


def bias_field(points, strength, random):
    """Return the coil's smooth factor about 1 at `points` `(3, ...)` in mm of the scanner."""
    return np.exp(strength * np.clip(grain(random, 160)(points), -2, 2))


def rician(signal, sigma, random):
    """Return the length of a complex number: the signal with normal noise in both of its parts."""
    return np.hypot(signal + random.normal(0, sigma, signal.shape), random.normal(0, sigma, signal.shape))


def window(signal, scanner, random):
    """Turn a patient's signals to grey values 0..255, as the scanner's console does."""
    settings = SCANNERS[scanner]
    head = signal[signal > signal.mean()]
    black = np.percentile(signal, settings["black"])
    white = np.median(head) * settings["white"] * random.uniform(0.97, 1.03)
    scaled = np.clip((signal - black) / (white - black), 0, 1) ** (settings["gamma"] * np.exp(random.normal(0, 0.02)))
    return np.round(255 * scaled).astype(np.uint8)
