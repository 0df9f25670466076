"""Options that hold lists."""

import re

import pytest

from rostra.engine.commands import number_list
from rostra.engine.errors import InputError


def test_numbers_of_an_option():
    assert number_list("--cost", " 0, 1e3,-.5 ") == [0, 1000, -0.5]
    assert all(isinstance(number, float) for number in number_list("--cost", "0,1"))
    assert number_list("--k", "5,1,5", whole=True, low=1) == [5, 1, 5]
    assert all(isinstance(number, int) for number in number_list("--k", "5,1", whole=True))
    assert number_list("--share", "0,1", low=0, high=1) == [0, 1]


@pytest.mark.parametrize(
    ("text", "bounds", "message"),
    [
        ("", {}, "--x must be numbers, such as 1,5,20; got ''"),
        (" , ", {}, "--x must be numbers, such as 1,5,20; got ' , '"),
        ("1,nan", {}, "--x must be numbers, such as 1,5,20; got '1,nan'"),
        ("-inf", {}, "--x must be numbers, such as 1,5,20; got '-inf'"),
        ("inf", {"low": 0}, "--x must be numbers of at least 0, such as 1,5,20; got 'inf'"),
        ("3,a", {"high": 4, "example": "2"}, "--x must be numbers of at most 4, such as 2; got '3,a'"),
        ("0.5,1.5", {"low": 0, "high": 1}, "--x must be numbers from 0 to 1, such as 1,5,20; got '0.5,1.5'"),
        ("1.5", {"whole": True}, "--x must be whole numbers, such as 1,5,20; got '1.5'"),
        ("1,0", {"whole": True, "low": 1}, "--x must be whole numbers of at least 1, such as 1,5,20; got '1,0'"),
        ("x", {"whole": True, "low": 1, "example": "8,16"}, "of at least 1, such as 8,16; got 'x'"),
    ],
)
def test_what_is_no_list_of_numbers_is_refused(text, bounds, message):
    with pytest.raises(InputError, match=re.escape(message)):
        number_list("--x", text, **bounds)
