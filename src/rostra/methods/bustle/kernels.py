"""Compiled loops of the search; ``core.py`` drives them. Nothing else in the package imports numba.

How a value is known: a text s has the hash h(s) = sum_i code[s_i] B^i (mod 2^64, B odd, codes random),
so that h(a + b) = h(a) + B^len(a) h(b), and the vector of texts s_1..s_n has the key
tag + sum_e K_e h(s_e) with random odd K_e. Keys of numbers and truth values are linear too. Because
everything is linear, the key of most results follows from hashes of prefixes and suffixes of the outer
arguments and the stored K_e h(s_e) of the inner ones: no text is made, and no example is looked at twice.
A key that is in the table is a known vector; texts are made at the end of a level, for new values only.
Two different vectors of N have the same key with probability of about N^2 / 2^64.

How the loops run: the last argument of an operation is the inner loop. It writes the keys of up to
``CHUNK`` candidates (0: no value), which one common loop then looks up. All that depends on the outer
arguments alone is prepared before, and blocks of candidates that cannot be new are counted and left out.
"""

# ruff: noqa: SIM109, SIM110 - comparisons and loops as numba compiles them best

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
I32 = NDArray[np.int32]
U16 = NDArray[np.uint16]
U8 = NDArray[np.uint8]

# Numbers of the operations: their places in dsl.OPERATIONS.
ADD, CONCATENATE, EXACT, FIND, FIND_FROM, GT, GTE, IF, LEFT, LEN, LOWER = range(11)
MID, MINUS, PROPER, REPLACE, REPT, RIGHT, SUBSTITUTE, SUBSTITUTE_ONE, TO_TEXT, TRIM, UPPER = range(11, 22)

STR, INT, BOOL = 0, 1, 2
ARITY = np.array([2, 2, 2, 2, 3, 2, 2, 3, 2, 1, 1, 3, 2, 1, 4, 2, 2, 3, 4, 1, 1, 1], dtype=np.int64)
RESULT = np.array([1, 0, 2, 1, 1, 2, 2, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], dtype=np.int64)
ARGUMENT = np.zeros((22, 4), dtype=np.int64)
for _op, _types in {
    ADD: (1, 1), FIND_FROM: (0, 0, 1), GT: (1, 1), GTE: (1, 1), IF: (2, 0, 0), LEFT: (0, 1), MID: (0, 1, 1),
    MINUS: (1, 1), REPLACE: (0, 1, 1, 0), REPT: (0, 1), RIGHT: (0, 1), SUBSTITUTE_ONE: (0, 0, 0, 1), TO_TEXT: (1,),
}.items():  # fmt: skip
    ARGUMENT[_op, : len(_types)] = _types

MAX_LENGTH, MAX_NUMBER, MAX_PAIRS = 99, 100, 1 << 15
CHUNK = 512
"""Candidates whose keys are made at a time: they stay in the first-level cache."""

# The tags keep types apart; they and the multiplier of the table are odd and otherwise arbitrary.
TAGS = np.array([0x9AE16A3B2F90404F, 0xC949D7C7509E6557, 0xFF51AFD7ED558CCD], dtype=np.uint64)
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
ZERO, ONE = np.uint64(0), np.uint64(1)

# Places in the state of a search.
OP, W0, I0, I1, I2, LO, BASE, TRIED, COUNT, ENTRIES, POOL, INSIDE = 0, 1, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14
HIT = 15  # operation and arguments of a candidate that has the key of the output, or about which is asked
ANSWER = 20  # to ASKS: 0 none, or IS_KNOWN, IS_NEW, and IS_OUTPUT added
IS_KNOWN, IS_NEW, IS_OUTPUT = 1, 2, 4
STATE_SIZE = 24

# What ``advance`` says when it returns.
LEVEL_DONE, SLICE_DONE, NEEDS_ROOM, HIT_OUTPUT, BUDGET_DONE, ASKS, RUNNING = range(7)


class Text(NamedTuple):
    """Constants of a task; A characters, n examples, P the longest text and some room."""

    code: U64  # (A,)
    power: U64  # (P,) powers of B
    k_str: U64  # (n,) multipliers of the hashes of an example
    k_int: U64  # (n,)
    k_bool: U64  # (n,)
    case: U16  # (3, A) lower, upper, and upper as PROPER uses it
    refused: U8  # (4, A) 1: the operation fails on this character; last row: PROPER, anywhere in a text
    letter: U8  # (A,)
    blank: U8  # (A,) 1: TRIM strips it at the ends
    special: U16  # (12,) characters 0..9, minus, space
    output: U16  # outputs, one after the other
    output_length: I64  # (n,)


class Buckets(NamedTuple):
    """Values by weight and type. Arrays of a bucket of m values that starts at s hold example e at n*s + e*m."""

    start: I64  # (3, W)
    size: I64  # (3, W)
    longest: I64  # (W,) longest text
    text_id: I32
    text_hash: U64  # K_e h(s_e)
    text_length: I32
    text_mask: U64  # set of characters, modulo 64
    text_offset: I64  # (values * n,) in the pool, value after value
    text_key: U64  # (values,)
    text_longest: I32  # (values,)
    uncountable: U8  # (values,) 1: operations that count characters fail
    int_id: I32
    int_value: I32
    int_key: U64  # (values,)
    bool_id: I32
    bool_value: U8


class Values(NamedTuple):
    """Values by number, and the table of keys."""

    table: U64  # 0: free
    operation: U8
    argument: I32  # (values, 4)
    offset: I64  # start of the first example's text in the pool
    number: I32  # (values * n,) length of a text, or the number itself
    pool: U16  # characters of texts, example after example


class Scratch(NamedTuple):
    """Room for the loops; n examples, P longest text, m largest bucket."""

    keys: U64  # (CHUNK,)
    prefix: U64  # (n, P) K_e h(t[:i]) of the first argument
    suffix: U64  # (n, P) K_e h(t[i:])
    part: U64  # (n, P)
    place: U64  # (n, P)
    hits: I64  # (n, P)
    n_hits: I64  # (n,)
    apart: I64  # (n, P) hits that do not overlap
    n_apart: I64  # (n,)
    length0: I64  # (n,) lengths of the first and the second argument
    length1: I64  # (n,)
    start: I64  # (n,)
    end: I64  # (n,)
    known_a: U64  # (power of two >= 4m,) sets of keys
    known_b: U64
    chosen: I64  # (m,) places in the inner bucket that are tried
    chosen_sum: U64  # (m,)
    which: I32  # (m, n)
    option: U64  # (n, P)
    option_length: I64  # (n, P)


_outer = njit(cache=True, nogil=True, no_cfunc_wrapper=True)  # type: ignore[call-overload]
_inner = njit(cache=True, nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)  # type: ignore[call-overload]
"""For functions that only compiled ones call. Without the wrappers they take half as long to compile."""
_inlined = njit(inline="always")
"""For small functions that one loop calls for each text: handing over the arrays would take longer than the work."""


@_inner
def _find(pool, text, text_length, part, part_length, begin):
    """Place of the first occurrence of a text in another one at or after ``begin``, or -1."""
    first = pool[part]
    for i in range(begin, text_length - part_length + 1):
        if pool[text + i] == first:
            j = 1
            while j < part_length and pool[text + i + j] == pool[part + j]:
                j += 1
            if j == part_length:
                return i
    return -1


