"""Abstract arithmetic: for every operation on numbers, the same operation on elements.

Each rule returns an element that contains every result the operation can give, in the number format `form`, for
numbers out of the given elements. Operations that IEEE 754 rounds correctly (+ - * / sqrt, conversions) are monotone
with their rounding, so the rounded ends enclose; results of a composite kernel (which may or may not round in between,
and may use fused multiply-add) and of library functions are widened outward.

`finite=True` leaves out two kinds of execution: those in which an operation on finite numbers overflows to an infinity,
and those in which one underflows to 0. A logarithm of 0 or a root of a negative number is never left out, and neither
is a division by 0, except with `poles=False`: that leaves out executions in which a number other than 0 is divided
by 0. What 0/0 gives, NaN, is always kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from verify.optimizers.code_proof.conditions import Range, facts_of
from verify.optimizers.code_proof.element import (
    INFINITY,
    ONE,
    ZERO,
    Bound,
    Element,
    Format,
    Multiple,
    anything,
    fresh_key,
    join,
    key_of,
    key_of_element,
    key_of_factor,
)
from verify.optimizers.code_proof.plain import isinf, max, min

__all__ = ["Arithmetic", "Definition", "rebased"]

BOOLEAN = Element(0.0, 1.0)
TRUE, FALSE = ONE, ZERO
# Bits of accuracy conceded for library functions (exp, log, pow, ...): their kernels claim about 1 ulp.
CONCEDED_BITS = 5


SINGLE_PRECISION, SMALLEST_SINGLE, LARGEST_SINGLE = 24, -149, 3.4028234663852886e38
SMALLEST = math.ldexp(1.0, -1074)


def _products(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """All products of two ends. 0 times infinity counts as 0: the NaN is accounted for separately.

    Where a product of non-zero numbers underflows, the least number of its sign is listed too: fused kernels keep it.
    """
    found = []
    for x in first:
        for y in second:
            found.append(0.0 if x == 0 or y == 0 else x * y)
            if found[-1] == 0 and x != 0 and y != 0:
                found.append(math.copysign(SMALLEST, math.copysign(1.0, x) * math.copysign(1.0, y)))
    return found


def _quotients(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """All quotients of two ends, the second not 0; like `_products` with respect to underflow."""
    found = []
    for x in first:
        for y in second:
            found.append(0.0 if isinf(y) else float(x) / float(y))
            if found[-1] == 0 and x != 0:
                found.append(math.copysign(SMALLEST, math.copysign(1.0, x) * math.copysign(1.0, y)))
    return found


def _times(x: Bound, y: Bound) -> Bound:
    """The product of two ends of ranges of factors; 0 times infinity counts as 0, for every factor is a real number."""
    return Fraction(0) if x == 0 or y == 0 else x * y


def _range_times(factor: Fraction, link: Multiple) -> tuple[Bound, Bound]:
    ends = _times(factor, link.low), _times(factor, link.high)
    return min(ends), max(ends)


def _added_ends(first: tuple[Bound, Bound], second: tuple[Bound, Bound]) -> tuple[Bound, Bound]:
    return first[0] + second[0], first[1] + second[1]


def _named_factor(coordinate: int, low: Bound, high: Bound, name: int | None) -> Multiple:
    """A multiple, named after its factor if that is known."""
    made = Multiple(coordinate, low, high, name, False)
    return Multiple(coordinate, low, high, key_of_factor(made), False)


def rebased(link: Multiple, new: Multiple | None) -> Multiple | None:
    """A multiple of an old value as a multiple of a new one, which is itself the multiple `new` of the old one."""
    if new is None or new.coordinate != link.coordinate:
        return None
    if new.same:
        return link
    if link.key is not None and link.key == new.key:  # both are the same multiple, of 0 even where the factor is 0
        return _named_factor(link.coordinate, Fraction(1), Fraction(1), None)
    if new.low <= 0:
        return None
    inverses: tuple[Bound, Bound] = (0 if new.high == INFINITY else 1 / new.high), 1 / new.low
    ends = [_times(end, Fraction(inverse)) for inverse in inverses for end in (link.low, link.high)]
    name = None if link.key is None or new.key is None else key_of(("ratio", link.key, new.key))
    return _named_factor(link.coordinate, min(ends), max(ends), name)


def _down(number: float) -> float:
    return math.nextafter(number, -INFINITY)


def _up(number: float) -> float:
    return math.nextafter(number, INFINITY)


@dataclass(frozen=True)
class Definition:
    """The number is the result of a rule for these operands. source: for conversions, the format they come from."""

    rule: str
    form: Format
    operands: tuple[Element, ...]
    source: Format | None = None


class Arithmetic:
    """The rules. definitions: how a named number was computed, so that it can be computed again when more is known.

    met_pole: whether a number other than 0 was divided by one that may be 0.
    """

    def __init__(self, *, finite: bool, poles: bool = True) -> None:
        self.finite, self.poles, self.met_pole = finite, poles, False
        self.definitions: dict[int, Definition] = {}

    # --- rounding ----------------------------------------------------------------------------------------------------

    def settle(
        self, form: Format, inputs: Sequence[Element], lo: float, hi: float, *, nan: bool = False, loose: bool = False
    ) -> Element:
        """The element with these ends, rounded outward to the format; overflow of finite inputs is left out if asked.

        loose: the ends come from roundings that the kernel may not make; widen by one unit, except exact zeros. Kernels
        for 16 bits keep such intermediate results in 32 bits: what is left out is overflow of these.
        """
        if loose:
            lo, hi = (lo if lo == 0 else _down(lo)), (hi if hi == 0 else _up(hi))
        if not form.floating:
            return self._settle_integer(form, lo, hi)
        lo, hi = form.down(lo), form.up(hi)
        nan = nan or any(element.nan for element in inputs)
        if self.finite and (lo == -INFINITY or hi == INFINITY) and all(element.is_finite for element in inputs):
            largest = LARGEST_SINGLE if loose and form.precision < SINGLE_PRECISION else form.maximum
            lo, hi = (min(max(end, -largest), largest) for end in (lo, hi))
            nan = False
        return Element(lo, hi, nan)

    def nonzero(self, form: Format, inputs: Sequence[Element], result: Element) -> Element:
        """A result that is not 0 in exact arithmetic: underflow to 0 is left out if asked."""
        if not self.finite or not form.floating or not all(element.is_finite for element in inputs):
            return result
        if result.is_zero:
            return result
        # Kernels for 16 bits keep intermediate results in 32 bits.
        least = math.ldexp(1.0, min(form.smallest, SMALLEST_SINGLE))
        lo = least if 0 <= result.lo < least else result.lo
        hi = -least if -least < result.hi <= 0 else result.hi
        return Element(lo, hi, result.nan, result.link, result.key)

    @staticmethod
    def _settle_integer(form: Format, lo: float, hi: float) -> Element:
        # Whole numbers beyond 2^53 are not all floats: one unit outward keeps the ends safe.
        lo = lo if abs(lo) < 2.0**53 else _down(lo)
        hi = hi if abs(hi) < 2.0**53 else _up(hi)
        if lo < form.minimum or hi > form.maximum:  # wraps around
            return Element(form.minimum, form.maximum)
        return Element(float(math.floor(lo)), float(math.ceil(hi)))

    def library(self, form: Format, inputs: Sequence[Element], lo: float, hi: float, *, nan: bool = False) -> Element:
        """Like settle, for functions whose last bits are not to be trusted, subnormal results flushed or not."""
        slack = 2.0 ** (CONCEDED_BITS - form.precision)
        normal = math.ldexp(1.0, form.smallest + form.precision - 1)

        least = math.ldexp(1.0, form.smallest)
        kept = self.finite and all(element.is_finite for element in inputs)

        def outward(end: float, side: float) -> float:
            if isinf(end) or end == 0:
                return end
            moved = end + side * slack * abs(end)
            if abs(moved) < normal and side * moved < 0:
                return math.copysign(least, end) if kept else 0.0
            return side * max(normal, abs(moved)) if abs(moved) < normal else moved

        return self.settle(form, inputs, outward(lo, -1.0), outward(hi, 1.0), nan=nan)

    def cast(self, source: Format, target: Format, x: Element) -> Element:
        """Conversion between formats; rounding to nearest is monotone."""
        if source == target:
            return x
        if source.floating and target.floating:
            widens = target.precision >= source.precision and target.maximum >= source.maximum
            if widens:
                return x
            link = x.link and Multiple(x.link.coordinate, x.link.low, x.link.high, x.link.key, False)
            lo, hi = (target.nearest(end) for end in (x.lo, x.hi))
            result = self.settle(target, (x,), lo, hi)
            result = result if x.may_be_zero else self.nonzero(target, (x,), result)
            key = None if x.key is None else key_of(("cast", x.key, str(target.dtype)))
            if key is not None:
                self.definitions[key] = Definition("cast", target, (x,), source)
            return Element(result.lo, result.hi, result.nan, link, key)
        if target.dtype.is_floating_point:
            exact = abs(x.lo) <= 2.0**target.precision and abs(x.hi) <= 2.0**target.precision
            lo, hi = (x.lo, x.hi) if exact else (target.down(_down(x.lo)), target.up(_up(x.hi)))
            return Element(lo, hi, False, None, x.key if exact else None)
        if target.minimum == 0.0 and target.maximum == 1.0:
            return self.ne(target, x, ZERO)
        if not x.is_finite or math.trunc(x.lo) < target.minimum or math.trunc(x.hi) > target.maximum:
            return anything(target)
        return self._settle_integer(target, float(math.trunc(x.lo)), float(math.trunc(x.hi)))

    def operand(self, form: Format, x: Element) -> Element:
        """A Python number as an operand in `form`: a kernel may round it to the format first, or keep it."""
        if not form.floating or not x.is_finite:
            return x
        lo, hi = form.down(x.lo), form.up(x.hi)
        if (lo, hi) == (x.lo, x.hi):
            return x
        if self.finite:  # kernels for 16 bits keep it in 32 bits: overflow of these is what is left out
            largest = max(LARGEST_SINGLE, form.maximum)
            lo, hi = (min(max(end, -largest), largest) for end in (lo, hi))
        key = key_of_element(x)
        key = None if key is None else key_of(("operand", key, str(form.dtype)))
        result = Element(lo, hi, False, None, key)
        return result if x.may_be_zero else self.nonzero(form, (x,), result)

    # --- what an operation does to links and keys --------------------------------------------------------------------

    def _keyed(self, name: str, form: Format, result: Element, *inputs: Element) -> Element:
        """Attach a key to the result of a deterministic operation, if the operands have keys."""
        if result.is_constant or all(element.key is None for element in inputs):
            return result
        keys = [key_of_element(element) for element in inputs]
        if None in keys:
            return result
        key = key_of((name, str(form.dtype), tuple(keys)))
        self.definitions[key] = Definition(name, form, inputs)
        return Element(result.lo, result.hi, result.nan, result.link, key)

    def _named(self, name: str, form: Format, result: Element, *inputs: Element) -> Element:
        """Give the result of an operation a name of its own: the last bits may differ from one place to another."""
        if result.is_constant or all(element.key is None for element in inputs):
            return result
        key = fresh_key()
        self.definitions[key] = Definition(name, form, inputs)
        return Element(result.lo, result.hi, result.nan, result.link, key)

    def _again(self, definition: Definition, operands: Sequence[Element]) -> Element:
        if definition.source is not None:
            return self.cast(definition.source, definition.form, operands[0])
        found: Element = getattr(self, definition.rule)(definition.form, *operands)
        return found

    def known_better(self, element: Element, facts: dict[int, Range], depth: int = 4) -> Element:
        """The element, given ranges of some named numbers; computed again from its definition if it uses them."""
        key = element.key
        if key is None or depth == 0:
            return element
        lo, hi, nan = element.lo, element.hi, element.nan
        if key in facts:
            lo, hi, nan = max(lo, facts[key][0]), min(hi, facts[key][1]), nan and facts[key][2]
        definition = self.definitions.get(key)
        if definition is not None:
            operands = [self.known_better(operand, facts, depth - 1) for operand in definition.operands]
            if any(mine is not old for mine, old in zip(operands, definition.operands, strict=True)):
                again = self._again(definition, operands)
                lo, hi, nan = max(lo, again.lo), min(hi, again.hi), nan and again.nan
        if (lo, hi, nan) == (element.lo, element.hi, element.nan) or lo > hi:
            return element
        return Element(lo, hi, nan, element.link, key)

    @staticmethod
    def _scaled(link: Multiple, factor: Element, *, inverse: bool = False) -> Multiple | None:
        if not factor.is_finite or (inverse and factor.may_be_zero):
            return None
        ends = [Fraction(factor.lo), Fraction(factor.hi)]
        if inverse:
            ends = [1 / end for end in ends]
        products = [_times(end, bound) for end in ends for bound in (link.low, link.high)]
        keys = link.key, key_of_element(factor)
        name = None if None in keys else key_of(("over" if inverse else "times", *keys))
        return _named_factor(link.coordinate, min(products), max(products), name)

    @staticmethod
    def _added(first: Multiple, second: Multiple, sign: int) -> Multiple | None:
        if first.coordinate != second.coordinate:
            return None
        known = first.key is not None and second.key is not None
        if known and first.key == second.key and sign == -1:  # equal factors cancel
            return _named_factor(first.coordinate, Fraction(0), Fraction(0), None)
        ends = sorted((sign * second.low, sign * second.high))
        name = key_of(("plus", sign, first.key, second.key)) if known else None
        return _named_factor(first.coordinate, first.low + ends[0], first.high + ends[1], name)

    @staticmethod
    def _mixed(first: Multiple, second: Multiple, weight: Element) -> Multiple | None:
        """(1 - weight) * first + weight * second, of factors in exact arithmetic."""
        if first.coordinate != second.coordinate or not weight.is_finite:
            return None
        if first.key is not None and first.key == second.key:  # a mean of equal factors
            return Multiple(first.coordinate, first.low, first.high, first.key, False)
        weights = Fraction(weight.lo), Fraction(weight.hi)
        ends = []
        for end in weights:  # linear in the weight: the ends decide
            ends.append(_added_ends(_range_times(1 - end, first), _range_times(end, second)))
        keys = first.key, second.key, key_of_element(weight)
        name = None if None in keys else key_of(("mix", *keys))
        return _named_factor(first.coordinate, min(low for low, _ in ends), max(high for _, high in ends), name)

    @staticmethod
    def _linked(element: Element, link: Multiple | None) -> Element:
        return element if link is None else Element(element.lo, element.hi, element.nan, link, element.key)

    # --- arithmetic --------------------------------------------------------------------------------------------------

    def add(self, form: Format, x: Element, y: Element, *, loose: bool = False) -> Element:
        """X + y."""
        if y.is_zero:
            return x
        if x.is_zero:
            return y
        lo, hi = x.lo + y.lo, x.hi + y.hi
        nan = (x.hi == INFINITY and y.lo == -INFINITY) or (x.lo == -INFINITY and y.hi == INFINITY)
        lo, hi = (-INFINITY if math.isnan(lo) else lo), (INFINITY if math.isnan(hi) else hi)
        result = self.settle(form, (x, y), lo, hi, nan=nan, loose=loose)
        if x.link is not None and y.link is not None:
            return self._linked(result, self._added(x.link, y.link, 1))
        return result if loose else self._keyed("add", form, result, x, y)

    def neg(self, form: Format, x: Element) -> Element:
        """-x (two's complement for whole numbers)."""
        if x.is_zero:
            return x
        if not form.floating and form.minimum < 0 and x.lo == form.minimum:
            return anything(form)
        link = x.link and self._scaled(x.link, Element(-1.0, -1.0))
        result = Element(-x.hi, -x.lo, x.nan, link)
        if not form.floating:
            return self._settle_integer(form, result.lo, result.hi)
        return self._keyed("neg", form, result, x)

    def sub(self, form: Format, x: Element, y: Element, *, loose: bool = False) -> Element:
        """X - y; two copies of the same start value cancel exactly."""
        if y.is_zero:
            return x
        if x.link is not None and y.link is not None and x.link.coordinate == y.link.coordinate:
            if x.link.same and y.link.same:
                return ZERO
            bare = self.sub(form, x.bare(), y.bare(), loose=loose)
            return self._linked(bare, self._added(x.link, y.link, -1))
        if not form.floating:
            return self._settle_integer(form, x.lo - y.hi, x.hi - y.lo)
        return self.add(form, x, self.neg(form, y), loose=loose)

    def mul(self, form: Format, x: Element, y: Element, *, loose: bool = False) -> Element:
        """X * y."""
        if x == ONE or y == ONE:
            return y if x == ONE else x
        nan = (x.may_be_zero and y.may_be_infinite) or (y.may_be_zero and x.may_be_infinite)
        if x.is_zero or y.is_zero:
            nan = form.floating and (nan or x.nan or y.nan)
            return Element(0.0, 0.0, nan)
        ends = _products((x.lo, x.hi), (y.lo, y.hi))
        result = self.settle(form, (x, y), min(ends), max(ends), nan=nan, loose=loose)
        if not (x.may_be_zero or y.may_be_zero):
            result = self.nonzero(form, (x, y), result)
        if x.link is not None and y.link is None:
            return self._linked(result, self._scaled(x.link, y))
        if y.link is not None and x.link is None:
            return self._linked(result, self._scaled(y.link, x))
        return result if loose else self._keyed("mul", form, result, x, y)

    def div(self, form: Format, x: Element, y: Element, *, loose: bool = False) -> Element:
        """X / y. Where y may be 0 the result may be an infinity, and NaN if x may be 0 too."""
        if y == ONE:
            return x
        nan = (x.may_be_zero and y.may_be_zero) or (x.may_be_infinite and y.may_be_infinite) or x.nan or y.nan
        if x.is_zero:
            result = Element(0.0, 0.0, nan)
            return result if loose else self._keyed("div", form, result, x, y)
        if y.may_be_zero:
            self.met_pole = True
            left_out = not self.poles and x.is_finite and y.is_finite
            largest = form.maximum if left_out else INFINITY
            result = Element(-largest, largest, nan)
            return result if loose else self._keyed("div", form, result, x, y)
        ends = _quotients((x.lo, x.hi), (y.lo, y.hi))
        if x.may_be_infinite and y.may_be_infinite:
            ends += [-INFINITY, INFINITY]
        result = self.settle(form, (x, y), min(ends), max(ends), nan=nan, loose=loose)
        if not x.may_be_zero:
            result = self.nonzero(form, (x, y), result)
        if x.link is not None and y.link is None:
            return self._linked(result, self._scaled(x.link, y, inverse=True))
        return result if loose else self._keyed("div", form, result, x, y)

    def rsub(self, form: Format, x: Element, y: Element) -> Element:
        """Y - x."""
        return self.sub(form, y, x)

    def reciprocal(self, form: Format, x: Element) -> Element:
        """1 / x."""
        return self.div(form, ONE, x)

    def square(self, form: Format, x: Element, *, loose: bool = False) -> Element:
        """X * x, which is never negative."""
        sizes = sorted((abs(x.lo), abs(x.hi)))
        least = 0.0 if x.may_be_zero else sizes[0]
        ends = _products((least, sizes[1]), (least, sizes[1]))
        result = self.settle(form, (x,), min(ends), max(ends), loose=loose)
        if not form.floating:
            return result
        result = Element(max(result.lo, 0.0), result.hi, result.nan)
        return result if x.may_be_zero else self.nonzero(form, (x,), result)

    def absolute(self, form: Format, x: Element) -> Element:
        """|x|."""
        if x.lo >= 0:
            return x
        if not form.floating and x.lo == form.minimum:
            return anything(form)
        least = 0.0 if x.may_be_zero else min(abs(x.lo), abs(x.hi))
        return Element(least, max(abs(x.lo), abs(x.hi)), x.nan)

    def sqrt(self, form: Format, x: Element) -> Element:
        """The square root; NaN where x may be negative. torch's vectorized one is not always correctly rounded."""
        nan = x.nan or x.lo < 0
        if x.hi < 0:
            return Element(0.0, 0.0, True)
        result = self.library(form, (x,), math.sqrt(max(x.lo, 0.0)), math.sqrt(x.hi))
        return self._named("sqrt", form, Element(max(result.lo, 0.0), result.hi, nan), x)

    def rsqrt(self, form: Format, x: Element) -> Element:
        """1 / sqrt(x), in one or two roundings."""
        if x.lo <= 0:
            return Element(-INFINITY, INFINITY, x.nan or x.lo < 0)
        root = self.sqrt(form, x)
        return self.library(form, (x,), 1 / root.hi if root.hi < INFINITY else 0.0, 1 / root.lo)

    def addcmul(self, form: Format, x: Element, a: Element, b: Element, value: Element) -> Element:
        """X + value * a * b, in any order of the products."""
        first = self.mul(form, value, self.mul(form, a, b, loose=True), loose=True)
        second = self.mul(form, self.mul(form, value, a, loose=True), b, loose=True)
        return self.add(form, x, join(first, second), loose=True)

    def addcsquare(self, form: Format, x: Element, a: Element, value: Element) -> Element:
        """X + value * a * a, in any order of the products."""
        first = self.mul(form, value, self.square(form, a, loose=True), loose=True)
        # (value * a) * a has the sign of value, like the other order.
        second = self.mul(form, self.mul(form, value, a, loose=True), a, loose=True)
        second = Element(
            max(second.lo, 0.0) if value.lo >= 0 else second.lo,
            min(second.hi, 0.0) if value.hi <= 0 else second.hi,
            second.nan,
        )
        return self.add(form, x, join(first, second), loose=True)

    def addcdiv(self, form: Format, x: Element, a: Element, b: Element, value: Element) -> Element:
        """X + value * a / b, in any order."""
        first = self.mul(form, value, self.div(form, a, b, loose=True), loose=True)
        second = self.div(form, self.mul(form, value, a, loose=True), b, loose=True)
        return self.add(form, x, join(first, second), loose=True)

    def add_scaled(self, form: Format, x: Element, y: Element, alpha: Element) -> Element:
        """X + alpha * y."""
        if alpha == ONE:
            return self.add(form, x, y)
        return self.add(form, x, self.mul(form, alpha, y, loose=True), loose=True)

    def sub_scaled(self, form: Format, x: Element, y: Element, alpha: Element) -> Element:
        """X - alpha * y."""
        if alpha == ONE:
            return self.sub(form, x, y)
        return self.sub(form, x, self.mul(form, alpha, y, loose=True), loose=True)

    def lerp(self, form: Format, start: Element, end: Element, weight: Element) -> Element:
        """Start + weight * (end - start), or end - (1 - weight) * (end - start) for weights from 1/2 on."""
        gap = self.sub(form, end, start, loose=True)
        below = self.add(form, start, self.mul(form, weight, gap, loose=True), loose=True)
        rest = self.sub(form, ONE, weight, loose=True)
        above = self.sub(form, end, self.mul(form, gap, rest, loose=True), loose=True)
        if not weight.nan and weight.lo > -0.5 and weight.hi < 0.5:
            result = below
        elif not weight.nan and (weight.lo >= 0.5 or weight.hi <= -0.5):
            result = above
        else:
            result = join(below, above)
        result = self._between(form, result, start, end) if weight.lo >= 0 and weight.hi <= 1 else result
        link = None if result.is_same else self._mean_link(start, end, weight)
        return result if link is None else self._linked(result.unlinked(), link)

    def _mean_link(self, start: Element, end: Element, weight: Element) -> Multiple | None:
        """The link of a weighted mean; a 0 is the multiple 0 of anything."""
        first, second = start.link, end.link
        if first is None and second is not None and start.is_zero:
            first = _named_factor(second.coordinate, Fraction(0), Fraction(0), None)
        if second is None and first is not None and end.is_zero:
            second = _named_factor(first.coordinate, Fraction(0), Fraction(0), None)
        return None if first is None or second is None else self._mixed(first, second, weight)

    @staticmethod
    def _between(form: Format, result: Element, start: Element, end: Element) -> Element:
        """A mean of two numbers of one sign has this sign, and is no smaller and no larger than both, but for rounding.

        For weights below 1/2 the larger of the two sizes enters with at least half its weight, so that the roundings,
        at most 3 units of the product, cost at most 8 units of the smaller one; for weights from 1/2 on likewise.
        """
        slack = 2.0 ** (4 - form.precision)
        lo, hi = result.lo, result.hi
        if start.lo >= 0 and end.lo >= 0:
            least = min(start.lo, end.lo)
            lo = max(lo, form.down(least - slack * least) if least < INFINITY else lo)
        if start.hi <= 0 and end.hi <= 0:
            least = max(start.hi, end.hi)
            hi = min(hi, form.up(least - slack * least) if least > -INFINITY else hi)
        return Element(lo, hi, result.nan, result.link, result.key)

    # --- library functions -------------------------------------------------------------------------------------------

    def increasing(
        self, form: Format, x: Element, function: Callable[[float], float], lowest: float, highest: float
    ) -> Element:
        """An increasing function that is defined everywhere, with its limits at the infinities."""

        def end(number: float) -> float:
            if isinf(number):
                return lowest if number < 0 else highest
            try:
                return function(number)
            except OverflowError:
                return highest

        return self.library(form, (x,), end(x.lo), end(x.hi))

    def logarithm(self, form: Format, x: Element, function: Callable[[float], float], pole: float) -> Element:
        """A logarithm: -inf at its pole, NaN below."""

        def end(number: float) -> float:
            if number <= pole:
                return -INFINITY
            return INFINITY if isinf(number) else function(number)

        lo, hi = end(x.lo), end(x.hi)
        result = self.library(form, (x,), lo, hi)
        return Element(lo if lo == -INFINITY else result.lo, result.hi, x.nan or x.lo < pole)

    def bounded(self, form: Format, x: Element, lo: float, hi: float) -> Element:
        """Any number between the two, NaN where x may be NaN or infinite."""
        return self.library(form, (x,), lo, hi, nan=x.may_be_infinite)

    def power(self, form: Format, x: Element, y: Element) -> Element:
        """X ** y."""
        if not form.floating:
            return x if y == ONE else anything(form)
        if y.is_zero:
            return ONE
        if y == ONE:
            return x
        if y.is_constant and y.lo == 2.0:
            return self.square(form, x)
        if y.is_constant and y.lo == 0.5:
            root = self.sqrt(form, x)
            return Element(root.lo, INFINITY if x.lo == -INFINITY else root.hi, root.nan)
        if y.is_constant and y.lo == -0.5:
            return self.rsqrt(form, x)
        if y.is_constant and y.lo == -1.0:
            return self.div(form, ONE, x)
        if x.lo >= 0:
            return self._power_of_nonnegative(form, x, y)
        if y.is_constant and y.lo.is_integer() and y.lo > 0:
            sizes = sorted((abs(x.lo), abs(x.hi)))
            largest = self._power_of_nonnegative(form, Element(sizes[0], sizes[1], x.nan), y)
            if y.lo % 2 == 0:
                return Element(0.0 if x.may_be_zero else max(largest.lo, 0.0), largest.hi, largest.nan)
            return Element(-largest.hi, largest.hi if x.hi > 0 else 0.0, largest.nan)
        return Element(-INFINITY, INFINITY, True)

    def _power_of_nonnegative(self, form: Format, x: Element, y: Element) -> Element:
        def corner(base: float, exponent: float) -> float:
            try:
                return math.pow(base, exponent)
            except OverflowError:
                return INFINITY
            except ValueError:  # 0 to a negative power
                return INFINITY

        ends = [corner(base, exponent) for base in (x.lo, x.hi) for exponent in (y.lo, y.hi)]
        if x.lo <= 1 <= x.hi or y.may_be_zero:
            ends.append(1.0)
        if x.lo == 0 and y.lo < 0:
            # A zero base has an unknown sign; an odd negative power of -0 is -inf.
            return Element(-INFINITY, INFINITY, x.nan or y.nan)
        result = self.library(form, (x, y), min(ends), max(ends))
        result = Element(max(result.lo, 0.0), result.hi, result.nan)
        return result if x.may_be_zero else self.nonzero(form, (x, y), result)

    # --- steps and signs ---------------------------------------------------------------------------------------------

    def sign(self, form: Format, x: Element) -> Element:
        """-1, 0 or 1; for NaN torch gives 0 or NaN."""
        lo, hi = (1.0 if end > 0 else 0.0 if end == 0 else -1.0 for end in (x.lo, x.hi))
        return Element(min(lo, 0.0), max(hi, 0.0), True) if x.nan else Element(lo, hi)

    def stepwise(self, form: Format, x: Element, function: Callable[[float], float]) -> Element:
        """An increasing function with exact values, such as floor; infinities stay."""
        lo, hi = (end if isinf(end) else float(function(end)) for end in (x.lo, x.hi))
        return Element(lo, hi, x.nan)

    def fraction(self, form: Format, x: Element) -> Element:
        """The part of x after the point, with the sign of x."""
        return Element(0.0 if x.lo >= 0 else -1.0, 0.0 if x.hi <= 0 else 1.0, x.nan or x.may_be_infinite)

    def remainder(self, form: Format, x: Element, y: Element) -> Element:
        """A remainder of x by y, of either sign convention: smaller than y in size."""
        if x.is_zero and not y.may_be_zero and not y.nan:
            return ZERO
        size = max(abs(y.lo), abs(y.hi))
        nan = x.nan or y.nan or y.may_be_zero or x.may_be_infinite
        if not form.floating:
            if y.may_be_zero:
                return anything(form)
            return self._settle_integer(
                form, 0.0 if x.lo >= 0 and y.lo >= 0 else -size, size if y.hi > 0 or x.hi > 0 else 0.0
            )
        return Element(0.0 if x.lo >= 0 and y.lo >= 0 else -size, size, nan)

    # --- choices -----------------------------------------------------------------------------------------------------

    def maximum(self, form: Format, x: Element, y: Element) -> Element:
        """The larger number; NaN if one is NaN."""
        if not y.nan and x.lo >= y.hi:
            return x
        if not x.nan and y.lo >= x.hi:
            return y
        return Element(max(x.lo, y.lo), max(x.hi, y.hi), x.nan or y.nan)

    def minimum(self, form: Format, x: Element, y: Element) -> Element:
        """The smaller number; NaN if one is NaN."""
        if not y.nan and x.hi <= y.lo:
            return x
        if not x.nan and y.hi <= x.lo:
            return y
        return Element(min(x.lo, y.lo), min(x.hi, y.hi), x.nan or y.nan)

    def clamp(self, form: Format, x: Element, low: Element | None, high: Element | None) -> Element:
        """min(max(x, low), high)."""
        result = x if low is None else self.maximum(form, x, low)
        return result if high is None else self.minimum(form, result, high)

    def where(self, form: Format, condition: Element, x: Element, y: Element) -> Element:
        """X where the condition holds, y elsewhere; each as it can be when it is chosen."""
        if not condition.may_be_zero and not condition.nan:
            return x
        if condition.is_zero:
            return y
        first = self.known_better(x, facts_of(condition, True))
        return join(first, self.known_better(y, facts_of(condition, False)))

    def nan_to_num(self, form: Format, x: Element, nan: Element, high: Element, low: Element) -> Element:
        """X with NaN and the infinities replaced."""
        if x.is_finite:
            return x
        result = Element(max(x.lo, form.minimum), min(x.hi, form.maximum))
        for replaced, by in ((x.nan, nan), (x.hi == INFINITY, high), (x.lo == -INFINITY, low)):
            result = join(result, by) if replaced else result
        return result.bare()

    # --- comparisons: 1 for true, 0 for false ------------------------------------------------------------------------

    @staticmethod
    def _decided(true: bool, false: bool) -> Element:
        return TRUE if true else FALSE if false else BOOLEAN

    def lt(self, form: Format, x: Element, y: Element) -> Element:
        """X < y."""
        return self._decided(x.hi < y.lo and not (x.nan or y.nan), x.lo >= y.hi)

    def le(self, form: Format, x: Element, y: Element) -> Element:
        """X <= y."""
        return self._decided(x.hi <= y.lo and not (x.nan or y.nan), x.lo > y.hi)

    def gt(self, form: Format, x: Element, y: Element) -> Element:
        """X > y."""
        return self.lt(form, y, x)

    def ge(self, form: Format, x: Element, y: Element) -> Element:
        """X >= y."""
        return self.le(form, y, x)

    def eq(self, form: Format, x: Element, y: Element) -> Element:
        """X == y."""
        return self._decided(x.is_constant and x.lo == y.lo == y.hi and not y.nan, x.hi < y.lo or y.hi < x.lo)

    def ne(self, form: Format, x: Element, y: Element) -> Element:
        """X != y."""
        return self.invert(form, self.eq(form, x, y))

    def truth(self, form: Format, x: Element) -> Element:
        """Whether x is not 0 (NaN is not 0)."""
        return self._decided(not x.may_be_zero, x.is_zero)

    def invert(self, form: Format, x: Element) -> Element:
        """Logical not."""
        truth = self.truth(form, x)
        return Element(1.0 - truth.hi, 1.0 - truth.lo)

    def both(self, form: Format, x: Element, y: Element) -> Element:
        """Logical and."""
        first, second = self.truth(form, x), self.truth(form, y)
        return Element(min(first.lo, second.lo), min(first.hi, second.hi))

    def either(self, form: Format, x: Element, y: Element) -> Element:
        """Logical or."""
        first, second = self.truth(form, x), self.truth(form, y)
        return Element(max(first.lo, second.lo), max(first.hi, second.hi))

    def differ(self, form: Format, x: Element, y: Element) -> Element:
        """Logical exclusive or."""
        first, second = self.truth(form, x), self.truth(form, y)
        return self.ne(form, first, second)

    def is_nan(self, form: Format, x: Element) -> Element:
        """Whether x is NaN."""
        return BOOLEAN if x.nan else FALSE

    def is_infinite(self, form: Format, x: Element) -> Element:
        """Whether x is an infinity."""
        return BOOLEAN if x.may_be_infinite else FALSE

    def is_finite(self, form: Format, x: Element) -> Element:
        """Whether x is neither NaN nor an infinity."""
        return TRUE if x.is_finite else BOOLEAN

    # --- reductions: any order of summation --------------------------------------------------------------------------

    def total(self, form: Format, terms: Sequence[Element]) -> Element:
        """The sum of the terms, in any order, with any accumulation at least as precise as the format."""
        if not terms:
            return ZERO
        live = [term for term in terms if not term.is_zero]
        if len(live) <= 1:
            return live[0] if live else ZERO
        if not form.floating:
            return self._settle_integer(form, sum(term.lo for term in live), sum(term.hi for term in live))
        nan = any(term.nan for term in live)
        above, below = (any(term.hi == INFINITY for term in live), any(term.lo == -INFINITY for term in live))
        size = sum(max(abs(term.lo), abs(term.hi)) for term in live)
        error = 4 * len(live) * 2.0**-form.precision * size
        if size + error < form.maximum:
            lo, hi = sum(term.lo for term in live) - error, sum(term.hi for term in live) + error
            # Rounded sums of numbers of one sign never fall below their largest term.
            lo = max(lo, max(term.lo for term in live)) if all(term.lo >= 0 for term in live) else lo
            hi = min(hi, min(term.hi for term in live)) if all(term.hi <= 0 for term in live) else hi
            return Element(form.down(lo), form.up(hi), nan)
        if all(term.lo >= 0 for term in live):
            return self.settle(form, live, max(term.lo for term in live), INFINITY)
        if all(term.hi <= 0 for term in live):
            return self.settle(form, live, -INFINITY, min(term.hi for term in live))
        # Partial sums may overflow to both sides and meet as NaN.
        overflow = not self.finite or above or below
        return self.settle(form, live, -INFINITY, INFINITY, nan=overflow)

    def dot(self, form: Format, first: Sequence[Element], second: Sequence[Element]) -> Element:
        """The sum of products, fused or not."""
        return self.total(form, [self.mul(form, x, y, loose=True) for x, y in zip(first, second, strict=True)])

    def product(self, form: Format, factors: Sequence[Element]) -> Element:
        """The product of the factors, in any order."""
        if any(factor.is_zero for factor in factors):
            spoiled = any(not factor.is_finite for factor in factors)
            # A partial product of the others may overflow before it meets the 0.
            spoiled = spoiled or (not self.finite and len([f for f in factors if not f.is_zero]) > 1)
            return Element(0.0, 0.0, spoiled and form.floating)
        live = [factor for factor in factors if factor != ONE]
        if len(live) <= 1:
            return live[0] if live else ONE
        if not form.floating:
            return anything(form)
        lo = 0.0 if all(factor.lo >= 0 for factor in live) else -INFINITY
        overflow = not self.finite or not all(factor.is_finite for factor in live)
        return self.settle(form, live, lo, INFINITY, nan=overflow)

    def mean(self, form: Format, terms: Sequence[Element]) -> Element:
        """The sum divided by the number of terms (NaN for none)."""
        if not terms:
            return Element(0.0, 0.0, True)
        if form.precision < SINGLE_PRECISION:  # the sum is kept in 32 bits, where it need not overflow
            lo, hi = min(term.lo for term in terms), max(term.hi for term in terms)
            return self.library(form, (*terms, ZERO), lo, hi, nan=lo == -INFINITY and hi == INFINITY)
        total = self.total(form, terms)
        count = Element(float(len(terms)), float(len(terms)))
        result = self.div(form, total, count, loose=True)
        return self._linked(self.library(form, (total,), result.lo, result.hi), result.link)

    def norm(self, form: Format, terms: Sequence[Element], order: float) -> Element:
        """The vector norm of the terms."""
        sizes = [self.absolute(form, term) for term in terms]
        if all(size.is_zero for size in sizes):
            return ZERO
        if order == INFINITY:
            return self.largest(form, sizes)
        if order == 1.0:
            return self.total(form, sizes).bare()
        nan = any(size.nan for size in sizes)
        if order <= -1 and not nan:
            return self._norm_of_negative_order(form, sizes, order)
        if order != 2.0:
            return self.settle(form, sizes, 0.0, INFINITY, nan=nan) if order > 0 else Element(-INFINITY, INFINITY, True)
        # Kernels may or may not scale against overflow and underflow of the squares: both are enclosed.
        bound = self.total(form, sizes)
        overflows = not self.finite and bound.hi * bound.hi > form.maximum
        least = max(size.lo for size in sizes)
        squared = least if self.finite else math.sqrt(form.down(least * least))
        lo = 0.0 if isinf(least) else min(least, squared)
        result = self.library(form, sizes, lo, INFINITY if overflows else bound.hi, nan=nan)
        return Element(max(result.lo, 0.0), result.hi, result.nan)

    def _norm_of_negative_order(self, form: Format, sizes: Sequence[Element], order: float) -> Element:
        """(sum of |x|^order)^(1/order), order <= -1: from n^(1/order) times the least size to the least size itself.

        Sizes so large that their powers underflow to 0 give infinity, and so do infinities; sizes that may be 0, or so
        small that their powers overflow, give 0.
        """
        least = min(size.lo for size in sizes)
        if least == 0 or not self.finite or not all(size.is_finite for size in sizes):
            return Element(0.0, INFINITY)
        bound = math.pow(len(sizes), 1 / order)
        result = self.library(form, sizes, bound * least * (1 - 2.0**-40), min(size.hi for size in sizes))
        return self.nonzero(form, sizes, Element(max(result.lo, 0.0), result.hi))

    def largest(self, form: Format, terms: Sequence[Element]) -> Element:
        """The maximum."""
        result = terms[0]
        for term in terms[1:]:
            result = self.maximum(form, result, term)
        return result

    def smallest(self, form: Format, terms: Sequence[Element]) -> Element:
        """The minimum."""
        result = terms[0]
        for term in terms[1:]:
            result = self.minimum(form, result, term)
        return result
