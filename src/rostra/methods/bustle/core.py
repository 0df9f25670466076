"""The compiled search: same candidates, order, counts and results as ``reference.search``, much faster.

This module keeps the arrays, ends the levels and watches the clock; the loops are in ``kernels.py``.
Memory grows by doubling: a value takes 17 bytes and its key 16 to 32, and one that later levels build
on further 24 + 30 n bytes for n examples and 2 bytes a character.
"""

__all__ = ["LevelValues", "ready", "search", "start_warm_up", "warm_up"]

import hashlib
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numba
import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from . import kernels
from .dsl import OPERATIONS, Call, Expression, Operation, result_type
from .kernels import LEAF, RESULT, Buckets, Scratch, Text, Values
from .result import Reason, Reweight, SearchResult, SeenValues, Task, Vector, make_task
from .semantics import Dialect, EvaluationError, clear_letter, evaluate, function

SLICE = 1 << 18
"""Units of work between two looks at the clock: some 10 to 30 milliseconds."""

BATCH = 1 << 15
"""Values made, or weighted, between two looks at the clock."""

KINDS = ("str", "int", "bool")
NAMED = {(operation.name, len(operation.arguments)): operation for operation in OPERATIONS}


def search(
    rows: Sequence[Sequence[str]],
    outputs: Sequence[str],
    *,
    max_expressions: int = 1_000_000,
    timeout: float | None = None,
    max_weight: int = 100,
    dialect: Dialect = "sheets-bustle",
    heuristics: bool = False,
    reweight: Reweight | None = None,
    reweighting_fraction: float = 1.0,
    operations: Sequence[Operation] = OPERATIONS,
    constants: Sequence[str | int] = (),
    n_solutions: int = 1,
    accept: Callable[[Expression], bool] | None = None,
    official: bool = False,
    stop: Callable[[], bool] | None = None,
    progress: Callable[[int], None] | None = None,
    skipping: bool = True,
    exact: bool = False,
    key_bits: int = 64,
) -> SearchResult:
    """As :func:`rostra.methods.bustle.reference.search`, whose arguments it shares; further ones:

    Args:
        rows: inputs of each example, shape (examples, inputs).
        outputs: wanted result of each example.
        max_expressions: see there, like all up to ``stop``.
        timeout: see there.
        max_weight: see there.
        dialect: see there.
        heuristics: see there.
        reweight: see there; it is given :class:`LevelValues`.
        reweighting_fraction: see there.
        operations: see there.
        constants: see there.
        n_solutions: see there.
        accept: see there.
        official: see there.
        stop: see there.
        progress: told the number of expressions tried, many times a second.
        skipping: leave out blocks of candidates that cannot be new (they count as tried). For tests.
        exact: compare values themselves, not only their 64-bit keys. For tests: it is slow.
        key_bits: bits of a key that ``exact`` uses.
    """
    task = make_task(rows, outputs, constants)
    run = _Search(task, dialect, exact_mask=(1 << key_bits) - 1 if exact else 0, max_weight=max_weight)
    run.limit, run.timeout = max_expressions, timeout
    run.heuristics, run.reweight, run.reweighting_fraction = heuristics, reweight, reweighting_fraction
    run.enabled = np.array([i for i, o in enumerate(OPERATIONS) if o in operations], dtype=np.int64)
    run.accept, run.stop = accept, stop
    run.progress, run.skipping = progress, skipping
    return run.run(n_solutions, official)


def _mark() -> Path:
    """A file that is there once the loops are compiled on disk, by everything that the compiled code depends on."""
    facts = [Path(kernels.__file__).read_bytes().hex(), numba.__version__, sys.version, llvm.get_host_cpu_name()]
    key = hashlib.sha256("|".join(facts).encode()).hexdigest()[:16]
    return Path(str(kernels.advance.stats.cache_path)) / f"rostra-{key}.compiled"


def ready() -> bool:
    """Whether the loops are compiled on disk, so that a search starts within a second."""
    return _mark().exists()


