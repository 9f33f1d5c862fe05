"""Make the book: a site of the lessons with their outputs, the library's reference, the glossary and the cards.

python tools/make_book.py                 # book/_build/html/index.html
python tools/make_book.py --out FOLDER

The pages are put together in a folder that has the repository's own layout, so that links between them hold; a link to
a file that is no page goes to the repository. Nothing is executed and nothing is fetched. A warning is an error.
"""

import ast
import os
import re
import shutil
import sys
import tomllib
from pathlib import Path

import nbformat
import typer

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
PAGES = (
    "README.md",
    "lessons/[0-9]*.ipynb",
    "lessons/solutions/*.ipynb",
    "lessons/teaching/*.md",
    "datasets/*/README.md",
    "tlteach/weights/README.md",
    "benchmarks/README.md",
)
# The road; what a step does not name is found under its last line.
STEPS = {
    "Data": "data tables masks splitting frontends",
    "Backbones and features": "backbones transplant costs features",
    "Heads": "heads entities",
    "Freezing and fine-tuning": "freezing finetune learning_rates search",
    "Evaluation": "evaluation decisions subgroups calibration activation_maps occlusion",
    "Plots": "plots plots_evaluation plots_sound plots_text",
    "Further": "lessons",
}


def main(out: Path = typer.Option(BOOK / "_build", help="Folder for the site and what it is made of.")):
    from sphinx.cmd.build import build_main

    out = out.resolve()
    source = out / "source"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(BOOK, source, ignore=shutil.ignore_patterns("_build", "__pycache__"))
    pages = take_pages(source)
    write_reference(source)
    write_contents(source, pages)
    os.environ["TLTEACH_BOOK_ROOT"] = str(ROOT)
    sys.path.insert(0, str(ROOT))
    wrong = build_main(["-W", "--keep-going", "-q", "-E", "-d", str(out / "doctrees"), str(source), str(out / "html")])
    if wrong:
        raise typer.Exit(wrong)
    print(out / "html" / "index.html")


def take_pages(target):
    """Copy every page that there is to its own place under a folder; return their paths in order."""
    pages = [path.relative_to(ROOT) for pattern in PAGES for path in sorted(ROOT.glob(pattern))]
    for page in pages:
        (target / page).parent.mkdir(parents=True, exist_ok=True)
        if page.suffix == ".ipynb":
            take_notebook(page, target / page, pages)
        else:
            (target / page).write_text(titled(page, relinked(read(page), page, pages)), encoding="utf-8")
    return pages


def read(page):
    return (ROOT / page).read_text(encoding="utf-8")


def take_notebook(page, target, pages):
    notebook = nbformat.read(ROOT / page, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = relinked(cell.source, page, pages)
    nbformat.write(notebook, target)


def titled(page, text):
    """A page's text with its folder's name as the title, where it has none: cards begin with a sentence."""
    return text if text.startswith("# ") else f"# {name_of(page.parent.name)}\n\n{text}"


def name_of(folder):
    return folder.replace("_", " ").capitalize().replace("mri", "MRI")


def relinked(text, page, pages):
    """A page's text: its links to what is no page go to the repository, and a badge from a network becomes words."""
    text = re.sub(r"!\[([^]]*)\]\(https?://[^)]*\)", r"\1", text)
    return re.sub(r"(?<!`)(\]\()([^)\s#:]+)(#[^)\s]*)?(\))", lambda found: _link(found, page, pages), text)


def _link(found, page, pages):
    place = os.path.normpath(page.parent / found[2])
    if Path(place) in pages or not (ROOT / place).exists():
        return found[0]  # what is nowhere, Sphinx tells
    kind = "tree" if (ROOT / place).is_dir() else "blob"
    return f"]({repository()}/{kind}/main/{place}{found[3] or ''})"


def repository():
    return tomllib.loads(read("pyproject.toml"))["project"]["urls"]["Repository"]


def homes():
    """Public names by their module, as `tlteach` has them."""
    tree = ast.parse(read("tlteach/__init__.py"))
    found = (node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "_HOMES")
    return ast.literal_eval(next(found))


def write_reference(target):
    """Write a page for each step of the road with its modules' names, and their index."""
    (target / "reference").mkdir()
    left = homes()
    for step, modules in STEPS.items():
        taken = [name for name in modules.split() if name in left]
        taken += [name for name in left if name not in taken and belongs(name, step)]
        text = heading(step, "=") + "".join(section(name, left.pop(name)) for name in taken)
        (target / "reference" / f"{slug(step)}.rst").write_text(text, encoding="utf-8")


def belongs(module, step):
    """Whether a module that no step names is told of there: plots by their name, what is left at the end."""
    if step == "Plots":
        return module.startswith("plots")
    return step == "Further" and module not in " ".join(STEPS.values()).split()


def section(module, names):
    said = ast.get_docstring(ast.parse(read(f"tlteach/{module}.py"))).split("\n\n")[0]
    text = heading(f"tlteach.{module}", "-") + said + "\n\n.. py:currentmodule:: tlteach\n\n"
    for name in names:
        kind = "autoclass" if name[0].isupper() else "autofunction"
        text += f".. {kind}:: tlteach.{name}\n" + ("   :members:\n" if kind == "autoclass" else "") + "\n"
    return text


def heading(text, line):
    return f"{text}\n{line * len(text)}\n\n"


def slug(step):
    return step.lower().replace(" ", "_")


def write_contents(target, pages):
    """Put the tables of contents into the index, a part of the book each; a part that has no page is left out."""
    stems = [page.with_suffix("").as_posix() for page in pages]
    parts = {
        "Lessons": [stem for stem in stems if re.match(r"lessons/\d", stem)],
        "Solutions": [stem for stem in stems if stem.startswith("lessons/solutions/")],
        "For teachers": [stem for stem in stems if stem.startswith("lessons/teaching/")],
        "The library": ["README", "glossary", *(f"reference/{slug(step)}" for step in STEPS)],
        "Cards and measurements": [
            *(stem for stem in stems if stem.startswith("datasets/")),
            "tlteach/weights/README",
            "benchmarks/README",
        ],
    }
    shown = {"README": "How to use it <README>"}
    tables = (
        "\n".join(["```{toctree}", ":hidden:", f":caption: {part}", "", *(shown.get(p, p) for p in found), "```", ""])
        for part, found in parts.items()
        if found
    )
    index = target / "index.md"
    index.write_text(index.read_text(encoding="utf-8") + "\n" + "\n".join(tables), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
