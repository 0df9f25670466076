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
HIT = 15  # operation and arguments of a candidate that has the key of the output; its number in exact mode, or -1
STATE_SIZE = 24

# What ``advance`` says when it returns.
LEVEL_DONE, SLICE_DONE, NEEDS_ROOM, HIT_OUTPUT, BUDGET_DONE = range(5)


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
    owner: I32  # value of a slot; used in exact mode only
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
    start: I64  # (n,)
    end: I64  # (n,)
    known_a: U64  # (power of two >= 4m,) sets of keys
    known_b: U64
    chosen: I64  # (m,) places in the inner bucket that are tried
    chosen_sum: U64  # (m,)
    which: I32  # (m, n)
    option: U64  # (n, P)
    option_length: I64  # (n, P)


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def _set_mask(known, size):
    """Empty as much of a set as ``size`` keys need; gives the mask of its places."""
    places = 16
    while places < 2 * size:
        places *= 2
    known[:places] = ZERO
    return places - 1


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def _trim_ends(t, pool, begin, length):
    i, j = begin, begin + length
    while i < j and t.blank[pool[i]]:
        i += 1
    while j > i and t.blank[pool[j - 1]]:
        j -= 1
    return i, j


@njit(cache=True, nogil=True)
def _substitute_parts(t, s, e, length, part_length, places, hits):
    """Cut a text at the first ``hits`` of ``places``, so that replacing them by x gives a polynomial in y = B^len(x).

    hash = sum_k y^k (part_k + place_k h(x)); the last place is 0.
    """
    begin = 0
    for i in range(hits + 1):
        end = places[e, i] if i < hits else length
        shift = begin - i * part_length
        s.part[e, i] = t.power[shift] * (s.suffix[e, begin] - t.power[end - begin] * s.suffix[e, end])
        s.place[e, i] = t.power[end - i * part_length] if i < hits else ZERO
        begin = end + part_length


@njit(cache=True, nogil=True)
def advance(level, limit, work_limit, excel, skipping, exact_mask, target, enabled, state, t, b, v, s):
    """Try the candidates of a level from where the state says, until something is due.

    Args:
        level: weight of the candidates.
        limit: candidates to try in the whole search.
        work_limit: units of work until it returns anyway; a unit is about one candidate.
        excel: 1 for the "excel" dialect.
        skipping: whether to count blocks of known results without looking them up. Not when the output
            has been seen, or candidates that give it again would be missed.
        exact_mask: 0, or a mask for keys: then vectors are compared, not only keys (for tests).
        target: key of the output.
        enabled: operations to use, ascending.
        state, t, b, v, s: see above.

    Returns:
        One of LEVEL_DONE, SLICE_DONE, NEEDS_ROOM, HIT_OUTPUT, BUDGET_DONE.
    """
    has_concatenate = np.any(enabled == CONCATENATE)
    has_substitute = np.any(enabled == SUBSTITUTE)
    while state[OP] < enabled.size:
        op = enabled[state[OP]]
        arity = ARITY[op]
        total = level - 1
        if state[W0] == 0:  # first way to share the weight among the arguments: 1, 1, .., rest
            if total < arity:
                state[OP] += 1
                continue
            for i in range(arity - 1):
                state[W0 + i] = 1
            state[W0 + arity - 1] = total - arity + 1
        room = True
        for i in range(arity):
            if b.size[ARGUMENT[op, i], state[W0 + i]] == 0:
                room = False
        if room:
            if not state[INSIDE]:
                state[I0] = state[I1] = state[I2] = state[LO] = 0
                state[BASE] = state[TRIED]
            status, work_limit = _combine(
                op, arity, limit, work_limit, excel, skipping, exact_mask, target,
                has_concatenate, has_substitute, state, t, b, v, s,
            )  # fmt: skip
            if status != LEVEL_DONE:
                state[INSIDE] = 1
                return status
            state[INSIDE] = 0
        # next way, in ascending lexicographic order
        last = arity - 2
        while last >= 0:
            rest = total
            for i in range(last + 1):
                rest -= state[W0 + i]
            if rest - 1 >= arity - 1 - last:
                state[W0 + last] += 1
                rest -= 1
                for i in range(last + 1, arity - 1):
                    state[W0 + i] = 1
                    rest -= 1
                state[W0 + arity - 1] = rest
                break
            last -= 1
        if last < 0:
            state[OP] += 1
            state[W0] = 0
    return LEVEL_DONE


