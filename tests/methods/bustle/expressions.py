"""Expressions for tests: from text, at random, and as hypothesis draws them."""

import random
import re

from hypothesis import strategies as st

from rostra.methods.bustle.dsl import OPERATIONS, Call, Constant, Input, result_type

BY_ARITY = {(operation.name, len(operation.arguments)): operation for operation in OPERATIONS}

TEXTS = (
    "",
    " ",
    "a",
    "-",
    "abc",
    "aaaaa",
    "aa",
    "Zoë Müller",
    "o'neil  don't",
    "'quoted",
    "=1+1",
    "-12.5",
    "+49 30 1234",
    "@home",
    "007",
    "67.0",
    "1e5",
    "2021-03-04",
    "3/4",
    "TRUE",
    "#N/A",
    'say ""hi""',
    " two  spaces ",
    "a,b;c",
    "100%",
    "Łódź, Ørsted; ÉCOLE",
    "Иван Петров",
    "γιώργος",
    "日本語 テスト",
    "first\nsecond",
    "naïve – dash’s",
    "Nguyễn Văn An",
    "a1a 2b B3",
    "_x0041_",
    "straße",
)
"""Cells that spreadsheets might take for something else."""

PIECES = ("", "a", "aa", " ", "-", "1", ".", "é", "é/", '"', "x y", "\n", "=", "&", "語", "_", "Ab1")


def parse(text):
    """The expression that ``str`` wrote."""
    tokens = re.findall(r'"(?:[^"]|"")*"|\w+|-\d+|[(),]', text)

    def read():
        token = tokens.pop(0)
        if token.startswith('"'):
            return Constant(token[1:-1].replace('""', '"'))
        if re.fullmatch(r"-?\d+", token):
            return Constant(int(token))
        if token.startswith("var_"):
            return Input(int(token[4:]))
        arguments = []
        while tokens.pop(0) in "(," and len(arguments) < 9:
            arguments.append(read())
            if tokens[0] == ")":
                tokens.pop(0)
                break
        return Call(BY_ARITY[token, len(arguments)], tuple(arguments))

    expression = read()
    assert not tokens, tokens
    return expression


def random_expression(rng: random.Random, kind: str, depth: int, inputs: int = 2):
    """An expression of a type, at most ``depth`` operations deep."""
    choices = [operation for operation in OPERATIONS if operation.result == kind]
    if kind != "bool" and (depth == 0 or rng.random() < 0.2):
        if kind == "int":
            return Constant(rng.choice((0, 1, 2, 3, 99, 5)))
        return Input(rng.randrange(inputs)) if rng.random() < 0.6 else Constant(rng.choice(PIECES))
    operation = rng.choice(choices)
    arguments = tuple(random_expression(rng, argument, max(depth - 1, 0), inputs) for argument in operation.arguments)
    return Call(operation, arguments)


def expressions(kind="str", depth=3):
    """Hypothesis's expressions over two inputs."""
    return st.builds(
        lambda seed, kind, depth: random_expression(random.Random(seed), kind, depth),
        st.integers(0, 2**32),
        st.just(kind) if kind else st.sampled_from(("str", "str", "int", "bool")),
        st.integers(0, depth),
    )


def cells():
    """Texts of cells, of all kinds."""
    return st.one_of(st.sampled_from(TEXTS), st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12))


__all__ = ["BY_ARITY", "TEXTS", "cells", "expressions", "parse", "random_expression", "result_type"]
