"""Brain slices: `mini` reads simulated ones beside this file, `full` downloads those of patients with a tumour."""

import csv
import hashlib
import io
import re
import zipfile
import zlib
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from etils import epath
from PIL import Image

HERE = Path(__file__).resolve().parent
URL = "https://ndownloader.figshare.com/files/{}"
# name: number of the file, bytes, MD5, as the article's record has them
ARCHIVES = {
    "brainTumorDataPublic_1-766.zip": (3381290, 214_401_279, "74b949ad33f042e6e103523091cd1428"),
    "brainTumorDataPublic_767-1532.zip": (3381296, 217_848_429, "7e8a875500d2c8a346f270538e29890e"),
    "brainTumorDataPublic_1533-2298.zip": (3381293, 215_563_856, "8227bf6080cb71f15a88be8d25c79ae7"),
    "brainTumorDataPublic_2299-3064.zip": (3381302, 231_679_762, "b378a80d6174e5317d59eb28430c6652"),
}
SLICES, PATIENTS = 3064, 233  # in all four
MEMBER = re.compile(r"(?:.*/)?(\d+)\.mat")
CLASSES = {1: "meningioma", 2: "glioma", 3: "pituitary"}
FIELDS = ("PID", "image", "label", "tumorBorder", "tumorMask")
HEADER = b"MATLAB 7.3 MAT-file"  # what MATLAB writes before the HDF5 file
WINDOW = (0.5, 99.5)  # percentiles of a slice that become black and white
SPLITS = ("train", "val", "test")
NUMBERS = ("slice", "level_mm", "lesion_mm2", "pixel_mm")  # of mini's columns; the others are text
OWN = ("path", "label", "split")


# Not registered, as the other data sets of the project: it is loaded from its path.
class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Build `brain_mri` in its `mini` or its `full` size."""

    name = "brain_mri"  # also when loaded from its path under another module name
    code_path = epath.Path(__file__)
    pkg_dir_path = epath.Path(HERE)
    mini_folder = HERE / "mini"

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name="mini", description="Simulated slices, no download."),
        tfds.core.BuilderConfig(name="full", description="3,064 slices of 233 patients with a tumour, 879 MB."),
    ]

    def _info(self):
        mini = self.builder_config.name == "mini"
        picture = tfds.features.Image(shape=(None, None, 1), encoding_format="png")
        classes = {row["label"] for row in self._table()} if mini else CLASSES.values()
        features = {
            "image": picture,
            "image/filename": tfds.features.Text(),
            "label": tfds.features.ClassLabel(names=sorted(classes)),
            "patient": tfds.features.Text(),
            "mask": picture,  # 255 where the lesion is
        }
        features |= {name: _feature(name) for name in (self._table()[0] if mini else ()) if name not in OWN}
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
            homepage=None if mini else "https://doi.org/10.6084/m9.figshare.1512427",
        )

    def _split_generators(self, dl_manager):
        if self.builder_config.name == "mini":
            return {split: self._simulated(split) for split in SPLITS}
        paths = _by_hand(Path(dl_manager.download_dir) / "manual") or dl_manager.download(
            {name: URL.format(number) for name, (number, *_) in ARCHIVES.items()}
        )
        for name, path in paths.items():
            _check_archive(name, Path(path), downloads=Path(dl_manager.download_dir))
        return {"train": _slices(paths)}  # one split: whoever reads it splits by patient

    def _generate_examples(self, examples):
        yield from examples

    def _table(self):
        with open(self.mini_folder / "slices.csv", newline="") as table:
            return list(csv.DictReader(table))

    def _simulated(self, split):
        """Yield the simulated slices of a split, in the order of the table."""
        rows = [row for row in self._table() if row["split"] == split]
        masks = self.mini_folder / "masks" / "masks.zip"
        with zipfile.ZipFile(self.mini_folder / "slices.zip") as archive, zipfile.ZipFile(masks) as lesions:
            drawn = set(lesions.namelist())
            for row in rows:
                pixels = _decode(archive.read(row["path"]))
                mask = _decode(lesions.read(row["path"])) if row["path"] in drawn else np.zeros_like(pixels)
                columns = {name: _value(name, text) for name, text in row.items() if name not in OWN}
                example = {"image": pixels, "image/filename": row["path"], "label": row["label"], "mask": mask}
                yield row["path"], example | columns


def _feature(name):
    return tfds.features.Scalar(np.float32) if name in NUMBERS else tfds.features.Text()


def _value(name, text):
    return np.float32(text or "nan") if name in NUMBERS else text


def _decode(data):
    """Decode a grey picture to `(height, width, 1)`, uint8."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("L"))[..., None]


def _by_hand(folder):
    """Return the archives that someone has put into the folder of manual downloads, or `None` if not all are there."""
    paths = {name: folder / name for name in ARCHIVES}
    return paths if all(path.is_file() for path in paths.values()) else None


