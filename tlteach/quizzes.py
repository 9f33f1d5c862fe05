"""A lesson's quiz: questions with every answer explained, to click in a notebook and to read everywhere else."""

import html
import re
import sys
import tomllib
from dataclasses import dataclass

from tlteach._assets import shipped

_LETTERS = "ABCDEF"
_VIEW = "application/vnd.jupyter.widget-view+json"
# an answer may need two lines, which the widgets' own style does not expect; and the button belongs before it
_STYLE = """<style>
.tlteach-quiz .jupyter-widget-radio-box label, .tlteach-quiz .widget-radio-box label {
    display: flex; align-items: flex-start; height: auto; line-height: 1.4; white-space: normal; margin-bottom: 4px;}
.tlteach-quiz .jupyter-widget-radio-box label input, .tlteach-quiz .widget-radio-box label input {
    flex: none; height: 1.4em; order: -1; margin: 0 8px 0 0;}
.tlteach-quiz .jupyter-widget-html-content, .tlteach-quiz .widget-html-content {line-height: 1.4;}
</style>"""


@dataclass(frozen=True)
class Answer:
    """An answer: its text, whether it is right, and why it is or is not."""

    text: str
    right: bool
    why: str

    @property
    def verdict(self):
        return "Right." if self.right else "Not so."


@dataclass(frozen=True)
class Question:
    """A question and its answers, one of which is right."""

    text: str
    answers: tuple


@dataclass(frozen=True, repr=False)
class Quiz:
    """A lesson's questions. A notebook shows them to click; `print`, GitHub and a page show them to read."""

    lesson: str
    questions: tuple

    def widget(self):
        """Make the quiz to click: an `ipywidgets.VBox` with a box for each question and the score at the end.

        The explanation of an answer appears when it is chosen, and another may be chosen then. The score
        counts the answers that are chosen now.
        """
        from ipywidgets import HTML, VBox

        score = HTML()
        boxes = [_box(number, question) for number, question in enumerate(self.questions, 1)]
        choices = [box.children[1] for box in boxes]

        def count(_=None):
            given = [(question, c.index) for question, c in zip(self.questions, choices, strict=True)]
            given = [(question, index) for question, index in given if index is not None]
            right = sum(question.answers[index].right for question, index in given)
            score.value = (
                f'<p role="status"><b>{right} right</b> of {len(given)} answered, {len(choices)} questions</p>'
            )

        for choice in choices:
            choice.observe(count, "index")
        count()
        box = VBox([HTML(_STYLE), *boxes, score])
        return box.add_class("tlteach-quiz")

    def __repr__(self):
        lines = [f"Quiz {self.lesson}"]
        for number, question in enumerate(self.questions, 1):
            lines += ["", f"{number}. {question.text}"]
            lines += [f"   {letter}. {answer.text}" for letter, answer in _lettered(question)]
        lines += ["", "Answers"]
        for number, question in enumerate(self.questions, 1):
            lines += ["", *(f"{number}{letter}. {a.verdict} {a.why}" for letter, a in _lettered(question))]
        return "\n".join(lines)

    def _repr_html_(self):
        return "\n<br>\n\n".join(_read(number, question) for number, question in enumerate(self.questions, 1))

    def _repr_markdown_(self):
        return self._repr_html_()  # Markdown leaves HTML as it is, up to the blank line between two questions

    def _repr_mimebundle_(self, **_):
        """Add the quiz to click, where someone is there to click. What is read comes from the methods above."""
        if not _someone_is_there():
            return {}
        try:
            return {_VIEW: self.widget()._repr_mimebundle_()[_VIEW]}
        except ImportError:
            return {}


def quiz(number):
    """Show the quiz of a lesson: five questions, and each answer explained, the wrong ones too.

    As the last line of a notebook's cell it can be clicked and keeps a score. Elsewhere, in a notebook that
    is run by a program, on GitHub, in a page or printed, it is there to read, with the answers folded.

    Args:
        number: The lesson's, such as `"01"`.

    Returns:
        `Quiz`, with `questions`; `widget()` is the quiz to click.

    Raises:
        ValueError: If there is no quiz for such a lesson, or its file breaks a rule.

    Example:
        >>> import tlteach as tl
        >>> len(tl.quiz("01").questions)
        5
    """
    files = {path.stem: path for path in sorted(shipped("quizzes").glob("[0-9][0-9].toml"))}
    key = str(number).zfill(2)[:2]
    if key not in files:
        raise ValueError(f"the lesson of a quiz must be one of {', '.join(files)}. Received: {number!r}.")
    return read_quiz(files[key])


