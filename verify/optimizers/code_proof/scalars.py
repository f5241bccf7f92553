"""Python numbers of which only a range is known: step counters, and what `.item()` gives.

They are subclasses of torch's symbolic numbers, so that torch accepts them wherever it takes a number and hands them on
to the interpreter. A comparison is answered by the current path; a conversion to a plain number is refused unless only
a few whole numbers are possible, each of which is then tried.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import torch

from verify.optimizers.code_proof.element import INFINITY, ONE, Element, format_of, key_of
from verify.optimizers.code_proof.paths import Path, current_path
from verify.optimizers.code_proof.plain import max, min
from verify.optimizers.code_proof.refusal import ImpossiblePath, NoProof

__all__ = ["AbstractFloat", "AbstractInteger", "ScalarNode", "abstract_math", "number_element", "to_number"]

DOUBLE = format_of(torch.float64)
# Whole numbers that an optimizer keeps, such as step counters, are taken to stay below this in size: a condition of
# every claim.
LARGEST_COUNT = 2.0**53
FEW = 16


class ScalarNode:
    """What is known of a number: whole or not, its range, and its key. torch calls `guard_*` to learn its value."""

    def __init__(self, whole: bool, lo: float, hi: float, nan: bool, key: int) -> None:
        self.whole, self.lo, self.hi, self.nan, self.key = whole, lo, hi, nan, key

    def range(self) -> tuple[float, float, bool]:
        """The range, narrowed by the answers on the current path."""
        known = current_path().known.get(self.key)
        if known is None:
            return self.lo, self.hi, self.nan
        lo, hi, nan = max(self.lo, known[0]), min(self.hi, known[1]), self.nan and known[2]
        if lo > hi and not nan:
            raise ImpossiblePath
        return (lo, hi, nan) if lo <= hi else (-INFINITY, INFINITY, True)

    def element(self) -> Element:
        """The number as an element."""
        lo, hi, nan = self.range()
        if self.whole:
            return Element(_outward(lo, -1), _outward(hi, 1), False, None, self.key)
        return Element(float(lo), float(hi), nan, None, self.key)

    def is_int(self) -> bool:
        """For torch."""
        return self.whole

    def is_float(self) -> bool:
        """For torch."""
        return not self.whole

    def is_bool(self) -> bool:
        """For torch."""
        return False

    def is_symbolic(self) -> bool:
        """For torch."""
        return True

    def is_constant(self) -> bool:
        """For torch."""
        return False

    def is_nested_int(self) -> bool:
        """For torch."""
        return False

    def maybe_as_int(self) -> None:
        """For torch."""

    def maybe_as_float(self) -> None:
        """For torch."""

    def has_hint(self) -> bool:
        """For torch."""
        return False

    def _refuse(self, *_: object) -> NoReturn:
        raise NoProof("an unknown number is turned into a plain one inside torch")

    guard_int = guard_float = guard_bool = guard_size_oblivious = expect_true = int_ = bool_ = _refuse


def _outward(number: float, side: int) -> float:
    """A whole number as a float, rounded outward."""
    try:
        rounded = float(number)
    except OverflowError:
        rounded = INFINITY if number > 0 else -INFINITY
        return rounded if (number > 0) == (side > 0) else math.nextafter(rounded, 0.0)
    return rounded if rounded == number else math.nextafter(rounded, side * INFINITY)


def _constant_key(number: float) -> int:
    return key_of(("python", type(number).__name__, number))


def _node(value: object) -> ScalarNode | None:
    """The node of a number, or None for anything else."""
    found = getattr(value, "node", None)
    if isinstance(found, ScalarNode):
        return found
    if isinstance(value, bool | int):
        return ScalarNode(True, int(value), int(value), False, _constant_key(int(value)))
    if isinstance(value, float):
        if math.isnan(value):
            return ScalarNode(False, -INFINITY, INFINITY, True, key_of(("python", "nan")))
        return ScalarNode(False, value, value, False, _constant_key(value))
    return None


def to_number(node: ScalarNode) -> Any:
    """A plain number if only one is possible (and no zero, whose sign is unknown), else an abstract one."""
    lo, hi, nan = node.range()
    if lo == hi and not nan and not (math.isinf(lo) and node.whole) and (node.whole or lo != 0):
        return int(lo) if node.whole else float(lo)
    return AbstractInteger(node) if node.whole else AbstractFloat(node)


def number_element(value: object) -> Element | None:
    """A Python number, plain or abstract, as an element; None for anything else."""
    node = getattr(value, "node", None)
    if isinstance(node, ScalarNode):
        return node.element()
    if isinstance(value, float):
        return Element(-INFINITY, INFINITY, True) if math.isnan(value) else Element(value, value)
    if isinstance(value, bool | int):
        try:
            number = float(value)
        except OverflowError:
            return Element(-INFINITY, INFINITY)
        if number == value:
            return Element(number, number)
        return Element(math.nextafter(number, -INFINITY), math.nextafter(number, INFINITY))
    return None


def _operation(name: str, whole: bool, first: ScalarNode, second: ScalarNode) -> Any:
    """Apply a binary operation."""
    key = key_of((name, first.whole, second.whole, first.key, second.key))
    if whole:
        lo, hi = _whole_range(name, first, second)
        return to_number(ScalarNode(True, lo, hi, False, key))
    arithmetic = current_path().arithmetic
    x, y = first.element(), second.element()
    if DOUBLE is None:
        raise NoProof("no double precision")
    if name in ("truediv", "mod", "floordiv") and y.may_be_zero:
        raise NoProof("a Python division by a number that may be 0")
    if name == "pow":
        if x.lo < 0 and not (y.is_constant and y.lo.is_integer()):
            raise NoProof("a Python power of a number that may be negative")
        if x.may_be_zero and y.lo < 0:
            raise NoProof("a Python negative power of a number that may be 0")
        exact = arithmetic.power(DOUBLE, x, y)
        # Python's power is a library function even where torch multiplies or takes a root.
        result = (
            exact if y == ONE or y.is_zero else arithmetic.library(DOUBLE, (x, y), exact.lo, exact.hi, nan=exact.nan)
        )
        if result.may_be_infinite and not (x.may_be_infinite or y.may_be_infinite):
            raise NoProof("a Python power may overflow")
    elif name == "mod":
        result = arithmetic.remainder(DOUBLE, x, y)
        result = Element(min(result.lo, 0.0), max(result.hi, 0.0), result.nan)
    elif name == "floordiv":
        quotient = arithmetic.div(DOUBLE, x, y)
        # The floor may be taken of the exact quotient, or of the rounded one.
        nan = quotient.nan or x.may_be_infinite
        result = Element(_floor(quotient.lo) - 1, _floor(quotient.hi) + 1, nan)
    else:
        method = {"add": arithmetic.add, "sub": arithmetic.sub, "mul": arithmetic.mul, "truediv": arithmetic.div}[name]
        result = method(DOUBLE, x, y)
    return to_number(ScalarNode(False, result.lo, result.hi, result.nan, key))


def _floor(number: float) -> float:
    return number if math.isinf(number) else float(math.floor(number))


def _times(x: float, y: float) -> float:
    return 0 if x == 0 or y == 0 else x * y


def _whole_range(name: str, first: ScalarNode, second: ScalarNode) -> tuple[float, float]:
    """The range of a whole-number operation, exactly."""
    (a, b, _), (c, d, _) = first.range(), second.range()
    if name == "add":
        return a + c, b + d
    if name == "sub":
        return a - d, b - c
    if name == "mul":
        ends = [_times(x, y) for x in (a, b) for y in (c, d)]
        return min(ends), max(ends)
    if c <= 0 <= d and name in ("mod", "floordiv"):
        raise NoProof("a Python division by a number that may be 0")
    if name == "mod" and c > 0:
        if b < c and a >= 0:
            return a, b
        return 0, d - 1
    if name == "floordiv" and c > 0:
        ends = [_quotient(x, y) for x in (a, b) for y in (c, d)]
        return min(ends), max(ends)
    if name == "pow" and a >= 0 and c >= 0 and not math.isinf(d) and d < 64:
        return (a**c if a >= 1 else 0), max(b**d, 1)
    return -INFINITY, INFINITY


def _quotient(x: float, y: float) -> float:
    if math.isinf(y):
        return 0 if x >= 0 else -1
    return x if math.isinf(x) else x // y


def _before(number: float, whole: bool) -> float:
    return number - 1 if whole else math.nextafter(number, -INFINITY)


def _after(number: float, whole: bool) -> float:
    return number + 1 if whole else math.nextafter(number, INFINITY)


def _is_less(first: ScalarNode, second: ScalarNode, strict: bool) -> bool:
    """Answer `first < second` (or `<=`), and remember what the answer says."""
    (a, b, nan1), (c, d, nan2) = first.range(), second.range()
    nan, whole = nan1 or nan2, first.whole and second.whole
    if (b < c or (not strict and b <= c)) and not nan:
        return True
    if a > d or (strict and a >= d):
        return False
    path = current_path()
    if path.choose(2, ("less", strict, first.key, second.key)) == 0:
        path.narrow(first.key, a, min(b, _before(d, whole) if strict else d), False)
        path.narrow(second.key, max(c, _after(a, whole) if strict else a), d, False)
        return True
    if not nan2:
        path.narrow(first.key, max(a, c if strict else _after(c, whole)), b, nan1)
    if not nan1:
        path.narrow(second.key, c, min(d, b if strict else _before(b, whole)), nan2)
    return False


def _is_equal(first: ScalarNode, second: ScalarNode) -> bool:
    """Answer `first == second`, and remember what the answer says."""
    (a, b, nan1), (c, d, nan2) = first.range(), second.range()
    if b < c or d < a:
        return False
    if a == b == c == d and not (nan1 or nan2):
        return True
    path = current_path()
    if path.choose(2, ("equal", *sorted((first.key, second.key)))) == 0:
        for node in (first, second):
            path.narrow(node.key, max(a, c), min(b, d), False)
        return True
    for node, (lo, hi, nan), (other_lo, other_hi, _) in (
        (first, (a, b, nan1), (c, d, nan2)),
        (second, (c, d, nan2), (a, b, nan1)),
    ):
        if other_lo == other_hi:
            path.narrow(
                node.key,
                _after(lo, node.whole) if lo == other_lo else lo,
                _before(hi, node.whole) if hi == other_lo else hi,
                nan,
            )
    return False


def _binary(name: str) -> Callable[[Any, object], Any]:
    def method(self: Any, other: object) -> Any:
        second = _node(other)
        if second is None:
            return NotImplemented
        return _operation(name, _stays_whole(name, self.node, second), self.node, second)

    return method


def _reflected(name: str) -> Callable[[Any, object], Any]:
    def method(self: Any, other: object) -> Any:
        first = _node(other)
        if first is None:
            return NotImplemented
        return _operation(name, _stays_whole(name, first, self.node), first, self.node)

    return method


def _stays_whole(name: str, first: ScalarNode, second: ScalarNode) -> bool:
    if name == "pow" and first.whole and second.whole and second.range()[0] < 0:
        if second.range()[1] >= 0:
            raise NoProof("a whole number to a power that may be negative is an int or a float")
        return False
    return first.whole and second.whole and name != "truediv"


class _Number:
    """The operators of an abstract number."""

    node: ScalarNode

    __add__, __radd__ = _binary("add"), _reflected("add")
    __sub__, __rsub__ = _binary("sub"), _reflected("sub")
    __mul__, __rmul__ = _binary("mul"), _reflected("mul")
    __truediv__, __rtruediv__ = _binary("truediv"), _reflected("truediv")
    __floordiv__, __rfloordiv__ = _binary("floordiv"), _reflected("floordiv")
    __mod__, __rmod__ = _binary("mod"), _reflected("mod")
    __pow__, __rpow__ = _binary("pow"), _reflected("pow")

    def _compare(self, other: object, answer: Callable[[ScalarNode, ScalarNode], bool]) -> Any:
        second = _node(other)
        return NotImplemented if second is None else answer(self.node, second)

    def __lt__(self, other: object) -> Any:
        return self._compare(other, lambda x, y: _is_less(x, y, True))

    def __le__(self, other: object) -> Any:
        return self._compare(other, lambda x, y: _is_less(x, y, False))

    def __gt__(self, other: object) -> Any:
        return self._compare(other, lambda x, y: _is_less(y, x, True))

    def __ge__(self, other: object) -> Any:
        return self._compare(other, lambda x, y: _is_less(y, x, False))

    def __eq__(self, other: object) -> Any:
        return self._compare(other, _is_equal)

    def __ne__(self, other: object) -> Any:
        return self._compare(other, lambda x, y: not _is_equal(x, y))

    def __hash__(self) -> int:
        raise NoProof("an unknown number is used as a key")

    def __bool__(self) -> bool:
        return not _is_equal(self.node, _zero())

    def __neg__(self) -> Any:
        return _operation("sub", self.node.whole, _zero(), self.node)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        lo, hi, nan = self.node.range()
        least = 0 if lo <= 0 <= hi else min(abs(lo), abs(hi))
        key = key_of(("abs", self.node.key))
        return to_number(ScalarNode(self.node.whole, least, max(abs(lo), abs(hi)), nan, key))

    def _rounded(self, name: str, function: Callable[[float], int]) -> Any:
        if self.node.whole:
            return self
        lo, hi, nan = self.node.range()
        if nan or math.isinf(lo) or math.isinf(hi):
            raise NoProof("a number that may be NaN or infinite is rounded to a whole one")
        return to_number(ScalarNode(True, function(lo), function(hi), False, key_of((name, self.node.key))))

    def __floor__(self) -> Any:
        return self._rounded("floor", math.floor)

    def __ceil__(self) -> Any:
        return self._rounded("ceil", math.ceil)

    def __trunc__(self) -> Any:
        return self._rounded("trunc", math.trunc)

    def __round__(self, ndigits: int | None = None) -> Any:
        if ndigits is None:
            return self._rounded("round", round)
        raise NoProof("an unknown number is rounded to some digits")

    def is_integer(self) -> bool:
        """As of a float."""
        if self.node.whole:
            return True
        raise NoProof("an unknown number is asked whether it is whole")

    def _plain(self) -> int:
        """One of the few whole numbers that it can be; every one is tried, on a path of its own."""
        whole = self._rounded("trunc", math.trunc)
        if not isinstance(whole, _Number):
            return int(whole)
        lo, hi, _ = whole.node.range()
        if lo == hi:
            return int(lo)
        if hi - lo >= FEW:
            raise NoProof("an unknown number is turned into a plain whole number")
        value = int(lo) + current_path().choose(int(hi - lo) + 1, ("value", whole.node.key, lo, hi))
        current_path().narrow(whole.node.key, value, value, False)
        return value

    def __int__(self) -> int:
        return self._plain()

    def __index__(self) -> int:
        if not self.node.whole:
            raise TypeError("a float cannot be interpreted as an integer")
        return self._plain()

    def __float__(self) -> float:
        lo, hi, nan = self.node.range()
        if lo == hi and lo != 0 and not nan:
            return float(lo)
        raise NoProof("an unknown number is turned into a plain float")

    def __repr__(self) -> str:
        raise NoProof("an unknown number is written out as text")

    __str__ = __repr__

    def __format__(self, _: str) -> str:
        raise NoProof("an unknown number is written out as text")

    def __deepcopy__(self, _: object) -> Any:
        return self

    def __reduce_ex__(self, _: object) -> NoReturn:
        raise NoProof("an unknown number is pickled")


def _refused(name: str) -> property:
    def refuse(_: object) -> NoReturn:
        raise NoProof(f"`{name}` of an unknown number")

    return property(refuse)


# What plain numbers can do beyond this must not fail here: the optimizer may catch the failure.
for _name in {*dir(int), *dir(float)} - set(dir(_Number)):
    setattr(_Number, _name, _refused(_name))


def _zero() -> ScalarNode:
    return ScalarNode(True, 0, 0, False, _constant_key(0))


class AbstractFloat(_Number, torch.SymFloat):
    """A Python float of which a range is known. `isinstance(x, float)` holds, as in the program."""

    __class__ = property(lambda self: float)

    def __init__(self, node: ScalarNode) -> None:
        torch.SymFloat.__init__(self, node)  # type: ignore[no-untyped-call]

    __hash__ = _Number.__hash__


class AbstractInteger(_Number, torch.SymInt):
    """A Python int of which a range is known. `isinstance(x, int)` holds, as in the program."""

    __class__ = property(lambda self: int)

    def __init__(self, node: ScalarNode) -> None:
        torch.SymInt.__init__(self, node)  # type: ignore[no-untyped-call]

    __hash__ = _Number.__hash__


_ABSTRACT = frozenset({AbstractFloat, AbstractInteger})


def _unary(name: str, value: Any, rule: Callable[[Path, Element], Element]) -> Any:
    node = _node(value)
    if node is None:
        raise NoProof(f"math.{name} of something that is no number")
    result = rule(current_path(), node.element())
    if name in ("exp", "expm1") and result.hi == INFINITY:
        raise NoProof(f"math.{name} may overflow")
    return to_number(ScalarNode(False, result.lo, result.hi, result.nan, key_of((name, node.whole, node.key))))


def _sqrt(path: Path, x: Element) -> Element:
    if x.lo < 0:
        raise NoProof("math.sqrt of a number that may be negative")
    return path.arithmetic.sqrt(_double(), x)


def _double() -> Any:
    return DOUBLE


def _logarithm(function: Callable[[float], float], pole: float) -> Callable[[Path, Element], Element]:
    def rule(path: Path, x: Element) -> Element:
        if x.lo <= pole:
            raise NoProof("a logarithm of a number that may be 0 or negative")
        return path.arithmetic.logarithm(_double(), x, function, pole)

    return rule


def _grows(function: Callable[[float], float], lowest: float, highest: float) -> Callable[[Path, Element], Element]:
    return lambda path, x: path.arithmetic.increasing(_double(), x, function, lowest, highest)


_FUNCTIONS: dict[str, Callable[[Path, Element], Element]] = {
    "sqrt": _sqrt,
    "exp": _grows(math.exp, 0.0, INFINITY),
    "expm1": _grows(math.expm1, -1.0, INFINITY),
    "tanh": _grows(math.tanh, -1.0, 1.0),
    "atan": _grows(math.atan, -math.pi / 2, math.pi / 2),
    "erf": _grows(math.erf, -1.0, 1.0),
    "log": _logarithm(math.log, 0.0),
    "log2": _logarithm(math.log2, 0.0),
    "log10": _logarithm(math.log10, 0.0),
    "log1p": _logarithm(math.log1p, -1.0),
    "cos": lambda path, x: path.arithmetic.bounded(_double(), x, -1.0, 1.0),
    "sin": lambda path, x: path.arithmetic.bounded(_double(), x, -1.0, 1.0),
    "fabs": lambda path, x: path.arithmetic.absolute(_double(), x),
}


def _question(name: str) -> Callable[[Any], bool]:
    """math.isnan, isinf and isfinite: both answers where both are possible."""

    def ask(value: Any) -> bool:
        node = _node(value)
        if node is None:
            raise NoProof(f"math.{name} of something that is no number")
        lo, hi, nan = node.range()
        infinite = not node.whole and (lo == -INFINITY or hi == INFINITY)
        possible = {"isnan": nan, "isinf": infinite, "isfinite": nan or infinite}[name]
        if not possible:
            return name == "isfinite"
        answer = current_path().choose(2, (name, node.key)) == 0
        if answer == (name == "isfinite"):
            path = current_path()
            if name == "isnan":
                path.narrow(node.key, lo, hi, False)
            elif name == "isfinite":
                largest = math.nextafter(INFINITY, 0)
                path.narrow(node.key, max(lo, -largest), min(hi, largest), False)
        return answer

    return ask


@contextmanager
def abstract_math() -> Iterator[None]:
    """Let the functions of the math module, max and min take abstract numbers as well, and refuse `id` of them."""
    saved = {name: getattr(math, name) for name in (*_FUNCTIONS, "isnan", "isinf", "isfinite", "pow")}
    choices = {name: getattr(builtins, name) for name in ("max", "min", "id")}
    for name, function in saved.items():
        setattr(math, name, _extended(name, function))
    for name, function in choices.items():
        setattr(builtins, name, _identity(function) if name == "id" else _choosing(name, function))
    try:
        yield
    finally:
        for name, function in choices.items():
            setattr(builtins, name, function)
        for name, function in saved.items():
            setattr(math, name, function)


def _identity(function: Callable[[object], int]) -> Callable[[object], int]:
    def identity(value: object, /) -> int:
        if isinstance(value, _Number):
            raise NoProof("the identity of an unknown number is asked for")
        return function(value)

    return identity


def _any_abstract(values: tuple[Any, ...]) -> bool:
    return not _ABSTRACT.isdisjoint(map(type, values))


def _choosing(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Max and min without a branch: `max(x, y)` of Python is y where y > x, else x."""

    def choosing(*values: Any, **options: Any) -> Any:
        if options or len(values) < 2 or not _any_abstract(values):
            return function(*values, **options)
        result = values[0]
        for value in values[1:]:
            result = _chosen(name, result, value)
        return result

    return choosing


