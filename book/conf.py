"""How Sphinx makes the book: `tools/make_book.py` puts the pages together and calls it, without a network."""

import hashlib
import importlib
import inspect
import os
import tomllib
from pathlib import Path

import nbformat
from docutils import nodes
from sphinx.util import logging

ROOT = Path(os.environ["TLTEACH_BOOK_ROOT"])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REPOSITORY = PROJECT["urls"]["Repository"]

project, author, release = PROJECT["name"], "the tlteach authors", PROJECT["version"]
copyright = "2026 the tlteach authors, MIT licence"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.linkcode", "sphinx_copybutton"]
exclude_patterns = ["**/.ipynb_checkpoints"]
language = "en"

html_theme = "furo"
html_title = "tlteach"
html_short_title = "tlteach"
html_favicon = "static/icon.svg"
html_static_path = ["static"]
html_css_files = ["book.css"]
html_theme_options = {"navigation_with_keys": False}
html_copy_source = False
html_show_sphinx = False
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"

suppress_warnings = ["mystnb.unknown_mime_type"]  # what a check leaves for `tlteach grade`
nb_execution_mode = "off"  # the outputs are those that are in the notebooks
nb_ipywidgets_js = {}  # would come from a network
nb_merge_streams = True
nb_output_stderr = "show"
nb_render_markdown_format = "myst"
myst_enable_extensions = []  # no mathematics, so no MathJax
myst_heading_anchors = 3
copybutton_exclude = ".linenos, .gp, .go"
copybutton_prompt_text = ">>> |\\.\\.\\. "
copybutton_prompt_is_regexp = True

default_role = "py:obj"  # a name in single backticks is a link where there is such a name
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
add_module_names = False
toc_object_entries_show_parents = "hide"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_custom_sections = ["Reference", "Side effects"]


def linkcode_resolve(domain, info):
    """The address of a name's source in the repository."""
    thing = importlib.import_module("tlteach")
    for part in info["fullname"].split("."):
        thing = getattr(thing, part, None)
    if not (inspect.isfunction(thing) or inspect.isclass(thing)):
        return None
    file = Path(inspect.getsourcefile(inspect.unwrap(thing))).resolve()
    if not file.is_relative_to(ROOT):
        return None
    lines, first = inspect.getsourcelines(thing)
    return f"{REPOSITORY}/blob/main/{file.relative_to(ROOT)}#L{first}-L{first + len(lines) - 1}"


def words_of(path):
    """The alternative texts of a notebook's pictures, by the pictures' bytes."""
    import base64

    notebook = nbformat.read(path, as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pictures = [o for o in outputs if "image/png" in o.get("data", {})]
    return {
        hashlib.sha256(base64.b64decode(o.data["image/png"])).digest(): o.metadata.get("image/png", {}).get("alt")
        for o in pictures
    }


def describe_pictures(app, doctree):
    """Give each picture of a notebook the words that its output has; a picture without words is a warning."""
    source = Path(app.env.doc2path(app.env.docname))
    words = words_of(source) if source.suffix == ".ipynb" else {}
    for picture in doctree.findall(nodes.image):
        file = Path(app.srcdir, picture["uri"].lstrip("/"))
        if file.is_file():
            picture["alt"] = words.get(hashlib.sha256(file.read_bytes()).digest()) or picture.get("alt", "")
        if not picture.get("alt", "").strip():
            log = logging.getLogger(__name__)
            log.warning("a picture has no alternative text: %s", picture["uri"], location=picture)


def setup(app):
    app.connect("doctree-read", describe_pictures, priority=400)  # before Sphinx takes the picture's place
