"""What is read: links lead somewhere, words are spelled, pictures have words, colours can be told apart by all eyes."""

import ast
import functools
import itertools
import os
import re
import subprocess
import sys
import tomllib
from html.parser import HTMLParser

import nbformat
import numpy as np
import pytest
import typer
from colorspacious import cspace_convert, deltaE
from conftest import ROOT
from matplotlib.colors import to_rgb

WORDS = ROOT / "tests" / "words.txt"
NOT_OURS = {"_build", "dummy_data", "node_modules", "build", "dist"}
FOLDERS = ("lessons", "datasets", "benchmarks", "book", "tlteach/weights")
PAGES = [*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.md")))]
PAGES = [path for path in PAGES if not NOT_OURS & set(path.relative_to(ROOT).parts)]
NOTEBOOKS = sorted((ROOT / "lessons").rglob("*.ipynb"))
NOTEBOOKS = [path for path in NOTEBOOKS if ".ipynb_checkpoints" not in path.parts]
SAID = [
    *sorted((ROOT / "lessons" / "quizzes").glob("*.toml")),
    *sorted((ROOT / "tlteach" / "exercises").glob("*_*.py")),
]
MODULES = sorted((ROOT / "tlteach").rglob("*.py"))


def named(path):
    return str(path.relative_to(ROOT))


def prose(path):
    """A page's Markdown, or that of a notebook's text cells."""
    if path.suffix == ".ipynb":
        cells = nbformat.read(path, as_version=4).cells
        return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return path.read_text(encoding="utf-8")


def without_code(text):
    """Markdown without what is to be typed: blocks, indented lines, spans between backticks."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    text = re.sub(r"^    .*$", "", text, flags=re.M)
    return re.sub(r"`[^`\n]*(\n[^`\n]+)?`", " ", text)


def anchors(text):
    """The anchors of a page's headings, as GitHub and the book make them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def broken_links(path):
    """Links of a page to a file or an anchor that is not there; one to another site is not followed."""
    for place, anchor in re.findall(r"\]\(([^)\s#:]*)(?:#([^)\s]+))?\)", without_code(prose(path))):
        target = (path.parent / place) if place else path
        here = target.exists() or is_made(target)
        if (place or anchor) and not (here and (not anchor or anchor in anchors(prose(target)))):
            yield f"{place}#{anchor}" if anchor else place


def is_made(target):
    """Whether a page of the book is made only when the book is: those of the reference."""
    return target.parent == ROOT / "book" / "reference" or (
        target.parent == ROOT / "book" and (ROOT / target.name).exists()
    )


@pytest.mark.parametrize("path", [*PAGES, *NOTEBOOKS], ids=named)
def test_links_lead_somewhere(path):
    assert not list(broken_links(path))


def test_a_broken_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# One two\n\n[a](#one-two) [b](#three) [c](page.md#one-two) [d](nowhere.md) `[e](code.md)` [f](https://x.y)"
    )
    assert list(broken_links(page)) == ["#three", "nowhere.md"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=named)
def test_every_picture_of_a_notebook_has_words(path):
    cells = nbformat.read(path, as_version=4).cells
    pictures = [o for c in cells for o in c.get("outputs", []) if "image/png" in o.get("data", {})]
    told = [o.metadata.get("image/png", {}).get("alt", "") for o in pictures]
    assert all(len(words) > 20 for words in told), "made before figures described themselves: make the lesson again"
    written = re.findall(r"!\[([^]]*)\]\(", prose(path)) + re.findall(
        r"<img(?![^>]*\balt=\"[^\"]+\")[^>]*>", prose(path)
    )
    assert all(written)


def docstrings(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef):
            yield ast.get_docstring(node) or ""


@functools.cache
def dictionary():
    from spellchecker import SpellChecker

    return SpellChecker()


def unknown(text):
    """Words that neither the dictionary nor the list of the field's words has; British spelling is English too."""
    known = set(WORDS.read_text(encoding="utf-8").split())
    text = re.sub(r"https?://\S+|\]\([^)]*\)|\[[^]]*\]\((?:PER|LOC|ORG)\)", " ", text)
    words = set(re.findall(r"(?<![\w./\\-])[a-z]{4,}(?![\w/\\(]|\.\w)", text))
    return sorted(word for word in dictionary().unknown(words) if word not in known and not is_british(word))


def is_british(word):
    """Whether the word is in the dictionary as Americans spell it."""
    ways = "our-or is-iz ys-yz re-er tred-tered lled-led lling-ling ence-ense ogue-og".split()
    pairs = [way.split("-") for way in ways]
    return any(a in word and not dictionary().unknown([word.replace(a, b)]) for a, b in pairs)


