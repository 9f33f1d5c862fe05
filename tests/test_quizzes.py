"""Quizzes: each lesson has one, it can be clicked where someone is there, and read everywhere else."""

from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

import tlteach as tl
from tlteach import quizzes

LESSONS = Path(__file__).parent.parent / "lessons"
NUMBERS = sorted({path.name[:2] for kind in ("source", "quizzes") for path in (LESSONS / kind).glob("[0-9]*")})
VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.mark.parametrize("number", NUMBERS)
def test_a_lesson_has_five_questions_with_one_right_answer_and_each_answer_explained(number):
    asked = tl.quiz(number).questions
    assert len(asked) == 5
    assert len({question.text for question in asked}) == 5
    for question in asked:
        assert len(question.answers) in (3, 4)
        assert sum(answer.right for answer in question.answers) == 1
        assert len({answer.text for answer in question.answers}) == len(question.answers)
        assert all(len(answer.why.split()) >= 8 for answer in question.answers)


@pytest.mark.parametrize("number", NUMBERS)
def test_the_right_answer_is_not_told_by_its_place_or_its_length(number):
    asked = [question.answers for question in tl.quiz(number).questions]
    right = [next(i for i, answer in enumerate(answers) if answer.right) for answers in asked]
    assert max(right.count(place) for place in right) <= 3
    longest = [max(range(len(answers)), key=lambda i, each=answers: len(each[i].text)) for answers in asked]
    assert sum(a == b for a, b in zip(right, longest, strict=True)) <= 2


@pytest.mark.parametrize("number", NUMBERS)
def test_every_form_to_read_holds_each_question_and_explanation(number):
    quiz = tl.quiz(number)
    plain, page, markdown = repr(quiz), quiz._repr_html_(), quiz._repr_markdown_()
    for question in quiz.questions:
        assert question.text in plain
        assert quizzes._marked(question.text) in page and quizzes._marked(question.text) in markdown
        for answer in question.answers:
            assert answer.text in plain and answer.why in plain
            assert quizzes._marked(answer.why) in page and quizzes._marked(answer.why) in markdown
    assert page.count("<details>") == page.count("</details>") == sum(len(q.answers) for q in quiz.questions)
    assert plain.index("Answers") > plain.index(quiz.questions[-1].answers[-1].text)


def parts(widget):
    """The choices and explanations of a quiz to click, and its score."""
    _, *boxes, score = widget.children
    return [box.children[1] for box in boxes], [box.children[2] for box in boxes], score


def test_choosing_shows_the_explanation_and_counts():
    quiz = tl.quiz("01")
    choices, said, score = parts(quiz.widget())
    assert "0 right</b> of 0 answered, 5 questions" in score.value
    assert [text.value for text in said] == [""] * 5
    right = [[answer.right for answer in question.answers].index(True) for question in quiz.questions]
    for done, (choice, text, question, best) in enumerate(zip(choices, said, quiz.questions, right, strict=True), 1):
        for index, answer in enumerate(question.answers):
            choice.index = index
            assert quizzes._marked(answer.why) in text.value
            assert ("Right." in text.value) == answer.right and ("Not so." in text.value) != answer.right
            assert f"{done - 1 + answer.right} right</b> of {done} answered" in score.value
        choice.index = best
    assert "5 right</b> of 5 answered" in score.value
    choices[0].index = (right[0] + 1) % len(quiz.questions[0].answers)
    assert "4 right</b> of 5 answered" in score.value


def test_two_quizzes_on_one_page_count_for_themselves():
    quiz = tl.quiz("02")
    (first, _, _), (_, _, score) = parts(quiz.widget()), parts(quiz.widget())
    first[0].index = 0
    assert "of 0 answered" in score.value


def test_it_can_be_clicked_only_where_someone_is_there(monkeypatch):
    IPython = pytest.importorskip("IPython")
    quiz = tl.quiz("01")
    assert quiz._repr_mimebundle_() == {}  # no notebook
    kernel = SimpleNamespace(_allow_stdin=True)
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel=kernel))
    assert set(quiz._repr_mimebundle_()) == {VIEW}
    kernel._allow_stdin = False  # a program runs the notebook
    assert quiz._repr_mimebundle_() == {}


def test_without_ipywidgets_it_is_there_to_read(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    monkeypatch.setattr(quizzes, "_someone_is_there", lambda: True)
    quiz = tl.quiz("01")
    assert quiz._repr_mimebundle_() == {}
    assert "<details>" in quiz._repr_html_()


def test_a_notebook_that_a_program_runs_is_small_and_needs_no_widgets():
    from nbclient import NotebookClient
    from nbconvert import HTMLExporter

    cell = nbformat.v4.new_code_cell('import tlteach as tl\ntl.quiz("01")')
    notebook = nbformat.v4.new_notebook(cells=[cell])
    NotebookClient(notebook, resources={"metadata": {"path": str(LESSONS.parent)}}).execute()
    (output,) = notebook.cells[0].outputs
    assert set(output.data) == {"text/plain", "text/html", "text/markdown"}
    assert "widgets" not in notebook.metadata and len(nbformat.writes(notebook)) < 60_000
    page, _ = HTMLExporter().from_notebook_node(notebook)
    assert page.count("<details>") == sum(len(question.answers) for question in tl.quiz("01").questions)


def test_a_notebook_saved_with_the_quiz_to_click_still_makes_a_page_to_read():
    from nbconvert import HTMLExporter

    data = {VIEW: {"model_id": "gone"}, "text/html": tl.quiz("01")._repr_html_()}
    cell = nbformat.v4.new_code_cell("", outputs=[nbformat.v4.new_output("display_data", data)])
    page, _ = HTMLExporter().from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    assert "<details>" in page


def test_an_unknown_lesson():
    with pytest.raises(ValueError, match=r"lesson of a quiz must be one of 01, 02.*Received: '99'\."):
        tl.quiz("99")
    assert tl.quiz(1).lesson == "01"


GOOD = """
[[questions]]
text = "What is `1 < 2`, *really*?"
[[questions.answers]]
text = "true"
right = true
why = "One is less than two."
[[questions.answers]]
text = "false"
why = "It is the other way round."
"""


def test_marks_become_html_and_nothing_else_does(tmp_path):
    file = tmp_path / "01.toml"
    file.write_text(GOOD)
    quiz = quizzes.read_quiz(file)
    assert "What is <code>1 &lt; 2</code>, <em>really</em>?" in quiz._repr_html_()
    assert quizzes._marked("2 * 3 * 4") == "2 * 3 * 4"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "right = true\n",
            "",
            r"01.toml, question 1 must have two to six .* right = true. Received: 2 answers, 0 of them",
        ),
        ('text = "false"\n', 'text = "false"\nright = true\n', "Received: 2 answers, 2 of them right."),
        ('why = "It is the other way round."\n', "", "01.toml, question 1, answer 2 must have text and why, none"),
        ('"One is less than two."', '""', "question 1, answer 1 must have text and why.* Received: right, text."),
        ("right = true", "correct = true", "answer 1 must have text and why.* Received: correct, text, why."),
        ('text = "What is `1 < 2`, *really*?"\n', "", "question 1 must have answers and text.* Received: answers."),
        ("[[questions]]", "[[question]]", "must hold .* and nothing else. Received: question"),
        ('"true"', '"true', "01.toml must be TOML. Received: "),
    ],
)
def test_a_bad_file_gets_one_sentence(tmp_path, old, new, sentence):
    assert old in GOOD
    file = tmp_path / "01.toml"
    file.write_text(GOOD.replace(old, new))
    with pytest.raises(ValueError, match=sentence):
        quizzes.read_quiz(file)
