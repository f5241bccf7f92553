"""Quotients and roots of compiled updates against IEEE 754's.

Float quotients may be taken by a Newton step from an estimate: within 1.6 units in the last place of the exact ones,
which are 0.5 for the last rounding, 1 for that of the reciprocal and 2^-4 for what the step leaves of an estimate
within 2^-14. Everything else is IEEE's to the bit: roots, float64, and which results are 0, infinite or NaN.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from verify.simulation.fused.compiler import load
from verify.simulation.fused.library import aligned, pointer

Floats = npt.NDArray[np.floating[Any]]
BOUND = 1.6
CODE = """
#include "lanes.h"
#include "work.h"

static unsigned flush(int wanted) {
#if defined(__SSE2__)
    const unsigned before = _mm_getcsr();
    if (wanted) _mm_setcsr(before | _MM_FLUSH_ZERO_ON);
    return before;
#else
    return 0;
#endif
}
static void restore(unsigned before) {
#if defined(__SSE2__)
    _mm_setcsr(before);
#endif
}
void quotients(const V *a, const V *b, V *found, long count, int flushed) {
    const unsigned before = flush(flushed);
    for (long i = 0; i < count; i++) found[i] = DIVIDE(a[i], b[i]);
    restore(before);
}
void roots(const V *a, V *found, long count, int flushed) {
    const unsigned before = flush(flushed);
    for (long i = 0; i < count; i++) found[i] = SQRT(a[i]);
    restore(before);
}
int flushes(void) {
#if defined(__SSE2__)
    return 1;
#else
    return 0;
#endif
}
int estimated(void) {
#if defined(__AVX512DQ__) && !WIDE
    return 1;
#else
    return 0;
#endif
}
"""
both = pytest.mark.parametrize("dtype", [np.float32, np.float64])
flushes = pytest.mark.parametrize("flushed", [False, True], ids=["as IEEE", "flushed as in updates"])


@pytest.fixture(autouse=True)
def _silent() -> Iterator[None]:
    """Overflow, division by 0 and roots of negative numbers are what is tested."""
    with np.errstate(all="ignore"):
        yield


@dataclass(frozen=True)
class Machine:
    """The operations of lanes.h, or of a version with a fault, on arrays of any length."""

    dtype: type[np.float32 | np.float64]
    fault: str = ""

    @property
    def library(self) -> ctypes.CDLL:
        return load(self.fault + CODE, {"WIDE": int(self.dtype is np.float64)})

    def _padded(self, values: Floats) -> tuple[Floats, int]:
        lanes = int(self.library.lanes())
        size = -(-len(values) // lanes) * lanes
        held = aligned((size,), self.dtype)
        held[:] = self.dtype(1)
        held[: len(values)] = values
        return held, size

    def _apply(self, name: str, flushed: bool, *given: Floats) -> Floats:
        held = [self._padded(each)[0] for each in given]
        found, size = self._padded(given[0])
        places = [ctypes.c_void_p(pointer(each)) for each in (*held, found)]
        getattr(self.library, name)(*places, ctypes.c_long(size // self.library.lanes()), ctypes.c_int(flushed))
        return found[: len(given[0])]

    def divide(self, a: Floats, b: Floats, flushed: bool = False) -> Floats:
        return self._apply("quotients", flushed, a, b)

    def root(self, a: Floats, flushed: bool = False) -> Floats:
        return self._apply("roots", flushed, a)


def of_bits(bits: npt.NDArray[np.unsignedinteger[Any]], dtype: type[np.float32 | np.float64]) -> Floats:
    return bits.view(dtype)


def a_binade() -> Floats:
    """All floats in [1, 2)."""
    return of_bits(np.arange(127 << 23, 128 << 23, dtype=np.uint32), np.float32)


def of_all_exponents(count: int, dtype: type[np.float32 | np.float64], seed: int) -> Floats:
    """Random bits: every exponent, both signs, subnormal numbers, infinities and NaN."""
    unsigned = np.uint32 if dtype is np.float32 else np.uint64
    return of_bits(np.random.default_rng(seed).integers(0, np.iinfo(unsigned).max, count, unsigned, True), dtype)


def special(dtype: type[np.float32 | np.float64]) -> tuple[Floats, Floats]:
    """All pairs of zeros, subnormal numbers, ends of the normal range and of its reciprocals, infinities and NaN."""
    info, one = np.finfo(dtype), dtype(1)
    ends = [2 * info.tiny, 4 * info.tiny, one / info.tiny, 2 / info.tiny, one / (2 * info.tiny), info.max]
    near = [np.nextafter(end, dtype(way)) for end in ends for way in (0, np.inf)]
    plain = [0, info.smallest_subnormal, info.tiny / 2, info.tiny, one, dtype(1e-8), np.inf, np.nan, *ends, *near]
    values = np.array([sign * value for value in plain for sign in (1, -1)], dtype=dtype)
    a, b = np.meshgrid(values, values)
    return a.ravel(), b.ravel()


def flush(values: Floats, flushed: bool) -> Floats:
    """Results below the normal range as zeros of their sign, if they are to be flushed."""
    small = np.abs(values) < np.finfo(values.dtype).tiny
    return np.where(small & flushed, np.copysign(values.dtype.type(0), values), values)


def of_normal_size(exact: Floats) -> npt.NDArray[np.bool_]:
    """Numbers that are normal, however they are rounded."""
    info = np.finfo(np.float32)
    return (np.abs(exact) > info.tiny * (1 + 1e-6)) & (np.abs(exact) < info.max * (1 - 1e-6))


def errors(a: Floats, b: Floats, found: Floats) -> Floats:
    """Units in the last place of float32, of quotients that are normal numbers; double is exact enough to measure."""
    exact = a.astype(np.float64) / b.astype(np.float64)
    unit = np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)
    measured: Floats = (np.abs(found.astype(np.float64) - exact) / unit)[of_normal_size(exact)]
    return measured


def check_classes(expected: Floats, found: Floats) -> None:
    """The same NaN, infinities and zeros, with their signs."""
    assert np.array_equal(np.isnan(expected), np.isnan(found))
    for value in (0.0, np.inf):
        assert np.array_equal(np.abs(expected) == value, np.abs(found) == value)
    signed = ~np.isnan(expected)
    assert np.array_equal(np.signbit(expected)[signed], np.signbit(found)[signed])


def check_floats(machine: Machine, flushed: bool, a: Floats, b: Floats) -> None:
    """Quotients within the bound, and classes, where rounding cannot decide them."""
    found = machine.divide(a, b, flushed)
    expected = flush(a / b, flushed and bool(machine.library.flushes()))
    assert errors(a, b, found).max(initial=0) <= BOUND
    exact = a.astype(np.float64) / b.astype(np.float64)
    ends = [np.abs(np.abs(exact) / end - 1) < 1e-6 for end in (np.finfo(np.float32).tiny, np.finfo(np.float32).max)]
    told = ~(ends[0] | ends[1])
    check_classes(expected[told], found[told])


def check_everything(machine: Machine, flushed: bool) -> None:
    check_floats(machine, flushed, *special(np.float32))
    check_floats(machine, flushed, *(of_all_exponents(1 << 18, np.float32, seed) for seed in (1, 2)))


# --- quotients ------------------------------------------------------------------------------------------------------


def test_quotients_by_every_divisor_of_a_binade() -> None:
    """Reciprocals, and with numerators at random; other binades differ by powers of 2."""
    machine, below = Machine(np.float32), a_binade()
    one, above = np.ones_like(below), np.random.default_rng(5).permutation(below)
    assert errors(one, below, machine.divide(one, below, True)).max() <= 0.6
    assert errors(above, below, machine.divide(above, below, True)).max() <= BOUND


@flushes
def test_quotients_of_all_exponents_and_of_special_numbers(flushed: bool) -> None:
    check_everything(Machine(np.float32), flushed)


@flushes
def test_zero_over_a_finite_divisor_is_zero(flushed: bool) -> None:
    """What keeps a dead neuron's parameters bit for bit."""
    b = of_all_exponents(1 << 16, np.float32, 3)
    b = b[np.isfinite(b) & (b != 0)]
    assert not Machine(np.float32).divide(np.zeros_like(b), b, flushed).any()
    assert not Machine(np.float32).divide(-np.zeros_like(b), b, flushed).any()