def sentences(path):
    """What a quiz or the checks of a lesson say: every string of the file but a comment or a name."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".toml":
        return "\n\n".join(values(tomllib.loads(text)))
    nodes = ast.walk(ast.parse(text))
    return "\n\n".join(n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str))


def values(thing):
    """The strings of a table, however deep."""
    if isinstance(thing, dict | list):
        return [each for part in (thing.values() if isinstance(thing, dict) else thing) for each in values(part)]
    return [thing] if isinstance(thing, str) else []


def everything():
    pages = {named(path): without_code(prose(path)) for path in [*PAGES, *NOTEBOOKS]}
    code = {
        named(path): "\n".join(re.sub(r"`[^`]*`|>>>.*|^ *\.\.\. .*", " ", d, flags=re.M) for d in docstrings(path))
        for path in MODULES
    }
    return pages | code | {named(path): without_code(sentences(path)) for path in SAID}


def test_words_are_spelled():
    wrong = {name: words for name, text in everything().items() if (words := unknown(text))}
    assert not wrong, "a slip, or a word of the field for tests/words.txt"


def test_a_misspelling_is_found():
    assert unknown(without_code("The colour of a netw" + "rok and of a `netwrk` is centred.")) == ["netw" + "rok"]


@pytest.mark.parametrize("name", ["quiz.toml", "check.py"])
def test_a_misspelling_in_a_quiz_or_a_check_is_found(name, tmp_path):
    text = {
        "quiz.toml": "[[questions]]\nwhy = 'A netw" + "rok, no `netwrk`.'\n",
        "check.py": "{1: ['A netw" + "rok']}\n",
    }
    (tmp_path / name).write_text(text[name])
    assert unknown(without_code(sentences(tmp_path / name))) == ["netw" + "rok"]


def test_no_common_misspelling_anywhere():
    program = [sys.executable, "-m", "codespell_lib", "--ignore-words", str(WORDS), "--builtin", "clear,rare"]
    files = subprocess.run(
        ["git", "ls-files", "*.py", "*.md", "*.toml"], cwd=ROOT, capture_output=True, text=True
    ).stdout.split()
    found = subprocess.run([*program, *files], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


EYES = (None, "protanomaly", "deuteranomaly", "tritanomaly")
APART = 10  # CAM02-UCS; about ten of the least steps that can be seen


def seen(colours, eye):
    """Colours as one without a kind of cones sees them, sRGB in 0..1, `(n, 3)`."""
    rgb = np.array([to_rgb(colour) for colour in colours])
    space = {"name": "sRGB1+CVD", "cvd_type": eye, "severity": 100}
    return rgb if eye is None else np.clip(cspace_convert(rgb, space, "sRGB1"), 0, 1)


def nearest(colours, eye):
    pairs = itertools.combinations(seen(colours, eye), 2)
    return min(deltaE(a, b, input_space="sRGB1") for a, b in pairs)


def contrast_with_white(colour):
    """As WCAG 2.2 defines it, 1 to 21."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05)


@pytest.mark.parametrize("eye", EYES)
def test_colours_of_names_can_be_told_apart(eye):
    from tlteach.plots import MANY

    assert nearest(MANY, eye) >= APART
    assert nearest(["#56b4e9", "#ffffff", "#e69f00"], eye) >= APART  # the ends and the middle of the evidence of words


def test_colours_of_names_are_seen_on_white():
    from tlteach.plots import MANY

    assert min(contrast_with_white(colour) for colour in MANY) >= 3  # WCAG 2.2, success criterion 1.4.11
    assert contrast_with_white("white") == 1 and contrast_with_white("black") == 21


def test_every_colour_of_a_plot_is_grey_or_of_the_one_list():
    from tlteach.plots import MANY

    told = {"plots_text.py": {"#56b4e9", "#ffffff", "#e69f00"}, "plots.py": set(MANY)}
    for path in (ROOT / "tlteach").glob("plots*.py"):
        assert set(re.findall(r"#[0-9a-f]{6}\b", path.read_text(encoding="utf-8"))) <= told.get(path.name, set())
        assert "tab10" not in path.read_text(encoding="utf-8")


def test_usual_colours_would_not_do():
    assert nearest(["#ff7f0e", "#2ca02c"], "protanomaly") < APART  # Matplotlib's orange and green


class Site(HTMLParser):
    """What a page of the book asks for."""

    def __init__(self, text):
        super().__init__()
        self.asked, self.pictures = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag in ("script", "img", "link", "iframe") and given.get("rel") not in (
            "index",
            "search",
            "next",
            "prev",
            "canonical",
        ):
            self.asked.append(given.get("src") or given.get("href") or "")
        if tag == "img":
            self.pictures.append(given.get("alt") or "")


def test_the_book_is_made_without_a_warning_and_asks_for_nothing_elsewhere(tmp_path):
    program = [sys.executable, str(ROOT / "tools" / "make_book.py"), "--out", str(tmp_path)]
    done = subprocess.run(program, capture_output=True, text=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})
    assert done.returncode == 0, done.stderr[-3000:]
    pages = {p: Site(p.read_text(encoding="utf-8")) for p in (tmp_path / "html").rglob("*.html")}
    lessons = {p.stem for p in pages if p.parent.name == "lessons"}
    assert lessons == {p.stem for p in (ROOT / "lessons").glob("*.ipynb")}
    asked = {address for page in pages.values() for address in page.asked}
    assert not [address for address in asked if re.match(r"(https?:)?//", address)]
    assert all(words for page in pages.values() for words in page.pictures)
    import tlteach as tl

    reference = "".join(p.read_text(encoding="utf-8") for p in pages if p.parent.name == "reference")
    assert not [name for name in tl.__all__ if f'id="tlteach.{name}"' not in reference]


def test_who_cannot_look_at_the_book_is_told_why(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(ROOT / "tools")
    import look_at_book

    (tmp_path / "index.html").write_text("<p>One</p>")
    monkeypatch.setitem(sys.modules, "selenium", None)
    for given, sentence in (
        ((None, tmp_path / "none"), f"Received: {tmp_path / 'none'}. Make it: `python tools/make_book.py`."),
        ((["two"], tmp_path), "must have one of two in it. None of 1 has, such as index.html."),
        (
            (None, tmp_path),
            "needs selenium, which is not installed here. Install it: `pip install selenium`, and Chromium",
        ),
    ):
        with pytest.raises(typer.Exit) as left:
            look_at_book.main(*given, shots=None)
        assert left.value.exit_code == 2 and sentence in capsys.readouterr().out