@njit(cache=True, nogil=True)
def _combine(
    op, arity, limit, work, excel, skipping, exact_mask, target, has_concatenate, has_substitute, state, t, b, v, s
):
    """All candidates of one operation for one way to share the weight. Gives a status and the work left."""
    n = t.k_str.size
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

    tried, count, entries = state[TRIED], state[COUNT], state[ENTRIES]
    inner_base, lo = state[BASE], state[LO]
    first0, first1, first2 = state[I0], state[I1], state[I2]
    table_mask = v.table.size - 1
    shift = np.uint64(64)
    while (ONE << (np.uint64(64) - shift)) < np.uint64(v.table.size):
        shift -= ONE
    capacity = min(v.operation.size, v.table.size // 2) - CHUNK
    uses_list = op == IF or op == SUBSTITUTE_ONE
    mask_a = mask_b = 0
    in_set = 0
    status = LEVEL_DONE

    for i0 in range(first0, m0):
        # ---- prepare what depends on the first argument alone
        skip = False
        p0 = start0 + i0
        constant0 = ZERO
        if op == LEFT or op == RIGHT or op == MID or op == REPLACE or op == SUBSTITUTE or op == SUBSTITUTE_ONE:
            if excel and b.uncountable[p0] and op != SUBSTITUTE and op != SUBSTITUTE_ONE:
                skip = True
            else:
                for e in range(n):
                    length = b.text_length[base0 + e * m0 + i0]
                    offset = b.text_offset[p0 * n + e]
                    k, h = t.k_str[e], ZERO
                    s.suffix[e, length] = ZERO
                    for i in range(length - 1, -1, -1):
                        h = h * t.power[1] + t.code[v.pool[offset + i]]
                        s.suffix[e, i] = k * h
                    if op != RIGHT and op != MID:
                        h *= k
                        for i in range(length + 1):
                            s.prefix[e, i] = h - t.power[i] * s.suffix[e, i]
            if op == REPLACE:
                mask_a = _set_mask(s.known_a, min(m1 * m2, MAX_PAIRS))
                in_set = 0
        elif op == CONCATENATE:
            constant0 = b.text_key[p0]
        elif op == REPT:
            skip = skipping and b.text_longest[p0] == 0
            for e in range(n):
                length = b.text_length[base0 + e * m0 + i0]
                g, h = b.text_hash[base0 + e * m0 + i0], ZERO
                s.option[e, 0] = ZERO
                if length > 0:
                    for i in range(1, (MAX_LENGTH - 1) // length + 1):
                        h = h * t.power[length] + g
                        s.option[e, i] = h
        elif op == IF:
            trues = 0
            for e in range(n):
                trues += b.bool_value[base0 + e * m0 + i0]
            if skipping and (trues == 0 or trues == n):
                skip = True
            else:
                # Texts that differ only where the condition holds give the same as third argument: try the first.
                mask_b = _set_mask(s.known_b, m)
                in_set = 0
                for j in range(m):
                    key = ZERO
                    for e in range(n):
                        if not b.bool_value[base0 + e * m0 + i0]:
                            key += b.text_hash[base + e * m + j]
                    if not skipping or _add_to_set(s.known_b, mask_b, key):
                        s.chosen[in_set] = j
                        s.chosen_sum[in_set] = key
                        in_set += 1
                mask_a = _set_mask(s.known_a, m1)
                work -= m1 + m
        elif op == ADD or op == MINUS:
            constant0 = b.int_key[p0]
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
            if op == MID or op == REPLACE:
                past = True
                for e in range(n):
                    begin = b.int_value[base1 + e * m1 + i1] - 1
                    if begin < 0:
                        skip = True
                    s.start[e] = min(begin, b.text_length[base0 + e * m0 + i0])
                    if begin < b.text_length[base0 + e * m0 + i0]:
                        past = False
                if op == MID and past and skipping:
                    skip = True
            elif op == SUBSTITUTE or op == SUBSTITUTE_ONE:
                none, whole = True, True
                for e in range(n):
                    length, part_length = b.text_length[base0 + e * m0 + i0], b.text_length[base1 + e * m1 + i1]
                    hits = 0
                    if part_length > 0 and b.text_mask[base1 + e * m1 + i1] & ~b.text_mask[base0 + e * m0 + i0] == ZERO:
                        text, part = b.text_offset[p0 * n + e], b.text_offset[p1 * n + e]
                        step = 1 if op == SUBSTITUTE_ONE and not excel else part_length
                        i = _find(v.pool, text, length, part, part_length, 0)
                        while i >= 0:
                            s.hits[e, hits] = i
                            hits += 1
                            i = _find(v.pool, text, length, part, part_length, i + step)
                    s.n_hits[e] = hits
                    if hits > 0:
                        none = False
                    if hits != 1 or part_length != length:
                        whole = False
                if skipping and (none or (whole and op == SUBSTITUTE)):
                    skip = True
                elif op == SUBSTITUTE:
                    for e in range(n):
                        _substitute_parts(
                            t,
                            s,
                            e,
                            b.text_length[base0 + e * m0 + i0],
                            b.text_length[base1 + e * m1 + i1],
                            s.hits,
                            s.n_hits[e],
                        )
                        constant1 += s.part[e, 0]
                else:
                    # Which occurrence numbers of the inner bucket can give something new? Codes of an example:
                    # 0 all occurrences, 1..hits one of them, hits + 1 none.
                    in_set = 0
                    mask_b = _set_mask(s.known_b, m)
                    for j in range(m):
                        no_error, all_all, all_none, key = True, True, True, ZERO
                        for e in range(n):
                            hits = s.n_hits[e]
                            o = b.int_value[base + e * m + j]
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
                            s.which[in_set * n + e] = o
                            key += t.k_int[e] * np.uint64(o)
                        if not skipping:
                            if not no_error:
                                s.which[in_set * n] = -1
                            s.chosen[in_set] = j
                            in_set += 1
                        elif (
                            no_error
                            and not (all_none or (all_all and has_substitute))
                            and _add_to_set(s.known_b, mask_b, key)
                        ):
                            s.chosen[in_set] = j
                            in_set += 1
                    work -= m
                    if in_set == 0:
                        skip = True
                    else:
                        for e in range(n):
                            length, part_length = b.text_length[base0 + e * m0 + i0], b.text_length[base1 + e * m1 + i1]
                            apart, end = 0, 0
                            for i in range(s.n_hits[e]):
                                if s.hits[e, i] >= end:
                                    end = s.hits[e, i] + part_length
                                    s.apart[e, apart] = s.hits[e, i]
                                    apart += 1
                            _substitute_parts(t, s, e, length, part_length, s.apart, apart)
                            s.n_apart[e] = apart
            elif op == FIND_FROM:
                if excel and b.uncountable[p1]:
                    skip = True
                for e in range(n):
                    part_length, hits = b.text_length[base0 + e * m0 + i0], 0
                    if excel and part_length == 0:
                        skip = True
                    if skip or part_length == 0:
                        continue
                    if b.text_mask[base0 + e * m0 + i0] & ~b.text_mask[base1 + e * m1 + i1] != ZERO:
                        skip = True
                        continue
                    length = b.text_length[base1 + e * m1 + i1]
                    text, part = b.text_offset[p1 * n + e], b.text_offset[p0 * n + e]
                    i = _find(v.pool, text, length, part, part_length, 0)
                    while i >= 0:
                        s.hits[e, hits] = i
                        hits += 1
                        i = _find(v.pool, text, length, part, part_length, i + 1)
                    s.n_hits[e] = hits
                    if hits == 0:
                        skip = True
            elif op == IF:
                key = ZERO
                for e in range(n):
                    if b.bool_value[base0 + e * m0 + i0]:
                        key += b.text_hash[base1 + e * m1 + i1]
                constant1 = key
                if skipping and not _add_to_set(s.known_a, mask_a, key):
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
                constant = constant1
                most = 0  # longest rest of the first argument
                if op == REPLACE:
                    key = ZERO
                    front, full, back = True, True, True
                    for e in range(n):
                        length = b.text_length[base0 + e * m0 + i0]
                        k = b.int_value[base2 + e * m2 + i2]
                        if k < 0:
                            skip = True
                            break
                        begin = s.start[e]
                        end = min(begin + k, length)
                        s.end[e] = end
                        most = max(most, length - end + begin)
                        if begin > 0 or end > 0:
                            front = False
                        if begin > 0 or end < length:
                            full = False
                        if begin < length:
                            back = False
                        constant += s.prefix[e, begin]
                        key += t.k_int[e] * np.uint64(begin * (1 << 20) + end)
                    if skipping and not skip:
                        if full or (has_concatenate and (front or back)):
                            skip = True  # it is the new text alone, or a concatenation of less weight
                        elif in_set < MAX_PAIRS:
                            skip = not _add_to_set(s.known_a, mask_a, key)
                            in_set += 1
                elif op == SUBSTITUTE_ONE:
                    for e in range(n):
                        length, part_length = b.text_length[base0 + e * m0 + i0], b.text_length[base1 + e * m1 + i1]
                        new_length = b.text_length[base2 + e * m2 + i2]
                        g = b.text_hash[base2 + e * m2 + i2]
                        y = t.power[new_length]
                        apart, hits = s.n_apart[e], s.n_hits[e]
                        h = s.part[e, apart]
                        for i in range(apart - 1, -1, -1):
                            h = h * y + s.part[e, i] + s.place[e, i] * g
                        s.option[e, 0] = h
                        s.option_length[e, 0] = length + apart * (new_length - part_length)
                        for i in range(hits):
                            at = s.hits[e, i]
                            s.option[e, i + 1] = s.prefix[e, at] + t.power[at] * (g + y * s.suffix[e, at + part_length])
                            s.option_length[e, i + 1] = length + new_length - part_length
                        s.option[e, hits + 1] = s.suffix[e, 0]
                        s.option_length[e, hits + 1] = length
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
                    full_table = count > capacity or entries > capacity
                    if full_table or (exact_mask != ZERO and state[POOL] + CHUNK * n * MAX_LENGTH > v.pool.size):
                        status = NEEDS_ROOM
                    elif work < 0:
                        status = SLICE_DONE
                    if status != LEVEL_DONE:
                        state[I0], state[I1], state[I2], state[LO] = i0, i1, i2, lo
                        break
                    work -= hi - lo + 4
                    keys = s.keys
                    width = hi - lo
                    for j in range(width):
                        keys[j] = tag + constant

                    if op == CONCATENATE:
                        for e in range(n):
                            a = t.power[b.text_length[base0 + e * m0 + i0]]
                            at = base + e * m + lo
                            for j in range(width):
                                keys[j] += a * b.text_hash[at + j]
                        if b.text_longest[p0] + longest >= MAX_LENGTH:
                            for e in range(n):
                                a_length = b.text_length[base0 + e * m0 + i0]
                                at = base + e * m + lo
                                for j in range(width):
                                    if a_length + b.text_length[at + j] >= MAX_LENGTH:
                                        keys[j] = ZERO
                    elif op == REPLACE:
                        for e in range(n):
                            a = t.power[s.start[e]]
                            h = s.suffix[e, s.end[e]]
                            at = base + e * m + lo
                            if h == ZERO:
                                for j in range(width):
                                    keys[j] += a * b.text_hash[at + j]
                            else:
                                for j in range(width):
                                    keys[j] += a * (b.text_hash[at + j] + t.power[b.text_length[at + j]] * h)
                        if most + longest >= MAX_LENGTH:
                            for e in range(n):
                                rest = b.text_length[base0 + e * m0 + i0] - s.end[e] + s.start[e]
                                at = base + e * m + lo
                                for j in range(width):
                                    if rest + b.text_length[at + j] >= MAX_LENGTH:
                                        keys[j] = ZERO
                    elif op == SUBSTITUTE:
                        for e in range(n):
                            hits = s.n_hits[e]
                            at = base + e * m + lo
                            if hits == 1:
                                a, h = s.place[e, 0], s.part[e, 1]
                                for j in range(width):
                                    keys[j] += a * b.text_hash[at + j] + t.power[b.text_length[at + j]] * h
                            elif hits > 1:
                                for j in range(width):
                                    g, y = b.text_hash[at + j], t.power[b.text_length[at + j]]
                                    h = s.part[e, hits]
                                    for i in range(hits - 1, 0, -1):
                                        h = h * y + s.part[e, i] + s.place[e, i] * g
                                    keys[j] += h * y + s.place[e, 0] * g
                        for e in range(n):
                            hits = s.n_hits[e]
                            at = base + e * m + lo
                            length = b.text_length[base0 + e * m0 + i0]
                            rest = length - hits * b.text_length[base1 + e * m1 + i1]
                            if rest + hits * longest >= MAX_LENGTH:
                                for j in range(width):
                                    if rest + hits * b.text_length[at + j] >= MAX_LENGTH:
                                        keys[j] = ZERO
                    elif op == SUBSTITUTE_ONE:
                        for j in range(width):
                            key, at = tag, (lo + j) * n
                            for e in range(n):
                                o = s.which[at + e]
                                if o < 0 or s.option_length[e, o] >= MAX_LENGTH:
                                    key = ZERO
                                    break
                                key += s.option[e, o]
                            keys[j] = key
                    elif op == IF:
                        for j in range(width):
                            keys[j] += s.chosen_sum[lo + j]
                        if b.text_longest[p1] >= MAX_LENGTH or longest >= MAX_LENGTH:
                            for e in range(n):
                                holds = b.bool_value[base0 + e * m0 + i0]
                                for j in range(width):
                                    at = base + e * m + s.chosen[lo + j]
                                    length = b.text_length[base1 + e * m1 + i1] if holds else b.text_length[at]
                                    if length >= MAX_LENGTH:
                                        keys[j] = ZERO
                    elif op == LEFT or op == RIGHT:
                        for e in range(n):
                            length = b.text_length[base0 + e * m0 + i0]
                            at = base + e * m + lo
                            for j in range(width):
                                k = b.int_value[at + j]
                                if k < 0 or (k >= MAX_LENGTH and length >= MAX_LENGTH):
                                    keys[j] = ZERO
                                elif keys[j] != ZERO:
                                    k = min(k, length)
                                    keys[j] += s.prefix[e, k] if op == LEFT else s.suffix[e, length - k]
                    elif op == MID:
                        for j in range(width):
                            key = keys[j]
                            for e in range(n):
                                k = b.int_value[base + e * m + lo + j]
                                begin = s.start[e]
                                length = b.text_length[base0 + e * m0 + i0] - begin
                                if k < 0 or min(k, length) >= MAX_LENGTH:
                                    key = ZERO
                                    break
                                if k >= length:
                                    key += s.suffix[e, begin]
                                else:
                                    key += s.suffix[e, begin] - t.power[k] * s.suffix[e, begin + k]
                            keys[j] = key
                    elif op == FIND:
                        for j in range(width):
                            key, p = tag, start + lo + j
                            if excel and b.uncountable[p]:
                                key = ZERO
                            else:
                                for e in range(n):
                                    part_length = b.text_length[base0 + e * m0 + i0]
                                    at = base + e * m + lo + j
                                    length, i = b.text_length[at], 0
                                    if part_length > 0:
                                        i = -1
                                        if b.text_mask[base0 + e * m0 + i0] & ~b.text_mask[at] == ZERO:
                                            text, part = b.text_offset[p * n + e], b.text_offset[p0 * n + e]
                                            i = _find(v.pool, text, length, part, part_length, 0)
                                    elif excel:  # no empty text is found
                                        i = -1
                                    if i < 0 or i >= MAX_NUMBER - 1:
                                        key = ZERO
                                        break
                                    key += t.k_int[e] * np.uint64(i + 1)
                            keys[j] = key
                    elif op == FIND_FROM:
                        for j in range(width):
                            key = tag
                            for e in range(n):
                                o = b.int_value[base + e * m + lo + j]
                                length = b.text_length[base1 + e * m1 + i1]
                                i = -1
                                if o > 0 and b.text_length[base0 + e * m0 + i0] == 0:
                                    i = min(o, length + 1)
                                elif o > 0:
                                    for k in range(s.n_hits[e]):
                                        if s.hits[e, k] >= o - 1:
                                            i = s.hits[e, k] + 1
                                            break
                                if i < 0 or i >= MAX_NUMBER:
                                    key = ZERO
                                    break
                                key += t.k_int[e] * np.uint64(i)
                            keys[j] = key
                    elif op == ADD or op == MINUS:
                        sign = 1 if op == ADD else -1
                        for j in range(width):
                            other = b.int_key[start + lo + j]
                            keys[j] += other if op == ADD else ZERO - other
                        for e in range(n):
                            a_value = b.int_value[base0 + e * m0 + i0]
                            at = base + e * m + lo
                            for j in range(width):
                                result = a_value + sign * b.int_value[at + j]
                                if result >= MAX_NUMBER or result <= -MAX_NUMBER:
                                    keys[j] = ZERO
                    elif op == GT or op == GTE:
                        for e in range(n):
                            k, a_value = t.k_bool[e], b.int_value[base0 + e * m0 + i0] + (op == GTE)
                            at = base + e * m + lo
                            for j in range(width):
                                keys[j] += k if a_value > b.int_value[at + j] else ZERO
                    elif op == EXACT:
                        for e in range(n):
                            k, g = t.k_bool[e], b.text_hash[base0 + e * m0 + i0]
                            at = base + e * m + lo
                            for j in range(width):
                                keys[j] += k if g == b.text_hash[at + j] else ZERO
                    elif op == REPT:
                        for j in range(width):
                            key = tag
                            for e in range(n):
                                k = b.int_value[base + e * m + lo + j]
                                length = b.text_length[base0 + e * m0 + i0]
                                if k < 0 or length * k >= MAX_LENGTH:
                                    key = ZERO
                                    break
                                key += s.option[e, k if length > 0 else 0]
                            keys[j] = key
                    elif op == LEN:
                        for j in range(width):
                            key, p = tag, start + lo + j
                            for e in range(n):
                                length = b.text_length[base + e * m + lo + j]
                                if length >= MAX_NUMBER or (excel and b.uncountable[p]):
                                    key = ZERO
                                    break
                                key += t.k_int[e] * np.uint64(length)
                            keys[j] = key
                    elif op == TO_TEXT:
                        for j in range(width):
                            key = tag
                            for e in range(n):
                                number = np.int64(b.int_value[base + e * m + lo + j])
                                rest = abs(number)
                                h = t.code[t.special[rest % 10]]
                                while rest >= 10:
                                    rest //= 10
                                    h = h * t.power[1] + t.code[t.special[rest % 10]]
                                if number < 0:
                                    h = h * t.power[1] + t.code[t.special[10]]
                                key += t.k_str[e] * h
                            keys[j] = key
                    elif op == TRIM:
                        for j in range(width):
                            key, p = tag, start + lo + j
                            for e in range(n):
                                i, end = _trim_ends(
                                    t, v.pool, b.text_offset[p * n + e], b.text_length[base + e * m + lo + j]
                                )
                                h, length = ZERO, 0
                                for at in range(i, end):
                                    if at == i or v.pool[at] != t.special[11] or v.pool[at - 1] != t.special[11]:
                                        h += t.code[v.pool[at]] * t.power[length]
                                        length += 1
                                if length >= MAX_LENGTH:
                                    key = ZERO
                                    break
                                key += t.k_str[e] * h
                            keys[j] = key
                    else:  # LOWER, PROPER, UPPER
                        for j in range(width):
                            key, p = tag, start + lo + j
                            for e in range(n):
                                length = b.text_length[base + e * m + lo + j]
                                h, fails = _case_hash(op, t, v.pool, b.text_offset[p * n + e], length)
                                if fails or length >= MAX_LENGTH:
                                    key = ZERO
                                    break
                                key += t.k_str[e] * h
                            keys[j] = key

                    # ---- look the keys up
                    for j in range(width):
                        key = keys[j]
                        if key == ZERO:
                            continue
                        place = s.chosen[lo + j] if uses_list else lo + j
                        if uses_list and inner_base + place >= limit:
                            break
                        if exact_mask != ZERO:
                            key = (key & exact_mask) | ONE
                        slot = np.int64((key * GOLDEN) >> shift)
                        if v.table[slot] == key and key != target and exact_mask == ZERO:
                            continue
                        id0 = _number_of(b, kind, start + place)
                        id1 = id2 = id3 = np.int64(-1)
                        if arity == 2:
                            id0, id1 = _number_of(b, ARGUMENT[op, 0], p0), id0
                        elif arity == 3:
                            id0, id1, id2 = _number_of(b, ARGUMENT[op, 0], p0), _number_of(b, ARGUMENT[op, 1], p1), id0
                        elif arity == 4:
                            id1, id2, id3 = _number_of(b, ARGUMENT[op, 1], p1), _number_of(b, ARGUMENT[op, 2], p2), id0
                            id0 = _number_of(b, ARGUMENT[op, 0], p0)
                        pool_end = state[POOL]
                        if exact_mask != ZERO:
                            pool_end = evaluate(op, id0, id1, id2, id3, count, pool_end, excel, t, v)
                        is_output = key == target and (
                            exact_mask == ZERO or (RESULT[op] == STR and _is_output(count, n, t, v))
                        )
                        new = True
                        while v.table[slot] != ZERO:
                            if v.table[slot] == key and (
                                exact_mask == ZERO or _same(v.owner[slot], count, RESULT[op], n, v)
                            ):
                                new = False
                                break
                            slot = (slot + 1) & table_mask
                        if new:
                            v.table[slot] = key
                            entries += 1
                            if not is_output or exact_mask != ZERO:
                                v.operation[count] = op
                                v.argument[count, 0] = id0
                                v.argument[count, 1] = id1
                                v.argument[count, 2] = id2
                                v.argument[count, 3] = id3
                                if exact_mask != ZERO:
                                    v.owner[slot] = count
                                    state[POOL] = pool_end
                                count += 1
                        if is_output:
                            state[HIT], state[HIT + 1], state[HIT + 2] = op, id0, id1
                            state[HIT + 3], state[HIT + 4] = id2, id3
                            # from here on nothing is skipped, so that the inner loop has no list of places
                            state[HIT + 5] = count - 1 if new and exact_mask != ZERO else -1
                            tried = inner_base + place + 1
                            state[I0], state[I1], state[I2], state[LO] = i0, i1, i2, place + 1
                            status = HIT_OUTPUT
                            break
                    if status != LEVEL_DONE:
                        break
                    lo = hi
                    if uses_list:
                        tried = min(limit, inner_base + (s.chosen[lo] if lo < stop else m))
                    else:
                        tried = inner_base + lo
                    if tried >= limit:
                        status = BUDGET_DONE
                        break
                if status != LEVEL_DONE:
                    break
                tried = inner_base + m
                lo = 0
                if tried >= limit:
                    tried, status = limit, BUDGET_DONE
                    break
            if status != LEVEL_DONE:
                break
            first2 = 0
        if status != LEVEL_DONE:
            break
        first1 = 0
    state[TRIED], state[COUNT], state[ENTRIES], state[BASE] = tried, count, entries, inner_base
    return status, work


@njit(cache=True, nogil=True)
def _number_of(b, kind, place):
    if kind == STR:
        return np.int64(b.text_id[place])
    if kind == INT:
        return np.int64(b.int_id[place])
    return np.int64(b.bool_id[place])


@njit(cache=True, nogil=True)
def _same(one, other, kind, n, v):
    """Whether two values, whose texts have been made, are equal; the type of the second one is given."""
    operation = v.operation[one]
    one_kind = RESULT[operation] if operation < 22 else np.int64(operation) - LEAF
    if one_kind != kind:
        return False
    length = 0
    for e in range(n):
        if v.number[one * n + e] != v.number[other * n + e]:
            return False
        length += v.number[one * n + e]
    if kind == STR:
        for i in range(length):
            if v.pool[v.offset[one] + i] != v.pool[v.offset[other] + i]:
                return False
    return True


LEAF = 30
"""Stands for the operation of inputs and constants: their type is added."""


@njit(cache=True, nogil=True)
def _is_output(number, n, t, v):
    length = 0
    for e in range(n):
        if v.number[number * n + e] != t.output_length[e]:
            return False
        length += t.output_length[e]
    for i in range(length):
        if v.pool[v.offset[number] + i] != t.output[i]:
            return False
    return True


@njit(cache=True, nogil=True)
def _copy(pool, begin, end, to):
    for i in range(begin, end):
        pool[to] = pool[i]
        to += 1
    return to


@njit(cache=True, nogil=True)
def _equal(pool, one, other, length):
    for i in range(length):
        if pool[one + i] != pool[other + i]:
            return False
    return True


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def make_values(first, last, pool_end, excel, t, v):
    """Make the values of these numbers while there is room; gives the first one not made and the pool's end."""
    most = t.k_str.size * MAX_LENGTH
    for number in range(first, last):
        if pool_end + most > v.pool.size:
            return number, pool_end
        a = v.argument[number]
        pool_end = evaluate(np.int64(v.operation[number]), a[0], a[1], a[2], a[3], number, pool_end, excel, t, v)
    return last, pool_end


@njit(cache=True, nogil=True)
def grow_table(old, old_owner, new, new_owner):
    """Enter the keys of a table into a larger, empty one."""
    bits = 0
    while (1 << bits) < new.size:
        bits += 1
    shift, mask = np.uint64(64 - bits), new.size - 1
    for i in range(old.size):
        if old[i] != ZERO:
            slot = np.int64((old[i] * GOLDEN) >> shift)
            while new[slot] != ZERO:
                slot = (slot + 1) & mask
            new[slot] = old[i]
            if old_owner.size > 1:
                new_owner[slot] = old_owner[i]


@njit(cache=True, nogil=True)
def enter_leaves(first, last, keys, exact_mask, n, v):
    """Enter keys of inputs and constants; gives the number of different ones."""
    bits = 0
    while (1 << bits) < v.table.size:
        bits += 1
    shift, mask = np.uint64(64 - bits), v.table.size - 1
    entries = 0
    for number in range(first, last):
        key = keys[number - first]
        kind = np.int64(v.operation[number]) - LEAF
        if exact_mask != ZERO:
            key = (key & exact_mask) | ONE
        slot = np.int64((key * GOLDEN) >> shift)
        while v.table[slot] != ZERO:
            if v.table[slot] == key and (exact_mask == ZERO or _same(v.owner[slot], number, kind, n, v)):
                break
            slot = (slot + 1) & mask
        if v.table[slot] == ZERO:
            v.table[slot] = key
            entries += 1
            if exact_mask != ZERO:
                v.owner[slot] = number
    return entries


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def _within(pool, begin, length, output, output_begin, output_length):
    """Whether a text of the pool is a part of an output."""
    for i in range(output_length - length + 1):
        j = 0
        while j < length and pool[begin + j] == output[output_begin + i + j]:
            j += 1
        if j == length:
            return True
    return False


@njit(cache=True, nogil=True)
def signatures(kinds, numbers, offsets, pool, facts, output, output_length, result):
    """Property signatures of values (``signatures.value_signature``).

    Args:
        kinds, numbers, offsets, pool: see ``core.LevelValues``.
        facts: see ``core._character_facts``.
        output: outputs, one after the other.
        output_length: their lengths, shape (n,).
        result: gets the codes, shape (N, 46), uint8.
    """
    n = output_length.size
    ones = (np.uint64(1) << np.uint64(46)) - ONE
    for number in range(kinds.size):
        kind = kinds[number]
        everywhere, anywhere = ones, ZERO  # properties as bits, in the order of the codes
        offset, output_begin = offsets[number], np.int64(0)
        for e in range(n):
            x, wanted = np.int64(numbers[number, e]), output_length[e]
            if kind == STR:
                bits = _text_bits(pool, offset, x, facts, output, output_begin, wanted)
                offset += x
            elif kind == INT:
                bits = np.uint64(
                    ((x == 0) << 14)
                    | ((x == 1) << 15)
                    | ((x == 2) << 16)
                    | ((x < 0) << 17)
                    | ((0 < x <= 3) << 18)
                    | ((3 < x <= 9) << 19)
                    | ((x > 9) << 20)
                    | ((x < wanted) << 39)
                    | ((x <= wanted) << 40)
                    | ((x == wanted) << 41)
                    | ((x >= wanted) << 42)
                    | ((x > wanted) << 43)
                    | ((abs(x - wanted) <= 1) << 44)
                    | ((abs(x - wanted) <= 3) << 45)
                )
            else:
                bits = np.uint64(x << 21)
            everywhere &= bits
            anywhere |= bits
            output_begin += wanted
        for i in range(46):
            of = STR if i < 14 else INT if i < 21 else BOOL if i < 22 else STR if i < 39 else INT
            if of != kind:
                result[number, i] = 3
            elif everywhere >> np.uint64(i) & ONE != ZERO:
                result[number, i] = 0
            elif anywhere >> np.uint64(i) & ONE == ZERO:
                result[number, i] = 1
            else:
                result[number, i] = 2


@njit(cache=True, nogil=True)
def _text_bits(pool, begin, length, facts, output, output_begin, output_length):
    """Properties of a text in one example, as bits."""
    is_lower, is_upper, any_of, all_of = True, True, 0, 3
    for i in range(length):
        c = pool[begin + i]
        is_lower = is_lower and facts[0, c] == c
        is_upper = is_upper and facts[1, c] == c
        fact = np.int64(facts[2, c])
        any_of |= fact
        all_of &= fact
    if length == 0:
        all_of = 0
    bits = (length == 0) | ((length == 1) << 1) | ((length <= 5) << 2) | (is_lower << 3) | (is_upper << 4)
    bits |= (any_of >> 2) << 5  # the five separators
    bits |= ((any_of & 1) << 10) | ((all_of & 1) << 11) | ((any_of >> 1 & 1) << 12) | ((all_of >> 1 & 1) << 13)
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
    if length <= output_length:
        bits |= (within << 22) | (cased_within << 28)
    if length >= output_length:
        bits |= (within << 25) | (cased_within << 31)
    bits |= ((length == output_length and within > 0) << 34) | ((length == output_length and cased_within > 0) << 35)
    bits |= ((length == output_length) << 36) | ((length < output_length) << 37) | ((length > output_length) << 38)
    return np.uint64(bits)
