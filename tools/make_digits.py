"""Let synthetic voices say the ten digits, in rooms and through microphones, and pack the recordings.

    apt-get install espeak-ng flite
    python tools/make_digits.py --out datasets/spoken_digits/mini

The same command gives the same bytes again with the same versions of espeak-ng, flite, NumPy, SciPy and
libsndfile. `--words` makes the larger set of other words that the speech source is pretrained on.
"""

import csv
import io
import zipfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
import typer
from tqdm import tqdm
from voices_engines import RATE, speak, versions
from voices_rooms import MICROPHONES, NOISES, ROOMS, WORDS_AGAINST_NOISE, take
from voices_speakers import digit_speakers, word_speakers
from voices_words import DIGITS, OTHERS, check_words

COLUMNS = "path label split speaker accent engine voice rate pitch room microphone noise snr_db melody".split()
MELODIES = ("", "?", "!")  # what stands after the word
CLOCK = (2020, 1, 1, 0, 0, 0)  # archives keep times; a fixed one keeps the bytes
STEP = 2**5  # of 2**15: eleven bits are heard as clean, and FLAC stores them in less room


def plan(speakers, words, *, takes, seed):
    """Decide about every recording before one is made.

    Args:
        speakers: List of `Speaker`.
        words: What each of them says.
        takes: How often.
        seed: Decides about everything.

    Returns:
        A list of dictionaries with the keys `COLUMNS` and `speaker_`, the `Speaker`.
    """
    rows = []
    for speaker in speakers:
        random = np.random.default_rng([seed, 3, *speaker.speaker.encode()])
        for word in words:
            for number in range(takes):
                path = f"{word}/{speaker.speaker}_{number + 1}.flac"
                own = speaker._asdict() | _conditions(random)
                rows.append({"path": path, "label": word, **own, "speaker_": speaker})
    return rows


def _conditions(random):
    """Draw a room, a microphone, noise and a melody: alike for every word, so none of them tells words apart."""
    drawn = {"room": list(ROOMS), "microphone": list(MICROPHONES), "noise": NOISES, "melody": MELODIES}
    found = {name: str(random.choice(values)) for name, values in drawn.items()}
    level = round(random.uniform(*WORDS_AGAINST_NOISE), 1)
    return found | {"snr_db": "" if found["noise"] == "none" else level}


def record(row, seed):
    """Return one recording as the bytes of a FLAC file, 8 kHz, mono.

    Args:
        row: A row of the plan.
        seed: Decides about echoes, noise, and how this take differs from the speaker's others.
    """
    random = np.random.default_rng([seed, 4, *row["path"].encode()])
    how = {"faster": random.uniform(0.88, 1.14), "higher": random.uniform(0.9, 1.1)}
    samples = take(speak(row["speaker_"], row["label"] + row["melody"], **how), row, random)
    whole = np.clip(np.round(samples * 2**15 / STEP) * STEP, -(2**15), 2**15 - STEP).astype("int16")
    file = io.BytesIO()
    soundfile.write(file, whole, RATE, format="FLAC", subtype="PCM_16", compression_level=1.0)
    return file.getvalue()


def _recorded(job):
    return record(*job)


def pack(files, path):
    """Write `(name, bytes)` pairs, uncompressed and with a fixed time."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files:
            archive.writestr(zipfile.ZipInfo(name, CLOCK), data)


def write_table(rows, path):
    """Write the plan as CSV with the columns `COLUMNS`."""
    melodies = {"": "plain", "?": "question", "!": "call"}
    with open(path, "w", newline="") as opened:
        writer = csv.DictWriter(opened, COLUMNS, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(row | {"melody": melodies[row["melody"]]} for row in rows)


def main(
    out: Path = typer.Option(Path("datasets/spoken_digits/mini"), help="Folder for digits.zip and digits.csv."),
    words: bool = typer.Option(False, help="Other words than the digits, by other voices: words.zip and words.csv."),
    speakers: int = typer.Option(60, help="Speakers of the other words."),
    takes: int = typer.Option(4, help="How often a speaker says a digit; other words are said once."),
    seed: int = typer.Option(0, help="Another seed gives other recordings."),
    workers: int = typer.Option(2, help="Processes; the bytes don't depend on it."),
):
    """Record the digits and write digits.zip and digits.csv; or with --words the source's words.

    Example: python tools/make_digits.py --words --out build/words
    """
    name = "words" if words else "digits"
    if words:
        rows = plan(word_speakers(speakers, seed), check_words(OTHERS), takes=1, seed=seed)
    else:
        rows = plan(digit_speakers(seed), DIGITS, takes=takes, seed=seed)
    out.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(workers) as pool:
        jobs = [(row, seed) for row in rows]
        made = tqdm(pool.map(_recorded, jobs, chunksize=8), total=len(jobs), desc="record", unit="word")
        pack(zip([row["path"] for row in rows], made, strict=True), out / f"{name}.zip")
    write_table(rows, out / f"{name}.csv")
    size = (out / f"{name}.zip").stat().st_size
    print(f"{len(rows)} recordings by {len({r['speaker'] for r in rows})} voices, {size:,} bytes ({versions()})")


if __name__ == "__main__":
    typer.run(main)