@_inner
def _add_to_set(known, mask, key):
    """Whether the key was not there; 0 is read as 1."""
    key = max(key, ONE)
    slot = np.int64((key * GOLDEN) >> np.uint64(32)) & mask
    while known[slot] != ZERO:
        if known[slot] == key:
            return False
        slot = (slot + 1) & mask
    known[slot] = key
    return True


@_inner
def _set_mask(known, size):
    """Empty as much of a set as ``size`` keys need; gives the mask of its places."""
    places = 16
    while places < 2 * size:
        places *= 2
    known[:places] = ZERO
    return places - 1


@_inner
def _case_hash(op, t, pool, begin, length):
    """Hash of a text in another case; gives also whether the operation fails."""
    total = ZERO
    after_letter = False
    for i in range(length):
        c = pool[begin + i]
        if op == UPPER:
            if t.refused[1, c]:
                return total, True
            c = t.case[1, c]
        else:
            if t.refused[0, c] or (op == PROPER and t.refused[3, c]):
                return total, True
            c = t.case[0, c]
            if op == PROPER:
                letter = t.letter[c] != 0
                if letter and not after_letter:
                    if t.refused[2, c]:
                        return total, True
                    c = t.case[2, c]
                after_letter = letter
        total += t.code[c] * t.power[i]
    return total, False


@_inner
def _trim_ends(t, pool, begin, length):
    i, j = begin, begin + length
    while i < j and t.blank[pool[i]]:
        i += 1
    while j > i and t.blank[pool[j - 1]]:
        j -= 1
    return i, j


@_inner
def _substitute_parts(e, length, part_length, places, hits, power, suffix, piece, gap):
    """Cut a text at the first ``hits`` of ``places``, so that replacing them by x gives a polynomial in y = B^len(x).

    hash = sum_k y^k (piece_k + gap_k h(x)); the last gap is 0.
    """
    begin = 0
    for i in range(hits + 1):
        end = places[e, i] if i < hits else length
        shift = begin - i * part_length
        piece[e, i] = power[shift] * (suffix[e, begin] - power[end - begin] * suffix[e, end])
        gap[e, i] = power[end - i * part_length] if i < hits else ZERO
        begin = end + part_length


@_inner
def _hash_parts(op, n, first, pool, text_offset, length0, code, power, k_str, prefix, suffix):
    """Hashes of all prefixes and suffixes of a text."""
    for e in range(n):
        length, offset = length0[e], text_offset[first + e]
        k, h = k_str[e], ZERO
        suffix[e, length] = ZERO
        for i in range(length - 1, -1, -1):
            h = h * power[1] + code[pool[offset + i]]
            suffix[e, i] = k * h
        if op != RIGHT and op != MID:
            h *= k
            for i in range(length + 1):
                prefix[e, i] = h - power[i] * suffix[e, i]


