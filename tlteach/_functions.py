"""Functions as answers: called on cases, and compared with the right one."""

import copy
from dataclasses import dataclass

import numpy as np

from tlteach._reading import Open, Unfit, shortly


@dataclass(frozen=True)
class Function:
    """A function, called on cases and compared with the right one.

    Attributes:
        cases: Tuples of arguments; each call gets a copy of its own.
        tolerance: How far numbers may be apart.
        ordered: Whether the order of a list of names counts.
    """

    cases: tuple
    tolerance: float = 1e-6
    ordered: bool = True

    def read(self, answer):
        if not callable(answer) or isinstance(answer, type):
            raise Unfit(f"a function is asked for: give its name, without brackets. Received: {shortly(answer)}.")
        first = self.call(answer, self.cases[0])
        if first is Ellipsis:
            raise Open("the function's body")
        if first is None:
            raise Unfit("your function gives None: is there a `return` with a value?")
        return answer

    def call(self, function, case):
        try:
            return function(*map(copy.deepcopy, case))  # one by one: what two arguments share is not the same object
        except (Exception, SystemExit) as error:
            return self._with_arrays(function, case, error)

    @staticmethod
    def _with_arrays(function, case, error):
        """What it gives for arrays in place of lists, as lessons have them; if that raises too, the first error."""
        try:
            if any(isinstance(each, list) for each in case):
                return function(*(np.array(each) if isinstance(each, list) else copy.deepcopy(each) for each in case))
        except (Exception, SystemExit):
            pass
        text = f" ({shortly(str(error))})" if str(error) else ""
        raise Unfit(f"your function raised {type(error).__name__}{text} for {_said(case)}.") from None

    def difference(self, value, right):
        for case in self.cases:
            got, wanted = self.call(value, case), self.call(right, case)
            if not self.ordered and isinstance(got, (list, tuple, set, frozenset)):
                got, wanted = sorted(got, key=str), sorted(wanted, key=str)
            if isinstance(wanted, float) and np.size(got) == 1 and not isinstance(got, (str, dict, set)):
                got = np.reshape(got, ())[()]  # one number in a list or an array
            if isinstance(wanted, float) and wanted and equal(got, 100 * wanted, tolerance=1e-4):
                return "The right number in per cent, and a share of 1 is asked for."
            if not equal(got, wanted, tolerance=self.tolerance):
                said = shortly if shortly(got) != shortly(wanted) else repr  # in all digits, if four do not tell
                return f"For {_said(case)} it gives {said(got)} and should give {said(wanted)}."
        return None


def _said(case):
    return ", ".join(shortly(each) for each in case)


def equal(a, b, *, tolerance=1e-6):
    """Whether two results are the same, number by number; a list, a tuple and an array of the same are."""
    if isinstance(a, dict) and isinstance(b, dict):
        return set(a) == set(b) and all(equal(a[key], b[key], tolerance=tolerance) for key in a)
    a, b = (list(x) if isinstance(x, (set, frozenset)) else x for x in (a, b))
    try:
        x, y = np.asarray(a), np.asarray(b)
        if x.shape != y.shape:
            return False
        if x.dtype.kind in "biuf" and y.dtype.kind in "biuf":
            return bool(np.allclose(x.astype(float), y.astype(float), rtol=0, atol=tolerance, equal_nan=True))
        return bool((x.astype(str) == y.astype(str)).all())
    except (TypeError, ValueError):  # rows of several lengths
        return len(a) == len(b) and all(equal(i, j, tolerance=tolerance) for i, j in zip(a, b, strict=True))
