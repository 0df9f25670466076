"""Six cases of the authors' own tests, with what a search must find, and how many expressions it tries."""

__all__ = ["OFFICIAL_CASES", "OfficialCase"]

from dataclasses import dataclass

from .tasks import Row, Task


@dataclass(frozen=True)
class OfficialCase:
    """A task and what a plain search of the paper's language gives.

    Attributes:
        task: with its examples.
        expression, weight: from the authors' ``SynthesizerTest``.
        tried, unique: counted by independent programs.
    """

    task: Task
    expression: str
    weight: int
    tried: int
    unique: int


def _case(
    name: str, examples: list[tuple[tuple[str, ...], str]], expression: str, weight: int, tried: int, unique: int
) -> OfficialCase:
    task = Task(name, "", tuple(Row(inputs, output) for inputs, output in examples))
    return OfficialCase(task, expression, weight, tried, unique)


OFFICIAL_CASES = (
    _case(
        "capitalizeSentence",
        [(("this is a sentence.",), "This is a sentence."), (("FIX CAPITALIZATION.",), "Fix capitalization.")],
        "REPLACE(LOWER(var_0), 1, 1, LEFT(PROPER(var_0), 1))",
        weight=9,
        tried=1_054_730,
        unique=98_321,
    ),
    _case(
        "dateTransformation2",
        [(("2019-11-23",), "2019/11/23"), (("2020-03-07",), "2020/03/07")],
        'SUBSTITUTE(var_0, "-", "/")',
        weight=4,
        tried=1_067,
        unique=142,
    ),
    _case(
        "lastNameFirstColumn",
        [(("Larry Page", "Sergey Brin"), "Page"), (("George Washington", ""), "Washington")],
        'REPLACE(var_0, 1, FIND(" ", var_0), "")',
        weight=7,
        tried=137_532,
        unique=16_965,
    ),
    _case(
        "prependMr",
        [(("George Washington",), "Mr. Washington"), (("Alan Turing",), "Mr. Turing")],
        'REPLACE(var_0, 1, FIND(" ", var_0), "Mr. ")',
        weight=7,
        tried=175_129,
        unique=18_604,
    ),
    _case(
        "stringEqual",
        [
            (("string", "string"), "yes"),
            (("string", "STRING"), "no"),
            (("match this", "match this"), "yes"),
            (("match this", "match that"), "no"),
        ],
        'IF(EXACT(var_0, var_1), "yes", "no")',
        weight=6,
        tried=96_291,
        unique=15_399,
    ),
    _case(
        "stringLength",
        [(("alphabet",), "8"), (("google",), "6")],
        "TO_TEXT(LEN(var_0))",
        weight=3,
        tried=179,
        unique=39,
    ),
)