def _chosen(name: str, x: Any, y: Any) -> Any:
    first, second = _node(x), _node(y)
    if first is None or second is None:
        raise NoProof(f"{name} of an unknown number and something that is no number")
    (a, b, nan), (c, d, other_nan) = first.range(), second.range()
    if (a >= d) if name == "max" else (b <= c):  # y is not beyond x, whether one of them is NaN or not
        return x
    if not (nan or other_nan) and ((c > b) if name == "max" else (d < a)):
        return y
    if first.whole != second.whole:  # an int or a float comes out: two ways to go on
        turned = (first, second) if name == "max" else (second, first)
        return y if _is_less(*turned, True) else x
    whole = first.whole
    # Where y is NaN the result is x; where x is NaN it is x as well.
    if name == "max":
        lo, hi = (a if a > c or other_nan else c), (b if b > d else d)
    else:
        lo, hi = (a if a < c else c), (b if b < d or other_nan else d)
    return to_number(ScalarNode(whole, lo, hi, nan, key_of((name, first.key, second.key))))


def _extended(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def extended(*values: Any) -> Any:
        if len(values) == 1 and type(values[0]) in (int, float):
            return function(*values)
        values = tuple(value.item() if isinstance(value, torch.Tensor) else value for value in values)
        if not _any_abstract(values):
            return function(*values)
        if name == "pow":
            base, exponent = values
            return (base if isinstance(base, _Number) else float(base)) ** exponent * 1.0
        if name in _FUNCTIONS:
            if len(values) != 1:
                raise NoProof(f"math.{name} with two arguments")
            return _unary(name, values[0], _FUNCTIONS[name])
        return _question(name)(values[0])

    return extended
