"""Numbers as people write them: `"14 %"`, `"1,400"`, `"about 443 thousand"`, `"3 of 4"`, `"minus 9 points"`."""

import re

from tlteach._reading import Unfit, shortly, singular

_LARGE = {"k": 1e3, "thousand": 1e3, "million": 1e6}
_UNITS = "point time label weight layer speaker draw variable place hertz sample deviation".split()
_ABOUT = r"^(about|around|roughly|at least|ca\.?|times|[~≈=x×*])\s*(?=[-−.\d])"
_SUM = r"[\d\s.()+*/x×·-]*\d\s*[+*/x×·-]\s*\d[\d\s.()+*/x×·-]*"


def number_of(text, unit, asked):
    """Return the number that a text says, in a unit; per cent are hundredths unless points are asked for.

    Args:
        text: What a learner wrote.
        unit: What is counted, such as `"points"`; `""` where nothing is.
        asked: How a sentence on what is wrong begins.

    Raises:
        Unfit: If it is no number, or one of something else.

    Example:
        >>> number_of("about 443 thousand", "weights", "a number is asked for"), number_of("3 of 4", "share", "")
        (443000.0, 0.75)
    """
    of = r"/|:|of|in|to|out of" if is_ratio(unit) else "/"
    parts = re.fullmatch(rf"\s*([-−]?)\s*(\d+)\s*(?:{of})\s*(\d+)\s*", text)
    if parts and int(parts[3]):
        return int(parts[2]) / int(parts[3]) * (-1 if parts[1] else 1)
    bare = re.sub(_ABOUT, "", text.strip(), flags=re.I)
    found = re.fullmatch(r"([-+−]?|minus)\s*(\d[\d.,]*(?:e[-+]?\d+)?|\.\d+)\s*([^\d]{0,30})", bare, re.I)
    digits = found and re.sub(r",(?=\d{3}(?:\D|$))", "", found[2]).replace(",", ".").rstrip(".")
    if not found or digits.count(".") > 1:
        next_step = "Which one number is that?" if re.fullmatch(_SUM, text) else "Write digits, such as 12 or 0.5."
        raise Unfit(f"{asked}. Received: {shortly(text)}. {next_step}")
    sign = -1 if found[1].lower() in ("-", "−", "minus") else 1
    return sign * float(digits) * _factor(found[3], unit, f"{asked}, and {shortly(text)} is one of")


def is_ratio(unit):
    """Whether a unit is that of a ratio, so that per cent and `"3 of 4"` can be meant."""
    return "share" in unit or unit == "times"


def _factor(after, unit, sentence):
    """By what a number is multiplied for the words after it."""
    words = re.findall(r"%|[a-z]+", re.sub(r"\bper cent\b|\bpercent\b", "%", after.lower().replace("khz", "k hertz")))
    factor = _LARGE[words.pop(0)] if words and words[0] in _LARGE else 1
    if words[:1] == ["%"]:
        return factor if unit == "points" else factor / 100
    if unit and words and singular(words[0]) in _UNITS and singular(words[0]) not in map(singular, unit.split()):
        raise Unfit(f"{sentence} {words[0]}.")
    return factor