def warm_up() -> None:
    """Compile the loops, if nobody else is about to: takes 10 seconds or more, once for each version and machine."""
    mark = _mark()
    if mark.exists():
        return
    mark.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(mark.with_suffix(".lock")):
        if mark.exists():
            return
        rows = [("a b", "c"), ("d-e f", "g")]
        search(rows, ["~", "^"], max_expressions=50_000, heuristics=True, reweight=lambda new: new.signatures()[1] * 0)
        mark.touch()


def start_warm_up() -> None:
    """Compile the loops in a process of its own, which goes on when this one ends."""
    subprocess.Popen(
        [sys.executable, "-c", f"from {__name__} import warm_up; warm_up()"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@dataclass(frozen=True)
class LevelValues:
    """The new values of a level, in the order found (see :class:`rostra.methods.bustle.result.NewValues`).

    Value i of N, example e of n: ``numbers[i, e]`` is the number, the truth value (0 or 1) or the length
    of the text; the texts of a value's examples stand one after the other in ``pool`` from ``offsets[i]``
    on, as places in ``alphabet``.

    Attributes:
        level: weight of the level.
        kinds: 0 text, 1 number, 2 truth value; shape (N,), uint8.
        numbers: shape (N, n), int32.
        offsets: shape (N,), int64.
        pool: uint16.
        alphabet: characters of the task.
        outputs: wanted results.
    """

    level: int
    kinds: NDArray[np.uint8]
    numbers: NDArray[np.int32]
    offsets: NDArray[np.int64]
    pool: NDArray[np.uint16]
    alphabet: str
    outputs: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.kinds)

    def vector(self, index: int) -> Vector:
        """Results of a value on the examples."""
        return _decode(int(self.kinds[index]), self.numbers[index], int(self.offsets[index]), self.pool, self.alphabet)

    def signatures(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """See :class:`rostra.methods.bustle.result.NewValues`."""
        place = {character: i for i, character in enumerate(self.alphabet)}
        output = np.array([place[c] for text in self.outputs for c in text], dtype=np.uint16)
        lengths = np.array([len(text) for text in self.outputs], dtype=np.int64)
        facts = _character_facts(self.alphabet)
        exact = _places(self.outputs, np.arange(len(self.alphabet)), place, longest=63)
        cased = _places(self.outputs, facts[0], place, longest=63)
        table = np.zeros((1 << len(self).bit_length(), 2), dtype=np.uint64)
        codes = np.empty((len(self), 46), dtype=np.uint8)
        which = np.empty(len(self), dtype=np.int64)
        count = kernels.signatures(
            self.kinds, self.numbers, self.offsets, self.pool, facts, exact, cased, output, lengths, table, codes, which
        )
        return codes[:count].copy(), which


def _decode(kind: int, numbers: Any, offset: int, pool: NDArray[np.uint16], alphabet: str) -> Vector:
    if kind == kernels.INT:
        return tuple(int(number) for number in numbers)
    if kind == kernels.BOOL:
        return tuple(bool(number) for number in numbers)
    ends = offset + np.cumsum(numbers)
    texts = (pool[end - length : end].tolist() for end, length in zip(ends, numbers, strict=True))
    return tuple("".join(alphabet[c] for c in text) for text in texts)


def _character_facts(alphabet: str) -> NDArray[np.uint16]:
    """Per character its ASCII lower case (place in the alphabet) and what it is; shape (2, A).

    Bits of the second row: 1 digit, 2 ASCII letter, 4 in lower case or without, 8 in upper case or without,
    then 16, 32, .. for each of " ,.-/".
    """
    place = {character: i for i, character in enumerate(alphabet)}
    facts = np.zeros((2, len(alphabet)), dtype=np.uint16)
    for i, c in enumerate(alphabet):
        lower, upper = (c.lower(), c.upper()) if c.isascii() else (c, c)
        facts[0, i] = place[lower]
        facts[1, i] = (c.isascii() and c.isdigit()) + 2 * (c.isascii() and c.isalpha())
        facts[1, i] += 4 * (c == lower) + 8 * (c == upper)
        facts[1, i] += 16 << " ,.-/".index(c) if c in " ,.-/" else 0
    return facts


def _places(
    outputs: Sequence[str], same: NDArray[Any], place: Mapping[str, int], *, longest: int
) -> NDArray[np.uint64]:
    """Which places of an output hold a character, as bits, shape (n, A); none for outputs that are longer.

    Args:
        outputs: of the examples.
        same: characters with one number here are taken for one, shape (A,).
        place: of a character in the alphabet.
        longest: number of characters up to which an output is told of, at most 64.
    """
    words = np.zeros((len(outputs), len(same)), dtype=np.uint64)
    for e, output in enumerate(outputs):
        if len(output) <= longest:
            for i, character in enumerate(output):
                words[e, same == same[place[character]]] |= np.uint64(1 << i)
    return words


class _Search:
    """State of one search: arrays that the kernels fill, and the rules of a level's end."""

    limit: int
    timeout: float | None
    heuristics: bool
    reweight: Reweight | None
    reweighting_fraction: float
    enabled: NDArray[np.int64]
    accept: Callable[[Expression], bool] | None
    stop: Callable[[], bool] | None
    scratch: Scratch
    progress: Callable[[int], None] | None
    skipping: bool

    def __init__(self, task: Task, dialect: Dialect, exact_mask: int, max_weight: int) -> None:
        self.start = time.perf_counter()
        self.task, self.dialect, self.max_weight = task, dialect, max_weight
        self.excel = int(dialect == "excel")
        self.exact_mask = np.uint64(exact_mask)
        self.n = len(task.outputs)
        self.alphabet, self.text, self.uncountable = _text_constants(task, dialect)
        self.place = {character: i for i, character in enumerate(self.alphabet)}
        self.state = np.zeros(kernels.STATE_SIZE, dtype=np.int64)
        self.pending: list[list[NDArray[np.int64]]] = [[] for _ in range(max_weight + 2)]
        self.made = 0  # values up to here have their texts
        self.largest = 0  # bucket
        self.known: set[tuple[type, Vector]] = set()  # in exact mode, of the values before self.listed
        self.listed = 0
        self.level = 1
        self.values = Values(
            table=np.zeros(1 << 13, dtype=np.uint64),
            operation=np.empty(1 << 12, dtype=np.uint8),
            argument=np.empty((1 << 12, 4), dtype=np.int32),
            offset=np.empty(1 << 12, dtype=np.int64),
            number=np.empty(self.n << 12, dtype=np.int32),
            pool=np.empty(1 << 16, dtype=np.uint16),
        )
        self.buckets = _empty_buckets(max_weight)
        self.filled = [0, 0, 0]
        self._enter_leaves()

    def _enter_leaves(self) -> None:
        task, n = self.task, self.n
        vectors = task.vectors
        size = sum(len(text) for vector in vectors for text in vector if isinstance(text, str))
        while len(self.values.operation) < len(vectors) + kernels.CHUNK:
            self._grow_values()
        while len(self.values.pool) < size:
            self._grow(pool=len(self.values.pool) * 2)
        values, end = self.values, 0
        for number, (leaf, vector) in enumerate(zip(task.leaves, vectors, strict=True)):
            values.operation[number] = LEAF + KINDS.index(result_type(leaf))
            values.argument[number] = -1
            values.offset[number] = end
            for e, result in enumerate(vector):
                if isinstance(result, str):
                    values.number[number * n + e] = len(result)
                    values.pool[end : end + len(result)] = [self.place[c] for c in result]
                    end += len(result)
                else:
                    values.number[number * n + e] = result
        different = dict.fromkeys((type(vector[0]), vector) for vector in vectors)
        keys = np.array([self.table_key(vector) for _, vector in different], dtype=np.uint64)
        kernels.enter_keys(keys, values.table)
        self.state[kernels.COUNT], self.state[kernels.ENTRIES] = len(vectors), len(different)
        self.state[kernels.POOL] = end
        self.made = len(vectors)
        self.pending[1].append(np.arange(len(vectors)))

    def key(self, vector: Vector) -> int:
        """Key of a vector by its definition (see ``kernels.py``)."""
        text, total = self.text, 0
        for e, result in enumerate(vector):
            if isinstance(result, str):
                codes = [int(text.code[self.place[c]]) for c in result]
                total += int(text.k_str[e]) * sum(c * int(text.power[i]) for i, c in enumerate(codes))
            else:
                total += int(text.k_bool[e] if isinstance(result, bool) else text.k_int[e]) * int(result)
        kind = KINDS.index("str" if isinstance(vector[0], str) else "bool" if isinstance(vector[0], bool) else "int")
        return (total + int(kernels.TAGS[kind])) % (1 << 64)

    def table_key(self, vector: Vector) -> int:
        """Key under which the table holds a vector."""
        return self.key(vector) & int(self.exact_mask) | 1 if self.exact_mask else self.key(vector)

    def run(self, n_solutions: int, official: bool) -> SearchResult:
        task, state = self.task, self.state
        self.solutions: list[tuple[Expression, int, int]] = []
        at_start = [leaf for leaf, vector in zip(task.leaves, task.vectors, strict=True) if vector == task.outputs]
        if at_start:
            self.skipping = False  # known results may be solutions
            for leaf in [] if official else at_start:
                if len(self.solutions) < n_solutions and (self.accept is None or self.accept(leaf)):
                    self.solutions.append((leaf, 1, 0))
        if len(self.solutions) >= n_solutions:
            return self._result("solved")
        if self.limit <= 0:
            return self._result("expressions")
        target = np.uint64(self.table_key(task.outputs))
        self._fill_bucket(1)
        for level in range(2, self.max_weight + 1):
            self.level = level
            first_new = int(state[kernels.COUNT])
            state[kernels.OP] = state[kernels.W0] = state[kernels.INSIDE] = 0
            while True:
                if self._late():
                    return self._result("timeout")
                status = kernels.advance(
                    self.level, self.limit, SLICE, self.excel, self.skipping, self.exact_mask, target,
                    self.enabled, state, self.text, self.buckets, self.values, self.scratch,
                )  # fmt: skip
                if self.progress is not None:
                    self.progress(int(state[kernels.TRIED]))
                if status == kernels.NEEDS_ROOM:
                    self._make_room()
                elif status == kernels.HIT_OUTPUT:
                    self.skipping = False
                    self._add_solution()
                    if len(self.solutions) == n_solutions:
                        return self._result("solved")
                    if state[kernels.TRIED] >= self.limit:
                        return self._result("expressions")
                elif status == kernels.ASKS:
                    self._answer()
                elif status == kernels.BUDGET_DONE:
                    return self._result("expressions")
                elif status == kernels.LEVEL_DONE:
                    break
            if not self._end_level(first_new):
                return self._result("timeout")
        return self._result("weight")

    def _late(self) -> bool:
        if self.stop is not None and self.stop():
            return True
        return self.timeout is not None and time.perf_counter() - self.start > self.timeout

    def _add_solution(self) -> None:
        """Keep the candidate that has the key of the output, if it does give the output."""
        operation, *numbers = self.state[kernels.HIT : kernels.HIT + 5].tolist()
        seen = self.seen()
        arguments = [seen.expression(number) for number in numbers if number >= 0]
        expression = Call(OPERATIONS[operation], tuple(arguments))
        try:
            results = tuple(evaluate(expression, row, self.dialect) for row in self.task.rows)
        except EvaluationError:
            return
        if results == self.task.outputs and (self.accept is None or self.accept(expression)):
            self.solutions.append((expression, self.level, int(self.state[kernels.TRIED])))

    def _answer(self) -> None:
        """Say whether the candidate in question is a new value, and whether it is the output (exact mode)."""
        for number in range(self.listed, int(self.state[kernels.COUNT])):
            vector = self.vector(number)
            self.known.add((type(vector[0]), vector))
        self.listed = int(self.state[kernels.COUNT])
        operation, *numbers = self.state[kernels.HIT : kernels.HIT + 5].tolist()
        compute = function(OPERATIONS[operation], self.dialect)
        vector = tuple(map(compute, *(self.vector(number) for number in numbers if number >= 0)))
        new = (type(vector[0]), vector) not in self.known
        self.known.add((type(vector[0]), vector))
        answer = (kernels.IS_NEW if new else kernels.IS_KNOWN) + kernels.IS_OUTPUT * (vector == self.task.outputs)
        self.state[kernels.ANSWER] = answer

    def _end_level(self, first_new: int) -> bool:
        """Make the new values, put them into their buckets and fill the next one; False when time is up."""
        last = int(self.state[kernels.COUNT])
        if not self._make(last):
            return False
        weights = np.full(last - first_new, self.level, dtype=np.int64)
        if self.heuristics and not self._heuristic_weights(first_new, last, weights):
            return False
        spent = self.state[kernels.TRIED] / self.limit
        if self.timeout is not None:
            spent = max(spent, (time.perf_counter() - self.start) / self.timeout)
        numbers = np.arange(first_new, last)
        if self.reweight is not None and spent <= self.reweighting_fraction:
            for begin in range(0, len(numbers), BATCH):
                if self._late():
                    return False
                batch = slice(begin, begin + BATCH)
                weights[batch] += np.asarray(self.reweight(self._level_values(numbers[batch])), dtype=np.int64)
        for weight in np.unique(weights[weights <= self.max_weight]):
            self.pending[weight].append(numbers[weights == weight])
        self._fill_bucket(self.level)
        return True

    def _make(self, last: int) -> bool:
        while self.made < last:
            if self._late():
                return False
            self.made, end = kernels.make_values(
                self.made, min(last, self.made + BATCH), self.state[kernels.POOL], self.excel, self.text, self.values
            )
            self.state[kernels.POOL] = end
            if end + self.n * kernels.MAX_LENGTH > len(self.values.pool):
                self._grow(pool=max(2 * len(self.values.pool), end + 2 * self.n * kernels.MAX_LENGTH))
        return True

    def _heuristic_weights(self, first: int, last: int, weights: NDArray[np.int64]) -> bool:
        words = _places(self.task.outputs, np.arange(len(self.alphabet)), self.place, longest=64)
        row = np.empty(max(map(len, self.task.outputs)) + 1, dtype=np.int64)
        for begin in range(first, last, BATCH):
            if self._late():
                return False
            end = min(last, begin + BATCH)
            kernels.heuristic_weights(
                begin, end, self.level, words, row, self.text, self.values, weights[begin - first : end - first]
            )
        return True

    def _level_values(self, numbers: NDArray[np.int64]) -> LevelValues:
        return LevelValues(
            self.level,
            RESULT[self.values.operation[numbers]].astype(np.uint8),
            self.values.number[: self.made * self.n].reshape(-1, self.n)[numbers],
            self.values.offset[numbers],
            self.values.pool,
            self.alphabet,
            self.task.outputs,
        )

    def _fill_bucket(self, weight: int) -> None:
        """Lay the values of a weight out for the inner loops; no more values can come to it."""
        numbers = np.concatenate([np.empty(0, dtype=np.int64), *self.pending[weight]])
        self.pending[weight] = []
        operation = self.values.operation[numbers].astype(np.int64)
        kinds = np.where(operation >= LEAF, operation - LEAF, RESULT[np.minimum(operation, len(RESULT) - 1)])
        for kind in range(3):
            ids = numbers[kinds == kind]
            start = self.filled[kind]
            self.buckets = _with_room(self.buckets, kind, start + len(ids), self.n)
            self.buckets.start[kind, weight], self.buckets.size[kind, weight] = start, len(ids)
            longest = kernels.fill_bucket(ids, kind, start, self.uncountable, self.text, self.buckets, self.values)
            if kind == kernels.STR:
                self.buckets.longest[weight] = longest
            self.filled[kind] = start + len(ids)
            self.largest = max(self.largest, len(ids))
        if weight == 1 or len(self.scratch.chosen) <= self.largest:
            self.scratch = _scratch(self.n, len(self.text.power), max(256, 2 * self.largest))

    def _make_room(self) -> None:
        state = self.state
        if state[kernels.COUNT] > len(self.values.operation) - kernels.CHUNK:
            self._grow_values()
        # Entries are at most as many as values; the loops stop for room by either.
        if state[kernels.COUNT] > len(self.values.table) // 2 - kernels.CHUNK:
            table = np.zeros(2 * len(self.values.table), dtype=np.uint64)
            kernels.enter_keys(self.values.table, table)
            self.values = self.values._replace(table=table)

    def _grow_values(self) -> None:
        size = 2 * len(self.values.operation)
        self._grow(operation=size, argument=size, offset=size, number=size * self.n)

    def _grow(self, **sizes: int) -> None:
        self.values = self.values._replace(**{k: _longer(getattr(self.values, k), size) for k, size in sizes.items()})

    def vector(self, number: int) -> Vector:
        """Results of a value on the examples, whether or not its texts have been made."""
        operation = int(self.values.operation[number])
        if number >= self.made:
            compute = function(OPERATIONS[operation], self.dialect)
            arguments = [self.vector(argument) for argument in self.values.argument[number].tolist() if argument >= 0]
            return tuple(map(compute, *arguments))
        kind = operation - LEAF if operation >= LEAF else int(RESULT[operation])
        numbers = self.values.number[number * self.n : (number + 1) * self.n]
        return _decode(kind, numbers, int(self.values.offset[number]), self.values.pool, self.alphabet)

    def seen(self) -> SeenValues:
        count = int(self.state[kernels.COUNT])
        operations = self.values.operation[:count].astype(np.int8)
        operations[: len(self.task.leaves)] = -1
        return SeenValues(self.task.leaves, operations, self.values.argument[:count], self.vector)

    def _result(self, reason: Reason) -> SearchResult:
        expressions, weights, found_at = zip(*self.solutions, strict=True) if self.solutions else ((), (), ())
        tried, unique = int(self.state[kernels.TRIED]), int(self.state[kernels.ENTRIES])
        seconds = time.perf_counter() - self.start
        return SearchResult(expressions, weights, found_at, tried, unique, self.level, seconds, reason, self.seen())


def _text_constants(task: Task, dialect: Dialect) -> tuple[str, Text, NDArray[np.uint8]]:
    """The characters of a task, numbered, what operations do with them, and the random numbers of the hashes."""
    texts = [text for vector in (*task.vectors, task.outputs) for text in vector if isinstance(text, str)]
    characters = set("".join(texts)) | set("0123456789- ,./")
    size = 0
    while size < len(characters):  # with all that case mappings lead to
        size = len(characters)
        characters |= {m for c in characters for m in (c.lower(), c.upper()) if len(m) == 1}
    alphabet = "".join(sorted(characters))
    if len(alphabet) > 1 << 16:
        raise ValueError(f"the examples have {len(alphabet)} different characters; at most {1 << 16} are possible")
    place = {character: i for i, character in enumerate(alphabet)}
    lower, upper = (function(NAMED[name, 1], dialect) for name in ("LOWER", "UPPER"))
    # PROPER of the paper's dialect knows the upper case of all letters, UPPER of the ASCII ones only.
    title = upper if dialect == "excel" else lambda c: c.upper() if len(c.upper()) == 1 else c
    case = np.zeros((3, len(alphabet)), dtype=np.uint16)
    refused = np.zeros((4, len(alphabet)), dtype=np.uint8)
    if dialect == "excel":
        refused[3] = [not (c.isascii() or clear_letter(c)) for c in alphabet]
    for row, mapping in enumerate((lower, upper, title)):
        for i, character in enumerate(alphabet):
            try:
                case[row, i] = place[str(mapping(character))]
            except EvaluationError:
                refused[row, i] = 1

    def flags(values: Sequence[bool]) -> NDArray[np.uint8]:
        return np.array(values, dtype=np.uint8)

    random = np.random.default_rng(2021)  # any numbers will do; these make a search repeatable to the last bit
    longest = max(map(len, texts), default=0)
    n = len(task.outputs)
    base = int(random.integers(1 << 61)) * 8 + 5  # 5 mod 8: powers of B repeat as late as possible
    power = np.ones(longest + 256, dtype=np.uint64)
    power[1:] = base
    multipliers = random.integers(1 << 63, size=(3, n), dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    excel = dialect == "excel"
    text = Text(
        code=random.integers(1 << 63, size=len(alphabet), dtype=np.uint64) * np.uint64(2) + np.uint64(1),
        power=np.multiply.accumulate(power),
        k_str=multipliers[0].copy(),
        k_int=multipliers[1].copy(),
        k_bool=multipliers[2].copy(),
        case=case,
        refused=refused,
        letter=flags([c.isalpha() for c in alphabet]),
        blank=flags([c == " " if excel else c <= " " for c in alphabet]),
        special=np.array([place[c] for c in "0123456789- "], dtype=np.uint16),
        output=np.array([place[c] for output in task.outputs for c in output], dtype=np.uint16),
        output_length=np.array([len(output) for output in task.outputs], dtype=np.int64),
    )
    return alphabet, text, flags([excel and c > "\uffff" for c in alphabet])


def _empty_buckets(max_weight: int) -> Buckets:
    shape = 3, max_weight + 2
    start, size = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    types = {
        "text_id": np.int32, "text_hash": np.uint64, "text_length": np.int32, "text_mask": np.uint64,
        "text_offset": np.int64, "text_key": np.uint64, "text_longest": np.int32, "uncountable": np.uint8,
        "int_id": np.int32, "int_value": np.int32, "int_key": np.uint64,
        "bool_id": np.int32, "bool_value": np.uint8,
    }  # fmt: skip
    arrays: dict[str, NDArray[Any]] = {name: np.empty(0, dtype=dtype) for name, dtype in types.items()}
    return Buckets(start=start, size=size, longest=np.zeros(shape[1], dtype=np.int64), **arrays)


_PER_VALUE = (
    ("text_id", "text_key", "text_longest", "uncountable"),
    ("int_id", "int_key"),
    ("bool_id",),
)
_PER_EXAMPLE = (("text_hash", "text_length", "text_mask", "text_offset"), ("int_value",), ("bool_value",))


def _with_room(buckets: Buckets, kind: int, count: int, n: int) -> Buckets:
    """The buckets with room for so many values of a type."""
    have = len(getattr(buckets, _PER_VALUE[kind][0]))
    if count <= have:
        return buckets
    size = max(count, 2 * have)
    longer = {name: _longer(getattr(buckets, name), size) for name in _PER_VALUE[kind]}
    longer |= {name: _longer(getattr(buckets, name), size * n) for name in _PER_EXAMPLE[kind]}
    return buckets._replace(**longer)


def _longer(array: NDArray[Any], size: int) -> NDArray[Any]:
    result = np.empty((size, *array.shape[1:]), dtype=array.dtype)
    result[: len(array)] = array
    return result


def _scratch(n: int, width: int, largest: int) -> Scratch:
    places = 1 << (2 * max(largest, kernels.MAX_PAIRS)).bit_length()

    def table(dtype: Any) -> NDArray[Any]:
        return np.empty((n, width), dtype=dtype)

    return Scratch(
        keys=np.empty(kernels.CHUNK, dtype=np.uint64),
        prefix=table(np.uint64),
        suffix=table(np.uint64),
        part=table(np.uint64),
        place=table(np.uint64),
        hits=table(np.int64),
        n_hits=np.empty(n, dtype=np.int64),
        apart=table(np.int64),
        n_apart=np.empty(n, dtype=np.int64),
        length0=np.empty(n, dtype=np.int64),
        length1=np.empty(n, dtype=np.int64),
        start=np.empty(n, dtype=np.int64),
        end=np.empty(n, dtype=np.int64),
        known_a=np.empty(places, dtype=np.uint64),
        known_b=np.empty(places, dtype=np.uint64),
        chosen=np.empty(largest + 1, dtype=np.int64),
        chosen_sum=np.empty(largest + 1, dtype=np.uint64),
        which=np.empty((largest + 1) * n, dtype=np.int32),
        option=table(np.uint64),
        option_length=table(np.int64),
    )
