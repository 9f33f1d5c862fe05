"""Which lessons are run as tests: the learner's notebooks.

A source is run as its notebook, not imported a second time in search of doctests; a notebook with
solutions differs from the learner's in its exercises alone, and `tests/test_exercises.py` runs those.
"""

collect_ignore = ["source", "solutions"]