@_inner
def _hash_repeated(e, length, g, power, option):
    """Hashes of a text repeated 0, 1, .. times, while the result is not too large."""
    h = ZERO
    option[e, 0] = ZERO
    if length > 0:
        for i in range(1, (MAX_LENGTH - 1) // length + 1):
            h = h * power[length] + g
            option[e, i] = h


@_inner
def _choose_texts(skipping, n, m, base, at0, m0, bool_value, text_hash, known, chosen, chosen_sum):
    """Third arguments of IF: of texts that differ only where the condition holds, the first. Gives how many."""
    mask = _set_mask(known, m)
    count = 0
    for j in range(m):
        key = ZERO
        for e in range(n):
            if not bool_value[at0 + e * m0]:
                key += text_hash[base + e * m + j]
        if not skipping or _add_to_set(known, mask, key):
            chosen[count] = j
            chosen_sum[count] = key
            count += 1
    return count


@_inner
def _find_all(
    step, n, pool, text_offset, text_mask, text, text_at, text_m, text_length, part, part_at, part_m, part_length,
    hit, n_hits,
):  # fmt: skip
    """Find a non-empty text in another one, in each example; gives the number of examples with a hit.

    Step 0 finds occurrences that do not overlap, step 1 all.
    """
    found = 0
    for e in range(n):
        length, hits = part_length[e], 0
        if length > 0 and text_mask[part_at + e * part_m] & ~text_mask[text_at + e * text_m] == ZERO:
            begin, part_begin = text_offset[text + e], text_offset[part + e]
            i = _find(pool, begin, text_length[e], part_begin, length, np.int64(0))
            while i >= 0:
                hit[e, hits] = i
                hits += 1
                i = _find(pool, begin, text_length[e], part_begin, length, i + (step if step > 0 else length))
        n_hits[e] = hits
        if hits > 0:
            found += 1
    return found


@_inner
def _choose_occurrences(
    skipping, has_substitute, excel, n, m, base, int_value, n_hits, k_int, known, which, chosen
):  # fmt: skip
    """Occurrence numbers of SUBSTITUTE that can give something new; gives how many.

    Codes of an example in ``which``: 0 all occurrences, 1..hits one of them, hits + 1 none; -1 first: no value.
    """
    mask = _set_mask(known, m)
    count = 0
    for j in range(m):
        no_error, all_all, all_none, key = True, True, True, ZERO
        for e in range(n):
            hits = n_hits[e]
            o = np.int64(int_value[base + e * m + j])
            if o < excel:
                no_error = False
            if hits == 0 or o > hits:
                o = hits + 1
            elif hits == 1:
                o = 0
            if hits > 0 and o != 0:
                all_all = False
            if hits > 0 and o != hits + 1:
                all_none = False
            which[count * n + e] = o
            key += k_int[e] * np.uint64(o)
        new = True
        if not skipping:
            if not no_error:
                which[count * n] = -1
        elif not no_error or all_none or (all_all and has_substitute):
            new = False
        else:
            new = _add_to_set(known, mask, key)
        if new:
            chosen[count] = j
            count += 1
    return count


@_inner
def _hits_apart(e, part_length, hit, n_hits, apart_hit):
    """Of the hits those that do not overlap, from the left; gives how many."""
    apart, end = 0, 0
    for i in range(n_hits):
        if hit[e, i] >= end:
            end = hit[e, i] + part_length
            apart_hit[e, apart] = hit[e, i]
            apart += 1
    return apart


@_inner
def _substitute_options(
    n, at, m, text_hash, text_length, length0, length1, hit, n_hits, n_apart,
    power, prefix, suffix, piece, gap, option, option_length,
):  # fmt: skip
    """Hashes and lengths for all that SUBSTITUTE can do with a text, a part and a new text: see ``which``."""
    for e in range(n):
        length, part_length, new_length = length0[e], length1[e], np.int64(text_length[at + e * m])
        g = text_hash[at + e * m]
        y = power[new_length]
        apart, hits = n_apart[e], n_hits[e]
        h = piece[e, apart]
        for i in range(apart - 1, -1, -1):
            h = h * y + piece[e, i] + gap[e, i] * g
        option[e, 0] = h
        option_length[e, 0] = length + apart * (new_length - part_length)
        for i in range(hits):
            begin = hit[e, i]
            option[e, i + 1] = prefix[e, begin] + power[begin] * (g + y * suffix[e, begin + part_length])
            option_length[e, i + 1] = length + new_length - part_length
        option[e, hits + 1] = suffix[e, 0]
        option_length[e, hits + 1] = length


@_inner
def _add_texts(keys, width, at, a, h, text_hash, text_length, power):
    """Add the part of one example to keys of texts that hold the inner text x once: a h(x) + h B^len(x)."""
    if h == ZERO:
        for j in range(width):
            keys[j] += a * text_hash[at + j]
    else:
        for j in range(width):
            keys[j] += a * text_hash[at + j] + power[text_length[at + j]] * h


@_inner
def _add_texts_often(keys, width, at, e, hits, piece, gap, text_hash, text_length, power):
    """The same where x stands in several places (see ``_substitute_parts``); without the first piece."""
    for j in range(width):
        g, y = text_hash[at + j], power[text_length[at + j]]
        h = piece[e, hits]
        for i in range(hits - 1, 0, -1):
            h = h * y + piece[e, i] + gap[e, i] * g
        keys[j] += h * y + gap[e, 0] * g


@_inner
def _drop_long(keys, width, at, rest, times, text_length):
    """Drop candidates whose text would be too long: the inner one so many times, and a rest."""
    for j in range(width):
        if rest + times * text_length[at + j] >= MAX_LENGTH:
            keys[j] = ZERO


@_inner
def _add_options(keys, width, first, n, which, option, option_length):
    for j in range(width):
        key, at = keys[j], first + j * n
        for e in range(n):
            o = which[at + e]
            if o < 0 or option_length[e, o] >= MAX_LENGTH:
                key = ZERO
                break
            key += option[e, o]
        keys[j] = key


@_inner
def _add_slices(op, keys, width, at, m, n, int_value, length0, cut_begin, power, prefix, suffix):
    """LEFT, RIGHT and MID; the inner argument is the number of characters."""
    for j in range(width):
        key = keys[j]
        for e in range(n):
            k = np.int64(int_value[at + e * m + j])
            begin = cut_begin[e] if op == MID else 0
            length = length0[e] - begin
            if k < 0 or min(k, length) >= MAX_LENGTH:
                key = ZERO
                break
            k = min(k, length)
            if op == LEFT:
                key += prefix[e, k]
            elif op == RIGHT:
                key += suffix[e, length - k]
            else:
                key += suffix[e, begin] - power[k] * suffix[e, begin + k]
        keys[j] = key


@_inner
def _add_places(
    excel, keys, width, at, first, m, n, pool, text_offset, text_mask, text_length, uncountable, k_int,
    part, part_at, part_m, part_length,
):  # fmt: skip
    """FIND; the inner argument is the text in which to look."""
    for j in range(width):
        key, p = keys[j], first + j
        for e in range(n):
            place, i = at + e * m + j, np.int64(0)
            if excel and (uncountable[p] or part_length[e] == 0):  # no empty text is found
                i = -1
            elif part_length[e] > 0:
                i = -1
                if text_mask[part_at + e * part_m] & ~text_mask[place] == ZERO:
                    text, length = text_offset[p * n + e], np.int64(text_length[place])
                    i = _find(pool, text, length, text_offset[part + e], part_length[e], np.int64(0))
            if i < 0 or i >= MAX_NUMBER - 1:
                key = ZERO
                break
            key += k_int[e] * np.uint64(i + 1)
        keys[j] = key


@_inner
def _add_later_places(keys, width, at, m, n, int_value, k_int, length0, length1, hit, n_hits):
    """FIND from a place on, which is the inner argument."""
    for j in range(width):
        key = keys[j]
        for e in range(n):
            o = np.int64(int_value[at + e * m + j])
            i = np.int64(-1)
            if o > 0 and length0[e] == 0:
                i = min(o, length1[e] + 1)
            elif o > 0:
                for k in range(n_hits[e]):
                    if hit[e, k] >= o - 1:
                        i = hit[e, k] + 1
                        break
            if i < 0 or i >= MAX_NUMBER:
                key = ZERO
                break
            key += k_int[e] * np.uint64(i)
        keys[j] = key


@_inner
def _combine_numbers(op, keys, width, at, number, k, int_value):
    """ADD and MINUS: drop sums that are too large. GT and GTE: add an example's part of the key."""
    if op == ADD or op == MINUS:
        sign = 1 if op == ADD else -1
        for j in range(width):
            if abs(number + sign * int_value[at + j]) >= MAX_NUMBER:
                keys[j] = ZERO
    else:
        if op == GTE:
            number += 1
        for j in range(width):
            keys[j] += k if number > int_value[at + j] else ZERO


@_inner
def _add_repeated(keys, width, at, e, length, int_value, option):
    for j in range(width):
        k = np.int64(int_value[at + j])
        if k < 0 or length * k >= MAX_LENGTH:
            keys[j] = ZERO
        elif keys[j] != ZERO and length > 0:
            keys[j] += option[e, k]


@_inner
def _add_digits(keys, width, at, k, int_value, special, code, power):
    for j in range(width):
        number = np.int64(int_value[at + j])
        rest = abs(number)
        h = code[special[rest % 10]]
        while rest >= 10:
            rest //= 10
            h = h * power[1] + code[special[rest % 10]]
        if number < 0:
            h = h * power[1] + code[special[10]]
        keys[j] += k * h


@_inner
def _map_texts(op, excel, keys, width, at, first, m, n, text_offset, text_length, uncountable, t, pool):
    """Operations on one text."""
    for j in range(width):
        key, p = keys[j], first + j
        for e in range(n):
            offset, length = text_offset[p * n + e], np.int64(text_length[at + e * m + j])
            if op == LEN:
                if length >= MAX_NUMBER or (excel and uncountable[p]):
                    key = ZERO
                    break
                key += t.k_int[e] * np.uint64(length)
                continue
            h, fails = ZERO, False
            if op == TRIM:
                i, end = _trim_ends(t, pool, offset, length)
                length = 0
                for place in range(i, end):
                    if place == i or pool[place] != t.special[11] or pool[place - 1] != t.special[11]:
                        h += t.code[pool[place]] * t.power[length]
                        length += 1
            else:
                h, fails = _case_hash(op, t, pool, offset, length)
            if fails or length >= MAX_LENGTH:
                key = ZERO
                break
            key += t.k_str[e] * h
        keys[j] = key


@_inner
def _next_shares(level, enabled, size, state):
    """Go on to the next operation and way to share the weight among its arguments for which there are values.

    Operations in their order; for each the ways in ascending lexicographic order, from 1, 1, .., rest on.
    Gives whether there is one.
    """
    total = level - 1
    while state[OP] < enabled.size:
        op = enabled[state[OP]]
        last = ARITY[op] - 1
        more = False
        if state[W0] == 0:
            more = total > last
            for i in range(last):
                state[W0 + i] = 1
            state[W0 + last] = total - last
        else:
            i = last - 1
            while i >= 0 and not more:
                rest = total  # for the shares from place i + 1 on, if share i grows by 1
                for k in range(i + 1):
                    rest -= state[W0 + k]
                rest -= 1
                if rest >= last - i:
                    more = True
                    state[W0 + i] += 1
                    for k in range(i + 1, last):
                        state[W0 + k] = 1
                        rest -= 1
                    state[W0 + last] = rest
                i -= 1
        if not more:
            state[OP] += 1
            state[W0] = 0
            continue
        values = True
        for i in range(last + 1):
            if size[ARGUMENT[op, i], state[W0 + i]] == 0:
                values = False
        if values:
            return True
    return False


@_outer
def advance(level, limit, work, excel, skipping, exact_mask, target, enabled, state, t, b, v, s):
    """Try the candidates of a level from where the state says, until something is due.

    Args:
        level: weight of the candidates.
        limit: candidates to try in the whole search.
        work: units of work until it returns anyway; a unit is about one candidate.
        excel: 1 for the "excel" dialect.
        skipping: whether to count blocks of known results without looking them up. Not when the output
            has been seen, or candidates that give it again would be missed.
        exact_mask: 0, or a mask for keys: then it asks whether a candidate whose key is known really is (for tests).
        target: key of the output.
        enabled: operations to use, ascending.
        state, t, b, v, s: see above.

    Returns:
        One of LEVEL_DONE, SLICE_DONE, NEEDS_ROOM, HIT_OUTPUT, BUDGET_DONE, ASKS.
    """
    # For the compiler's sake: an attribute of a tuple costs time wherever it is read, so each is read once, and
    # the work of each operation is in a function of its own, which is given the arrays that it needs.
    k_str, power, code, k_int = t.k_str, t.power, t.code, t.k_int
    k_bool, special = t.k_bool, t.special
    uncountable, text_offset, text_key, text_longest = b.uncountable, b.text_offset, b.text_key, b.text_longest
    text_hash, bool_value, int_key, int_value = b.text_hash, b.bool_value, b.int_key, b.int_value
    text_mask, text_length, text_id, int_id, bool_id = b.text_mask, b.text_length, b.text_id, b.int_id, b.bool_id
    table, operation, pool = v.table, v.operation, v.pool
    argument = v.argument
    suffix, prefix, known_a, option = s.suffix, s.prefix, s.known_a, s.option
    known_b, chosen, chosen_sum, cut_begin = s.known_b, s.chosen, s.chosen_sum, s.start
    hit, n_hits, piece, which = s.hits, s.n_hits, s.part, s.which
    apart_hit, n_apart, cut_end, gap = s.apart, s.n_apart, s.end, s.place
    option_length, keys, length0, length1 = s.option_length, s.keys, s.length0, s.length1
    concatenates = substitutes = 0
    for op in enabled:
        concatenates += op == CONCATENATE
        substitutes += op == SUBSTITUTE
    has_concatenate, has_substitute = concatenates > 0, substitutes > 0
    n = k_str.size
    tried, count, entries = state[TRIED], state[COUNT], state[ENTRIES]
    table_mask = table.size - 1
    shift = np.uint64(64)
    while (ONE << (np.uint64(64) - shift)) < np.uint64(table.size):
        shift -= ONE
    capacity = min(operation.size, table.size // 2) - CHUNK
    status = RUNNING
    while status == RUNNING:
        if not state[INSIDE]:
            if not _next_shares(level, enabled, b.size, state):
                status = LEVEL_DONE
                break
            state[I0] = state[I1] = state[I2] = state[LO] = state[INSIDE] = 0
            state[BASE] = tried
        op = enabled[state[OP]]
        arity = ARITY[op]
        tag = TAGS[RESULT[op]]
        # Buckets: up to three outer arguments (0, 1, 2; size 1 where there is none) and the inner one.
        w = state[W0 + arity - 1]
        kind = ARGUMENT[op, arity - 1]
        start, m = b.start[kind, w], b.size[kind, w]
        base = n * start
        longest = b.longest[w]
        start0 = m0 = m1 = m2 = 1
        start1 = start2 = 0
        if arity > 1:
            start0, m0 = b.start[ARGUMENT[op, 0], state[W0]], b.size[ARGUMENT[op, 0], state[W0]]
        if arity > 2:
            start1, m1 = b.start[ARGUMENT[op, 1], state[W0 + 1]], b.size[ARGUMENT[op, 1], state[W0 + 1]]
        if arity > 3:
            start2, m2 = b.start[ARGUMENT[op, 2], state[W0 + 2]], b.size[ARGUMENT[op, 2], state[W0 + 2]]
        base0, base1, base2 = n * start0, n * start1, n * start2

        inner_base, lo = state[BASE], state[LO]
        first0, first1, first2 = state[I0], state[I1], state[I2]
        uses_list = op == IF or op == SUBSTITUTE_ONE
        outer0 = outer1 = outer2 = np.int64(-1)  # numbers of the outer arguments
        mask_a = 0
        in_set = 0

        for i0 in range(first0, m0):
            # ---- prepare what depends on the first argument alone
            skip = False
            p0 = start0 + i0
            constant0 = ZERO
            if arity > 1:
                if ARGUMENT[op, 0] == STR:
                    outer0 = np.int64(text_id[p0])
                elif ARGUMENT[op, 0] == INT:
                    outer0 = np.int64(int_id[p0])
                else:
                    outer0 = np.int64(bool_id[p0])
            if arity > 1 and ARGUMENT[op, 0] == STR:
                for e in range(n):
                    length0[e] = text_length[base0 + e * m0 + i0]
            if op == LEFT or op == RIGHT or op == MID or op == REPLACE or op == SUBSTITUTE or op == SUBSTITUTE_ONE:
                if excel and uncountable[p0] and op != SUBSTITUTE and op != SUBSTITUTE_ONE:
                    skip = True
                else:
                    first = p0 * n
                    _hash_parts(op, n, first, pool, text_offset, length0, code, power, k_str, prefix, suffix)
                if op == REPLACE:
                    mask_a = _set_mask(known_a, min(m1 * m2, MAX_PAIRS))
                    in_set = 0
            elif op == CONCATENATE:
                constant0 = text_key[p0]
            elif op == REPT:
                skip = skipping and text_longest[p0] == 0
                for e in range(n):
                    _hash_repeated(e, length0[e], text_hash[base0 + e * m0 + i0], power, option)
            elif op == IF:
                trues = 0
                for e in range(n):
                    trues += bool_value[base0 + e * m0 + i0]
                if skipping and (trues == 0 or trues == n):
                    skip = True
                else:
                    in_set = _choose_texts(
                        skipping, n, m, base, base0 + i0, m0, bool_value, text_hash, known_b, chosen, chosen_sum
                    )
                    mask_a = _set_mask(known_a, m1)
                    work -= m1 + m
            elif op == ADD or op == MINUS:
                constant0 = int_key[p0]
            if skip:
                tried += m1 * m2 * m
                work -= 4
                if tried >= limit:
                    tried, status = limit, BUDGET_DONE
                    break
                if work < 0:
                    state[I0], state[I1], state[I2], state[LO] = i0 + 1, 0, 0, 0
                    status = SLICE_DONE
                    break
                continue

            for i1 in range(first1, m1):
                # ---- prepare what depends on the second argument
                skip = False
                p1 = start1 + i1
                constant1 = constant0
                if arity > 2:
                    outer1 = np.int64(text_id[p1]) if ARGUMENT[op, 1] == STR else np.int64(int_id[p1])
                if arity > 2 and ARGUMENT[op, 1] == STR:
                    for e in range(n):
                        length1[e] = text_length[base1 + e * m1 + i1]
                if op == MID or op == REPLACE:
                    past = True
                    for e in range(n):
                        begin = int_value[base1 + e * m1 + i1] - 1
                        if begin < 0:
                            skip = True
                        cut_begin[e] = min(begin, length0[e])
                        if begin < length0[e]:
                            past = False
                    if op == MID and past and skipping:
                        skip = True
                elif op == SUBSTITUTE or op == SUBSTITUTE_ONE:
                    step = np.int64(op == SUBSTITUTE_ONE and not excel)
                    hits = _find_all(
                        step, n, pool, text_offset, text_mask,
                        p0 * n, base0 + i0, m0, length0, p1 * n, base1 + i1, m1, length1, hit, n_hits,
                    )  # fmt: skip
                    none, whole = hits == 0, hits == n
                    for e in range(n):
                        if n_hits[e] != 1 or length1[e] != length0[e]:
                            whole = False
                    if skipping and (none or (whole and op == SUBSTITUTE)):
                        skip = True
                    elif op == SUBSTITUTE:
                        for e in range(n):
                            _substitute_parts(e, length0[e], length1[e], hit, n_hits[e], power, suffix, piece, gap)
                            constant1 += piece[e, 0]
                    else:
                        in_set = _choose_occurrences(
                            skipping,
                            has_substitute,
                            excel,
                            n,
                            m,
                            base,
                            int_value,
                            n_hits,
                            k_int,
                            known_b,
                            which,
                            chosen,
                        )
                        work -= m
                        if in_set == 0:
                            skip = True
                        else:
                            for e in range(n):
                                apart = n_apart[e] = _hits_apart(e, length1[e], hit, n_hits[e], apart_hit)
                                _substitute_parts(
                                    e, length0[e], length1[e], apart_hit, apart, power, suffix, piece, gap
                                )
                elif op == FIND_FROM:
                    found = _find_all(
                        np.int64(1), n, pool, text_offset, text_mask,
                        p1 * n, base1 + i1, m1, length1, p0 * n, base0 + i0, m0, length0, hit, n_hits,
                    )  # fmt: skip
                    for e in range(n):
                        if (
                            length0[e] == 0
                        ):  # an empty text is found everywhere in the paper's dialect, in "excel" nowhere
                            found += 1 - excel
                    skip = found < n or (excel and uncountable[p1])
                elif op == IF:
                    key = ZERO
                    for e in range(n):
                        if bool_value[base0 + e * m0 + i0]:
                            key += text_hash[base1 + e * m1 + i1]
                    constant1 = key
                    if skipping and not _add_to_set(known_a, mask_a, key):
                        skip = True
                if skip:
                    tried += m2 * m
                    work -= 4
                    if tried >= limit:
                        tried, status = limit, BUDGET_DONE
                        break
                    if work < 0:
                        state[I0], state[I1], state[I2], state[LO] = i0, i1 + 1, 0, 0
                        status = SLICE_DONE
                        break
                    continue

                for i2 in range(first2, m2):
                    # ---- prepare what depends on the third argument
                    skip = False
                    p2 = start2 + i2
                    if arity > 3:
                        outer2 = np.int64(text_id[p2]) if ARGUMENT[op, 2] == STR else np.int64(int_id[p2])
                    constant = constant1
                    most = 0  # longest rest of the first argument
                    if op == REPLACE:
                        key = ZERO
                        front, full, back = True, True, True
                        for e in range(n):
                            length = length0[e]
                            k = int_value[base2 + e * m2 + i2]
                            if k < 0:
                                skip = True
                                break
                            begin = cut_begin[e]
                            end = min(begin + k, length)
                            cut_end[e] = end
                            most = max(most, length - end + begin)
                            if begin > 0 or end > 0:
                                front = False
                            if begin > 0 or end < length:
                                full = False
                            if begin < length:
                                back = False
                            constant += prefix[e, begin]
                            key += k_int[e] * np.uint64(begin * (1 << 20) + end)
                        if skipping and not skip:
                            if full or (has_concatenate and (front or back)):
                                skip = True  # it is the new text alone, or a concatenation of less weight
                            elif in_set < MAX_PAIRS:
                                skip = not _add_to_set(known_a, mask_a, key)
                                in_set += 1
                    elif op == SUBSTITUTE_ONE:
                        _substitute_options(
                            n, base2 + i2, m2, text_hash, text_length, length0, length1, hit, n_hits, n_apart,
                            power, prefix, suffix, piece, gap, option, option_length,
                        )  # fmt: skip
                    if skip:
                        tried += m
                        work -= 2
                        if tried >= limit:
                            tried, status = limit, BUDGET_DONE
                            break
                        if work < 0:
                            state[I0], state[I1], state[I2], state[LO] = i0, i1, i2 + 1, 0
                            status = SLICE_DONE
                            break
                        continue

                    # ---- the inner loop
                    if lo == 0:
                        inner_base = tried
                    stop = in_set if uses_list else m
                    while lo < stop:
                        hi = min(lo + CHUNK, stop)
                        if not uses_list:  # not beyond the budget
                            hi = min(hi, lo + limit - tried)
                        if count > capacity or entries > capacity:
                            status = NEEDS_ROOM
                        elif work < 0:
                            status = SLICE_DONE
                        if status != RUNNING:
                            state[I0], state[I1], state[I2], state[LO] = i0, i1, i2, lo
                            break
                        work -= hi - lo + 4
                        width = hi - lo
                        for j in range(width):
                            keys[j] = tag + constant

                        at = base + lo
                        if op == CONCATENATE:
                            for e in range(n):
                                _add_texts(
                                    keys, width, at + e * m, power[length0[e]], ZERO, text_hash, text_length, power
                                )
                            if text_longest[p0] + longest >= MAX_LENGTH:
                                for e in range(n):
                                    _drop_long(keys, width, at + e * m, length0[e], np.int64(1), text_length)
                        elif op == REPLACE:
                            for e in range(n):
                                a, h = power[cut_begin[e]], suffix[e, cut_end[e]]
                                _add_texts(keys, width, at + e * m, a, a * h, text_hash, text_length, power)
                            if most + longest >= MAX_LENGTH:
                                for e in range(n):
                                    rest = length0[e] - cut_end[e] + cut_begin[e]
                                    _drop_long(keys, width, at + e * m, rest, np.int64(1), text_length)
                        elif op == SUBSTITUTE:
                            for e in range(n):
                                hits = n_hits[e]
                                if hits == 1:
                                    a, h = gap[e, 0], piece[e, 1]
                                    _add_texts(keys, width, at + e * m, a, h, text_hash, text_length, power)
                                elif hits > 1:
                                    _add_texts_often(
                                        keys, width, at + e * m, e, hits, piece, gap, text_hash, text_length, power
                                    )
                            for e in range(n):
                                rest = length0[e] - n_hits[e] * length1[e]
                                if rest + n_hits[e] * longest >= MAX_LENGTH:
                                    _drop_long(keys, width, at + e * m, rest, n_hits[e], text_length)
                        elif op == SUBSTITUTE_ONE:
                            _add_options(keys, width, lo * n, n, which, option, option_length)
                        elif op == IF:
                            for j in range(width):
                                keys[j] += chosen_sum[lo + j]
                            if text_longest[p1] >= MAX_LENGTH or longest >= MAX_LENGTH:
                                for e in range(n):
                                    holds = bool_value[base0 + e * m0 + i0]
                                    for j in range(width):
                                        length = text_length[base + e * m + chosen[lo + j]]
                                        if holds:
                                            length = length1[e]
                                        if length >= MAX_LENGTH:
                                            keys[j] = ZERO
                        elif op == LEFT or op == RIGHT or op == MID:
                            _add_slices(op, keys, width, at, m, n, int_value, length0, cut_begin, power, prefix, suffix)
                        elif op == FIND:
                            _add_places(
                                excel, keys, width, at, start + lo, m, n, pool, text_offset, text_mask, text_length,
                                uncountable, k_int, p0 * n, base0 + i0, m0, length0,
                            )  # fmt: skip
                        elif op == FIND_FROM:
                            _add_later_places(keys, width, at, m, n, int_value, k_int, length0, length1, hit, n_hits)
                        elif op == ADD or op == MINUS or op == GT or op == GTE:
                            for j in range(width):
                                if op == ADD:
                                    keys[j] += int_key[start + lo + j]
                                elif op == MINUS:
                                    keys[j] -= int_key[start + lo + j]
                            for e in range(n):
                                number = np.int64(int_value[base0 + e * m0 + i0])
                                _combine_numbers(op, keys, width, at + e * m, number, k_bool[e], int_value)
                        elif op == EXACT:
                            for e in range(n):
                                k, g = k_bool[e], text_hash[base0 + e * m0 + i0]
                                for j in range(width):
                                    keys[j] += k if g == text_hash[at + e * m + j] else ZERO
                        elif op == REPT:
                            for e in range(n):
                                _add_repeated(keys, width, at + e * m, e, length0[e], int_value, option)
                        elif op == TO_TEXT:
                            for e in range(n):
                                _add_digits(keys, width, at + e * m, k_str[e], int_value, special, code, power)
                        else:  # LEN, LOWER, PROPER, TRIM, UPPER
                            first = start + lo
                            _map_texts(
                                op, excel, keys, width, at, first, m, n, text_offset, text_length, uncountable, t, pool
                            )

                        # ---- look the keys up
                        for j in range(width):
                            key = keys[j]
                            if key == ZERO:
                                continue
                            place = chosen[lo + j] if uses_list else lo + j
                            if uses_list and inner_base + place >= limit:
                                break
                            if exact_mask != ZERO:
                                key = (key & exact_mask) | ONE
                            slot = np.int64((key * GOLDEN) >> shift)
                            if table[slot] == key and key != target and exact_mask == ZERO:
                                continue
                            if kind == STR:
                                inner = np.int64(text_id[start + place])
                            elif kind == INT:
                                inner = np.int64(int_id[start + place])
                            else:
                                inner = np.int64(bool_id[start + place])
                            id0, id1, id2, id3 = outer0, outer1, outer2, np.int64(-1)
                            if arity == 1:
                                id0 = inner
                            elif arity == 2:
                                id1 = inner
                            elif arity == 3:
                                id2 = inner
                            else:
                                id3 = inner
                            is_output = key == target
                            while table[slot] != ZERO and table[slot] != key:
                                slot = (slot + 1) & table_mask
                            new = table[slot] == ZERO
                            if exact_mask != ZERO and (is_output or not new):
                                if state[ANSWER] == 0:
                                    state[HIT], state[HIT + 1], state[HIT + 2] = op, id0, id1
                                    state[HIT + 3], state[HIT + 4] = id2, id3
                                    state[I0], state[I1], state[I2], state[LO] = i0, i1, i2, lo + j
                                    tried = inner_base + (place if lo + j > 0 else 0)
                                    status = ASKS
                                    break
                                new, is_output = state[ANSWER] & IS_NEW != 0, state[ANSWER] & IS_OUTPUT != 0
                                state[ANSWER] = 0
                                while new and table[slot] != ZERO:
                                    slot = (slot + 1) & table_mask
                            table[slot] = key
                            if new:
                                entries += 1
                                if not is_output:
                                    operation[count] = op
                                    argument[count, 0] = id0
                                    argument[count, 1] = id1
                                    argument[count, 2] = id2
                                    argument[count, 3] = id3
                                    count += 1
                            if is_output:
                                state[HIT], state[HIT + 1], state[HIT + 2] = op, id0, id1
                                state[HIT + 3], state[HIT + 4] = id2, id3
                                # from here on nothing is skipped, so that the inner loop has no list of places
                                tried = inner_base + place + 1
                                state[I0], state[I1], state[I2], state[LO] = i0, i1, i2, place + 1
                                status = HIT_OUTPUT
                                break
                        if status != RUNNING:
                            break
                        lo = hi
                        if uses_list:
                            tried = min(limit, inner_base + (chosen[lo] if lo < stop else m))
                        else:
                            tried = inner_base + lo
                        if tried >= limit:
                            status = BUDGET_DONE
                            break
                    if status != RUNNING:
                        break
                    tried = inner_base + m
                    lo = 0
                    if tried >= limit:
                        tried, status = limit, BUDGET_DONE
                        break
                if status != RUNNING:
                    break
                first2 = 0
            if status != RUNNING:
                break
            first1 = 0
        state[BASE] = inner_base
        state[INSIDE] = status != RUNNING
    state[TRIED], state[COUNT], state[ENTRIES] = tried, count, entries
    return status


LEAF = 30
"""Stands for the operation of inputs and constants: their type is added."""


@_inner
def _copy(pool, begin, end, to):
    for i in range(begin, end):
        pool[to] = pool[i]
        to += 1
    return to


@_inner
def _equal(pool, one, other, length):
    for i in range(length):
        if pool[one + i] != pool[other + i]:
            return False
    return True


@_inner
def evaluate(op, id0, id1, id2, id3, to, pool_end, excel, t, v):
    """Make the value ``to`` from those of its arguments, which must have been made; gives the new end of the pool.

    The operation must have a result here that is not too large.
    """
    n = t.k_str.size
    pool = v.pool
    n0, n1, n2, n3 = id0 * n, max(id1, 0) * n, max(id2, 0) * n, max(id3, 0) * n
    o0, o1, o2, o3 = v.offset[id0], v.offset[max(id1, 0)], v.offset[max(id2, 0)], v.offset[max(id3, 0)]
    v.offset[to] = pool_end
    types = ARGUMENT[op]
    end = pool_end
    for e in range(n):
        begin = end
        x0, x1 = np.int64(v.number[n0 + e]), np.int64(v.number[n1 + e])
        x2, x3 = np.int64(v.number[n2 + e]), np.int64(v.number[n3 + e])
        number = np.int64(0)
        if op == ADD:
            number = x0 + x1
        elif op == MINUS:
            number = x0 - x1
        elif op == GT:
            number = np.int64(x0 > x1)
        elif op == GTE:
            number = np.int64(x0 >= x1)
        elif op == EXACT:
            number = np.int64(x0 == x1 and _equal(pool, o0, o1, x0))
        elif op == LEN:
            number = x0
        elif op == FIND or op == FIND_FROM:
            first = x2 if op == FIND_FROM else 1
            number = min(first, x1 + 1) if x0 == 0 else _find(pool, o1, x1, o0, x0, first - 1) + 1
        elif op == CONCATENATE:
            end = _copy(pool, o1, o1 + x1, _copy(pool, o0, o0 + x0, end))
        elif op == IF:
            end = _copy(pool, o1, o1 + x1, end) if x0 else _copy(pool, o2, o2 + x2, end)
        elif op == LEFT:
            end = _copy(pool, o0, o0 + min(x0, x1), end)
        elif op == RIGHT:
            end = _copy(pool, o0 + max(0, x0 - x1), o0 + x0, end)
        elif op == MID:
            end = _copy(pool, o0 + min(x1 - 1, x0), o0 + min(x1 - 1 + x2, x0), end)
        elif op == REPLACE:
            cut = min(x1 - 1, x0)
            end = _copy(pool, o3, o3 + x3, _copy(pool, o0, o0 + cut, end))
            end = _copy(pool, o0 + min(cut + x2, x0), o0 + x0, end)
        elif op == REPT:
            for _ in range(x1):
                end = _copy(pool, o0, o0 + x0, end)
        elif op == SUBSTITUTE or op == SUBSTITUTE_ONE:
            wanted = x3 if op == SUBSTITUTE_ONE else 0
            step = 1 if wanted and not excel else x1
            done, hit, seen = 0, -1, 0
            if x1 > 0:
                hit = _find(pool, o0, x0, o1, x1, 0)
            while hit >= 0:
                seen += 1
                if wanted == 0 or seen == wanted:
                    end = _copy(pool, o2, o2 + x2, _copy(pool, o0 + done, o0 + hit, end))
                    done = hit + x1
                    if wanted:
                        break
                hit = _find(pool, o0, x0, o1, x1, hit + step)
            end = _copy(pool, o0 + done, o0 + x0, end)
        elif op == TO_TEXT:
            if x0 < 0:
                pool[end] = t.special[10]
                end += 1
                x0 = -x0
            unit = 1
            while x0 // unit >= 10:
                unit *= 10
            while unit > 0:
                pool[end] = t.special[x0 // unit % 10]
                end += 1
                unit //= 10
        elif op == TRIM:
            i, last = _trim_ends(t, pool, o0, x0)
            for at in range(i, last):
                if at == i or pool[at] != t.special[11] or pool[at - 1] != t.special[11]:
                    pool[end] = pool[at]
                    end += 1
        else:  # LOWER, PROPER, UPPER
            after_letter = False
            for i in range(x0):
                c = t.case[1 if op == UPPER else 0, pool[o0 + i]]
                if op == PROPER:
                    letter = t.letter[c] != 0
                    if letter and not after_letter:
                        c = t.case[2, c]
                    after_letter = letter
                pool[end] = c
                end += 1
        v.number[to * n + e] = end - begin if RESULT[op] == STR else number
        if types[0] == STR:
            o0 += v.number[n0 + e]
        if types[1] == STR:
            o1 += v.number[n1 + e]
        if types[2] == STR:
            o2 += v.number[n2 + e]
        o3 += v.number[n3 + e]
    return end


@_outer
def make_values(first, last, pool_end, excel, t, v):
    """Make the values of these numbers while there is room; gives the first one not made and the pool's end."""
    most = t.k_str.size * MAX_LENGTH
    for number in range(first, last):
        if pool_end + most > v.pool.size:
            return number, pool_end
        id0, id1 = np.int64(v.argument[number, 0]), np.int64(v.argument[number, 1])
        id2, id3 = np.int64(v.argument[number, 2]), np.int64(v.argument[number, 3])
        pool_end = evaluate(np.int64(v.operation[number]), id0, id1, id2, id3, number, pool_end, excel, t, v)
    return last, pool_end


@_outer
def enter_keys(keys, table):
    """Enter keys, all different or to be kept twice, into a table; 0 stands for none."""
    shift, mask = np.uint64(64), table.size - 1
    while (ONE << (np.uint64(64) - shift)) < np.uint64(table.size):
        shift -= ONE
    for key in keys:
        if key != ZERO:
            slot = np.int64((key * GOLDEN) >> shift)
            while table[slot] != ZERO:
                slot = (slot + 1) & mask
            table[slot] = key


@_outer
def fill_bucket(ids, kind, start, astral, t, b, v):
    """Copy values of one type, already made, into the arrays of a bucket; gives the longest text."""
    n, m = t.k_str.size, ids.size
    base, longest = n * start, 0
    for j in range(m):
        number, p = np.int64(ids[j]), start + j
        if kind == BOOL:
            b.bool_id[p] = number
            for e in range(n):
                b.bool_value[base + e * m + j] = v.number[number * n + e]
        elif kind == INT:
            b.int_id[p] = number
            key = ZERO
            for e in range(n):
                value = np.int64(v.number[number * n + e])
                b.int_value[base + e * m + j] = value
                key += t.k_int[e] * np.uint64(value)
            b.int_key[p] = key
        else:
            b.text_id[p] = number
            offset, key, most, uncountable = v.offset[number], ZERO, np.int64(0), 0
            for e in range(n):
                length = np.int64(v.number[number * n + e])
                h, mask = ZERO, ZERO
                for i in range(length - 1, -1, -1):
                    c = v.pool[offset + i]
                    h = h * t.power[1] + t.code[c]
                    mask |= ONE << np.uint64(c & 63)
                    uncountable |= astral[c]
                h *= t.k_str[e]
                key += h
                b.text_hash[base + e * m + j] = h
                b.text_length[base + e * m + j] = length
                b.text_mask[base + e * m + j] = mask
                b.text_offset[p * n + e] = offset
                offset += length
                most = max(most, length)
            b.text_key[p] = key
            b.text_longest[p] = most
            b.uncountable[p] = uncountable
            longest = max(longest, most)
    return longest


@_outer
def heuristic_weights(first, last, level, words, row, t, v, result):
    """Weights of values by their edit distance to the outputs (``reference.heuristic_weight``); others keep theirs.

    Args:
        words: for outputs of 1 to 64 characters, which places of it hold a character, shape (n, A).
        row: room for one row of the distance table of a longer output.
        result: gets the weights, shape (last - first,).
    """
    n = t.k_str.size
    for number in range(first, last):
        result[number - first] = level
        if RESULT[v.operation[number]] != STR:
            continue
        offset, output = v.offset[number], np.int64(0)
        distance, part = 0.0, True
        for e in range(n):
            length, wanted = np.int64(v.number[number * n + e]), t.output_length[e]
            if wanted == 0:
                edits = length
            elif wanted <= 64:  # Myers' bit-parallel algorithm in Hyyro's form
                positive, negative = ~ZERO, ZERO
                last_bit = ONE << np.uint64(wanted - 1)
                edits = wanted
                for i in range(length):
                    equal = words[e, v.pool[offset + i]]
                    vertical = equal | negative
                    horizontal = (((equal & positive) + positive) ^ positive) | equal
                    up = negative | ~(horizontal | positive)
                    down = positive & horizontal
                    if up & last_bit != ZERO:
                        edits += 1
                    elif down & last_bit != ZERO:
                        edits -= 1
                    up = (up << ONE) | ONE
                    down <<= ONE
                    positive = down | ~(vertical | up)
                    negative = up & vertical
            else:
                for j in range(wanted + 1):
                    row[j] = j
                for i in range(length):
                    diagonal, row[0] = row[0], i + 1
                    for j in range(wanted):
                        change = diagonal + (v.pool[offset + i] != t.output[output + j])
                        diagonal = row[j + 1]
                        row[j + 1] = min(change, min(diagonal, row[j]) + 1)
                edits = row[wanted]
            if edits > 0:
                distance = max(distance, 2 * edits / (wanted + length + edits))
            # a part of the output is as many edits away as characters are missing
            if part and (edits != wanted - length or not _within(v.pool, offset, length, t.output, output, wanted)):
                part = False
            offset += length
            output += wanted
        weight = level + 1 + np.int64(np.floor(3 * distance)) - (2 if part else 0)
        result[number - first] = max(weight, level)


@_inner
def _within(pool, begin, length, output, output_begin, output_length):
    """Whether a text of the pool is a part of an output."""
    for i in range(output_length - length + 1):
        j = 0
        while j < length and pool[begin + j] == output[output_begin + i + j]:
            j += 1
        if j == length:
            return True
    return False


@_outer
def signatures(kinds, numbers, offsets, pool, facts, exact, cased, output, output_length, table, codes, which):
    """Different property signatures of values, and which of them each has (``signatures.value_signature``).

    A signature is known by one word: which of the type's properties (at most 31) hold in every example,
    which hold in any, and the type.

    Args:
        kinds, numbers, offsets, pool: see ``core.LevelValues``.
        facts: see ``core._character_facts``.
        exact, cased: which places of an output hold a character, and hold it in either case, as bits;
            shape (n, A); outputs of more than 63 characters have none.
        output: outputs, one after the other.
        output_length: their lengths, shape (n,).
        table: zeros, shape (a power of 2 > N, 2).
        codes: gets the different signatures in the order found, shape (N, 46), uint8.
        which: gets the row of each value's signature, shape (N,).

    Returns:
        Number of different signatures.
    """
    n = output_length.size
    mask = np.int64(table.shape[0] - 1)
    count = 0
    for number in range(kinds.size):
        kind = kinds[number]
        everywhere, anywhere = (ONE << np.uint64(31)) - ONE, ZERO
        offset, output_begin = offsets[number], np.int64(0)
        for e in range(n):
            x, wanted = np.int64(numbers[number, e]), output_length[e]
            if kind == STR:
                bits = _text_properties(pool, offset, x, facts, exact, cased, e, wanted)
                if wanted > 63:
                    bits |= _compare_long_texts(pool, offset, x, facts, output, output_begin, wanted)
                offset += x
            elif kind == INT:
                bits = _number_properties(x, wanted)
            else:
                bits = np.uint64(x)
            everywhere &= bits
            anywhere |= bits
            output_begin += wanted
        key = everywhere | (anywhere << np.uint64(31)) | (np.uint64(kind + 1) << np.uint64(62))
        mixed = key * GOLDEN
        place = np.int64(mixed >> np.uint64(32)) & mask
        while table[place, 0] != ZERO and table[place, 0] != key:
            place = (place + 1) & mask
        if table[place, 0] == ZERO:
            table[place, 0] = key
            table[place, 1] = np.uint64(count)
            _write_codes(kind, everywhere, anywhere, codes[count])
            count += 1
        which[number] = np.int64(table[place, 1])
    return count


@_inner
def _write_codes(kind, everywhere, anywhere, codes):
    """Codes of a signature: a type's own properties stand first, those against the output from 22 on."""
    codes[:] = 3
    own, begin, against, size = 14, 0, 22, 31
    if kind == INT:
        own, begin, against, size = 7, 14, 39, 14
    elif kind == BOOL:
        own, begin, against, size = 1, 21, 0, 1
    for i in range(size):
        bit = ONE << np.uint64(i)
        code = 0 if everywhere & bit else 2 if anywhere & bit else 1
        codes[begin + i if i < own else against + i - own] = code


@_inlined
def _number_properties(x, wanted):
    """Properties of a number in one example, as bits."""
    bits = (x == 0) | ((x == 1) << 1) | ((x == 2) << 2) | ((x < 0) << 3)
    bits |= ((0 < x <= 3) << 4) | ((3 < x <= 9) << 5) | ((x > 9) << 6)
    bits |= ((x < wanted) << 7) | ((x <= wanted) << 8) | ((x == wanted) << 9) | ((x >= wanted) << 10)
    bits |= ((x > wanted) << 11) | ((abs(x - wanted) <= 1) << 12) | ((abs(x - wanted) <= 3) << 13)
    return np.uint64(bits)


@_inlined
def _text_properties(pool, begin, length, facts, exact, cased, e, wanted):
    """Properties of a text in one example, as bits; those that compare texts only for outputs of up to 63 characters.

    A text is looked for at all places of the output at once, a bit for each; the output is looked for in a
    text by the shift-and algorithm. One pass over the text tells all.
    """
    some, every = np.int64(0), np.int64(15)
    common = min(length, wanted)
    places = (ONE << np.uint64((wanted - common) & 63)) * np.uint64(2) - ONE if length <= wanted else ONE
    places_cased = places  # bit i: the text and the output from its place i on agree so far
    begun, begun_cased = ZERO, ZERO  # bit i: the output's first i + 1 characters end here
    ended, ended_cased = ZERO, ZERO  # the same, of all characters so far
    for i in range(common):
        c = pool[begin + i]
        fact = np.int64(facts[1, c])
        some |= fact
        every &= fact
        places &= exact[e, c] >> np.uint64(i)
        places_cased &= cased[e, c] >> np.uint64(i)
        begun = (begun << ONE | ONE) & exact[e, c]
        begun_cased = (begun_cased << ONE | ONE) & cased[e, c]
    for i in range(common, length):
        c = pool[begin + i]
        fact = np.int64(facts[1, c])
        some |= fact
        every &= fact
        begun = (begun << ONE | ONE) & exact[e, c]
        begun_cased = (begun_cased << ONE | ONE) & cased[e, c]
        ended |= begun
        ended_cased |= begun_cased
    if length == 0:
        every = 12  # the empty text is in lower and upper case
    bits = (length == 0) | ((length == 1) << 1) | ((length <= 5) << 2) | ((every >> 2) << 3)
    bits |= (some >> 4) << 5  # the five separators
    bits |= ((some & 1) << 10) | ((every & 1) << 11) | ((some >> 1 & 1) << 12) | ((every >> 1 & 1) << 13)
    bits |= ((length == wanted) << 28) | ((length < wanted) << 29) | ((length > wanted) << 30)
    if wanted > 63:
        return np.uint64(bits)
    starts, starts_cased = np.int64(places & ONE), np.int64(places_cased & ONE)
    if length <= wanted:
        last = np.uint64(wanted - length)
        bits |= ((places != ZERO) | starts << 1 | np.int64(places >> last & ONE) << 2) << 14
        bits |= ((places_cased != ZERO) | starts_cased << 1 | np.int64(places_cased >> last & ONE) << 2) << 20
        bits |= (starts << 26 | starts_cased << 27) * (length == wanted)
    if wanted == 0:
        bits |= 7 << 17 | 7 << 23
    elif length >= wanted:
        last = np.uint64(wanted - 1)
        bits |= (np.int64(ended >> last & ONE) | starts | starts << 1 | np.int64(begun >> last & ONE) << 2) << 17
        bits |= (
            np.int64(ended_cased >> last & ONE)
            | starts_cased
            | starts_cased << 1
            | np.int64(begun_cased >> last & ONE) << 2
        ) << 23
    return np.uint64(bits)


@_inner
def _compare_long_texts(pool, begin, length, facts, output, output_begin, output_length):
    """What ``_within_output`` and ``_around_output`` tell, for an output that has more places than a word has bits."""
    within, cased_within = 0, 0  # bits: 1 in, 2 at the start of, 4 at the end of the other text
    shorter, shorter_begin, shorter_length = pool, begin, length
    longer, longer_begin, longer_length = output, output_begin, output_length
    if length > output_length:
        shorter, shorter_begin, shorter_length = output, output_begin, output_length
        longer, longer_begin, longer_length = pool, begin, length
    spare = longer_length - shorter_length
    for i in range(spare + 1):
        same, cased = True, True
        for j in range(shorter_length):
            a, b = shorter[shorter_begin + j], longer[longer_begin + i + j]
            if a != b:
                same = False
                if facts[0, a] != facts[0, b]:
                    cased = False
                    break
        where = 1 | ((i == 0) << 1) | ((i == spare) << 2)
        if same:
            within |= where
        if cased:
            cased_within |= where
    bits = 0
    if length <= output_length:
        bits |= (within << 14) | (cased_within << 20)
    if length >= output_length:
        bits |= (within << 17) | (cased_within << 23)
    if length == output_length:
        bits |= ((within > 0) << 26) | ((cased_within > 0) << 27)
    return np.uint64(bits)