def _check_archive(name, path, *, downloads):
    """Raise unless a file is the archive as published; a wrong download is removed, so that the next try fetches it."""
    _, size, md5 = ARCHIVES[name]
    told = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(2**20):
            told.update(block)
    received = path.stat().st_size, told.hexdigest()
    if received != (size, md5):
        if downloads in path.parents and path.parent != downloads / "manual":
            path.unlink()
        raise OSError(
            f"{name} must have {size} bytes and MD5 {md5}. Received: {received[0]} bytes, MD5 {received[1]}; "
            "the download broke off or is another version: try again."
        )


def _slices(paths):
    """Yield the slices of all archives; members are read in memory, so nothing is unpacked to a place of its choice."""
    numbers, patients = [], set()
    for name, path in paths.items():
        with _opened(name, path) as archive:
            members = [(int(m[1]), m[0]) for m in map(MEMBER.fullmatch, archive.namelist()) if m]
            for number, member in sorted(members):
                example = read_slice(_member(archive, name, member), name=f"{number}.mat")
                numbers.append(number)
                patients.add(example["patient"])
                yield number, {"image/filename": f"{number}.png", **example}
    if sorted(numbers) != list(range(1, SLICES + 1)) or len(patients) != PATIENTS:
        raise ValueError(
            f"the archives must hold 1.mat to {SLICES}.mat of {PATIENTS} patients. "
            f"Received: {len(numbers)} files of {len(patients)} patients."
        )


def _opened(name, path):
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise OSError(f"{name} must be a whole zip archive. Received: one that cannot be opened ({error}).") from error


def _member(archive, name, member):
    try:
        return archive.read(member)
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise OSError(f"{name} must be a whole zip archive. Received: a broken {member} ({error}).") from error


def read_slice(data, *, name):
    """Read one MATLAB v7.3 file of the article.

    Args:
        data: The file's bytes.
        name: What to call it in an error.

    Returns:
        image and mask `(height, width, 1)`, uint8 in 0..255; label; patient.

    Raises:
        ImportError: If h5py is missing.
        ValueError: If it is no such file, is cut off, lacks a field, or one of them cannot be what it should be.
    """
    try:
        import h5py
    except ImportError as error:
        raise ImportError("brain_mri in full size needs h5py. Install it with: pip install 'tlteach[full]'.") from error
    if not data.startswith(HEADER):
        raise ValueError(f"{name} must be a MATLAB v7.3 file. Received: one that begins with {data[:20]!r}.")
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            held = {field: file.get(f"cjdata/{field}") for field in FIELDS}
            found = {field: data[()] for field, data in held.items() if isinstance(data, h5py.Dataset)}
    except (OSError, RuntimeError, KeyError) as error:  # what HDF5 raises for a file that is cut off or damaged
        raise ValueError(f"{name} must be a whole HDF5 file. Received: a broken one ({str(error)[:80]}).") from error
    missing = [field for field in FIELDS if field not in found]
    if missing:
        raise ValueError(f"{name} must have the fields cjdata/{', '.join(FIELDS)}. Received: none called {missing[0]}.")
    for field, values in found.items():
        if np.asarray(values).dtype.kind not in "biuf":
            raise ValueError(f"{name}: {field} must be numbers. Received: {str(np.ravel(values)[:1])[:80]}.")
    return _example(found, name)


def _example(found, name):
    label = float(np.ravel(found["label"])[0]) if np.size(found["label"]) == 1 else None
    if label not in CLASSES:
        raise ValueError(f"{name}: label must be 1, 2 or 3. Received: {np.ravel(found['label']).tolist()[:5]}.")
    patient = _patient(found["PID"], name)
    image, mask = found["image"].T, found["tumorMask"].T  # MATLAB writes column by column: (width, height) in HDF5
    if image.ndim != 2 or image.shape != mask.shape:
        raise ValueError(f"{name}: image and tumorMask must be of one size. Received: {image.shape} and {mask.shape}.")
    for field, values in (("image", image), ("tumorMask", mask)):
        if wrong := int(np.sum(~np.isfinite(values))):
            raise ValueError(
                f"{name}: {field} must be finite numbers. Received: {wrong} of {values.size} that are not."
            )
    return {
        "image": to_eight_bits(image)[..., None],
        "mask": np.where(mask > 0, 255, 0).astype("uint8")[..., None],
        "label": CLASSES[label],
        "patient": patient,
    }


def _patient(codes, name):
    """Read the patient, which MATLAB writes as the 16-bit codes of characters; a number could not be told from one."""
    if codes.dtype != np.uint16:
        told = f"{codes.dtype.name} {np.ravel(codes).tolist()[:5]}"
        raise ValueError(f"{name}: PID must be the codes of some characters, uint16. Received: {told}.")
    patient = "".join(chr(code) for code in np.ravel(codes) if code).strip()
    if not patient:
        raise ValueError(f"{name}: PID must be the codes of some characters. Received: none.")
    return patient


def to_eight_bits(values):
    """Scale a slice to 0..255 by a window of its own: scanners have no common unit.

    Args:
        values: `(height, width)`, any range; what lies outside the percentiles of the window is cut off.
    """
    low, high = np.percentile(values, WINDOW)
    scaled = (values.astype("float64") - low) / max(high - low, 1e-9)
    return np.clip(scaled * 255, 0, 255).round().astype("uint8")
