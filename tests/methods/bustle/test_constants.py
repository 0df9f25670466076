"""Constants that a search extracts, in an order that depends on nothing else."""

import os
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from rostra.methods.bustle.constants import SEPARATORS, extract_constants, longest_common_substring


def test_common_texts_and_separators():
    """Of each column, the output's too; shortest first, then by code point."""
    rows = [("Mr. Bean", "a/b"), ("Mr. Chan", "c/d")]
    assert extract_constants(rows, ["x_Bean", "y_Chan"]) == [" ", ".", "/", "_", "an", "Mr. "]
    assert len(SEPARATORS) == 24
    assert len(set(SEPARATORS)) == 24


def test_a_single_common_character_is_no_constant():
    """Unless it is a separator."""
    assert extract_constants([("ax",), ("ay",)], ["1", "2"]) == []


def test_the_first_of_equally_long_texts_is_taken():
    """By its end in the first text."""
    assert longest_common_substring("abcd", "cdab") == "ab"
    assert longest_common_substring("cdab", "abcd") == "cd"
    assert longest_common_substring("abc", "") == ""


@given(st.text("ab ", max_size=12), st.text("ab ", max_size=12))
def test_the_longest_common_text_is_one(first, second):
    """Part of both; no longer one exists."""
    found = longest_common_substring(first, second)
    assert found in first
    assert found in second
    longer = (first[i : i + len(found) + 1] for i in range(len(first) - len(found)))
    assert not any(text in second for text in longer)


def test_constants_do_not_depend_on_the_hash_seed():
    """Sets have an order of their own in every process; constants do not."""
    code = (
        "from rostra.methods.bustle.constants import extract_constants\n"
        "print(extract_constants([('a-b c.d/e',), ('x-b c.q/e',)], ['b c', 'c.d']))"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(printed) == 1
