"""Constants come from the examples alone."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rostra.methods.bustle.constants import SEPARATORS, extract_constants, longest_common_substring


@pytest.mark.parametrize(
    ("first", "second", "common"),
    [
        ("", "", ""),
        ("abc", "", ""),
        ("abc", "xyz", ""),
        ("abc", "xbcx", "bc"),
        ("ab cd", "cd ab", "ab"),  # of two, the one that ends first in the first text
        ("cd ab", "ab cd", "cd"),
        ("xabyab", "ab", "ab"),
        ("abcd", "cdab", "ab"),
        ("abcde", "abXcde", "cde"),  # a later one must be longer
        ("Zoë", "oë!", "oë"),
    ],
)
def test_longest_common_substring(first, second, common):
    assert longest_common_substring(first, second) == common


@given(first=st.text("abc", max_size=8), second=st.text("abc", max_size=8))
def test_longest_common_substring_is_the_longest_and_ends_first(first, second):
    parts = [first[i:j] for j in range(len(first) + 1) for i in range(j + 1) if first[i:j] in second]
    assert longest_common_substring(first, second) == max(parts, key=len)  # the first of the longest


def test_the_separators():
    """The paper's 24 characters, each once."""
    assert len(SEPARATORS) == len(set(SEPARATORS)) == 24
    assert set(SEPARATORS) == set(" ,.!?()[]<>{}-+_/$#:;@%0")


@pytest.mark.parametrize("separator", SEPARATORS)
def test_a_separator_in_any_text_is_a_constant(separator):
    """In an input of one row, or in an output; alone it suffices."""
    assert extract_constants([(f"a{separator}b",), ("c",)], ["d", "e"]) == [separator]
    assert extract_constants([("a",)], [separator]) == [separator]


@pytest.mark.parametrize("other", "1&=~'\"\n|")
def test_other_characters_are_not(other):
    assert extract_constants([(f"a{other}b",), (f"c{other}d",)], ["x", "y"]) == []


def test_columns_are_compared_with_themselves_only():
    """What an input has in common with the output or another input is no constant."""
    assert extract_constants([("abc", "abc"), ("xyz", "xyz")], ["abc", "xyz"]) == []
    assert extract_constants([("1abc", "2"), ("3abc", "4")], ["5", "6"]) == ["abc"]
    assert extract_constants([("1", "2"), ("3", "4")], ["yes5", "6yes"]) == ["yes"]


def test_each_pair_of_examples_gives_one():
    """Texts of one character are too short; equal constants are one."""
    rows = [("ab12",), ("ab34",), ("34xy",), ("zab",)]
    assert extract_constants(rows, ["p", "q", "r", "s"]) == ["34", "ab"]
    assert extract_constants([("aX",), ("aY",)], ["p", "q"]) == []


def test_order():
    """Shorter first, then by code point."""
    rows = [("(bb) Zz-aa é1é",), ("aa (bb)-é1é Zz",), ("aa.",), ("Zz!",), ("é1é",), ("bb",)]
    found = extract_constants(rows, [""] * len(rows))
    assert found == sorted(found, key=lambda text: (len(text), [ord(c) for c in text]))
    assert found[:6] == [" ", "!", "(", ")", "-", "."]
    assert found[6:9] == ["Zz", "aa", "bb"]


@pytest.mark.parametrize("seed", ["0", "1", "77"])
def test_the_same_for_any_hash_seed(seed):
    """Sets of texts have another order in each process; constants must not."""
    rows = [("Dr. Ada (UK), b-c",), ("Dr. Alan (UK), b_c",), ("Mr. Ada: b/c",)]
    outputs = ["ab", "ba", "xab"]
    code = f"from rostra.methods.bustle.constants import *; print(extract_constants({rows!r}, {outputs!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == repr(extract_constants(rows, outputs))