def read_quiz(path):
    """Read a quiz file: TOML with `[[questions]]`, each with a `text` and its `[[questions.answers]]`.

    An answer has a `text`, a `why`, and `right = true` if it is the right one.

    Args:
        path: `NN.toml`, as a `pathlib.Path`.

    Returns:
        `Quiz`.

    Raises:
        ValueError: If the file is not TOML, or a question lacks its text, an explanation, or its one right answer.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path.name} must be TOML. Received: {error}.") from None
    questions = found.get("questions", [])
    if not questions or set(found) != {"questions"}:
        raise ValueError(
            f"{path.name} must hold [[questions]] and nothing else. Received: {', '.join(found) or 'none'}."
        )
    return Quiz(path.stem, tuple(_question(each, f"{path.name}, question {n}") for n, each in enumerate(questions, 1)))


def _question(found, where):
    _check_keys(found, {"text", "answers"}, where)
    given = found["answers"]
    answers = tuple(_answer(each, f"{where}, answer {n}") for n, each in enumerate(given, 1))
    right = sum(answer.right for answer in answers)
    if not 2 <= len(answers) <= len(_LETTERS) or right != 1:
        raise ValueError(
            f"{where} must have two to six answers, and one of them right = true. "
            f"Received: {len(answers)} answers, {right} of them right."
        )
    return Question(_one_line(found["text"]), answers)


def _answer(found, where):
    _check_keys(found, {"text", "why"}, where, optional={"right"})
    return Answer(_one_line(found["text"]), found.get("right") is True, _one_line(found["why"]))


def _check_keys(found, keys, where, *, optional=frozenset()):
    given = {key for key, value in found.items() if value != ""} if isinstance(found, dict) else set()
    if not keys <= given <= keys | optional:
        listed = ", ".join(sorted(given)) or "nothing"
        raise ValueError(f"{where} must have {' and '.join(sorted(keys))}, none of them empty. Received: {listed}.")


def _one_line(text):
    return " ".join(text.split())


def _lettered(question):
    return zip(_LETTERS, question.answers, strict=False)


def _marked(text):
    """Text as HTML: `code` between backticks and *emphasis* between stars, everything else as it is."""
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))
    return re.sub(r"(?<!\w)\*(?=\S)([^*]+)(?<=\S)\*(?!\w)", r"<em>\1</em>", text)


def _explained(answer):
    return f"<b>{answer.verdict}</b> {_marked(answer.why)}"


def _read(number, question):
    """A question as HTML to read: each answer is the head of what folds out below it."""
    lines = [f"<p><b>{number}. {_marked(question.text)}</b></p>"]
    for letter, answer in _lettered(question):
        lines.append(f"<details><summary>{letter}. {_marked(answer.text)}</summary>")
        lines.append(f"<blockquote>{_explained(answer)}</blockquote></details>")
    return "\n".join(lines)


def _box(number, question):
    """A question to click: its text, its answers, and room for the explanation of the one that is chosen."""
    from ipywidgets import HTML, RadioButtons, VBox

    text = HTML(f"<p><b>{number}. {_marked(question.text)}</b></p>")
    labels = [f"{letter}. {answer.text.replace('`', '').replace('*', '')}" for letter, answer in _lettered(question)]
    choice = RadioButtons(options=labels, index=None, layout={"width": "auto", "max_width": "60em"})
    said = HTML(layout={"max_width": "60em"})

    def explain(change):
        answer = question.answers[change["new"]]
        colour = "#2e7d32" if answer.right else "#c62828"
        style = f"border-left: 4px solid {colour}; padding-left: 8px;"
        said.value = f'<div role="status" style="{style}">{_explained(answer)}</div>'

    choice.observe(explain, "index")
    return VBox([text, choice, said], layout={"max_width": "60em"})


def _someone_is_there():
    """Whether this is a notebook that a person runs: programs that run notebooks do not answer questions."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return getattr(getattr(shell, "kernel", None), "_allow_stdin", False)