def test_a_number_over_infinity_is_zero_as_torch_has_it() -> None:
    """A second moment that has overflowed stops its coordinate, in IEEE 754 and here."""
    a = of_all_exponents(1 << 12, np.float32, 4)
    found = Machine(np.float32).divide(a, np.full_like(a, np.inf), True)
    assert not found[np.isfinite(a)].any()
    assert np.isnan(found[~np.isfinite(a)]).all()


def test_double_quotients_are_ieees_to_the_bit() -> None:
    machine, random = Machine(np.float64), (of_all_exponents(1 << 16, np.float64, seed) for seed in (6, 7))
    for a, b in (special(np.float64), tuple(random)):
        assert np.array_equal(machine.divide(a, b), a / b, equal_nan=True)


FAULTS = {
    "an estimate too rough for one step": (
        "#include <immintrin.h>\n#define _mm512_rcp14_ps(b) "
        "(_mm512_rcp14_ps)(_mm512_mul_ps(b, _mm512_set1_ps(1.001f)))\n"
    ),
    "divisors without a normal reciprocal not seen": "#include <immintrin.h>\n#define _mm512_fpclass_ps_mask(a, b) 0\n",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_seen(fault: str) -> None:
    if not Machine(np.float32).library.estimated():
        pytest.skip("this machine's float quotients are IEEE's")
    with pytest.raises(AssertionError):
        check_everything(Machine(np.float32, FAULTS[fault]), False)


# --- roots ----------------------------------------------------------------------------------------------------------


@both
@flushes
def test_roots_are_ieees_to_the_bit(dtype: type[np.float32 | np.float64], flushed: bool) -> None:
    """Roots of subnormal numbers are normal, so that nothing is flushed."""
    values = np.concatenate([special(dtype)[0], of_all_exponents(1 << 18, dtype, 8)])
    found, expected = Machine(dtype).root(values, flushed), np.sqrt(values)
    assert np.array_equal(found, expected, equal_nan=True)
    assert np.array_equal(np.signbit(found[values == 0]), np.signbit(values[values == 0]))
