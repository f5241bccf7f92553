"""Initialization laws as symbols with exact scales, and the named schemes of papers and frameworks.

Every number here is exact: `sqrt(2/n)` stays `sqrt(2/n)`. Laws are symmetric about 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import sympy

from theorems.errors import InvalidInput, did_you_mean

__all__ = ["SCHEMES", "Initialization", "Law", "Normal", "TruncatedNormal", "Uniform", "Zero", "parse_initialization"]


@dataclass(frozen=True)
class Zero:
    """The law concentrated at 0."""

    @property
    def probability_nonpositive(self) -> sympy.Expr:
        """`P(value <= 0)`."""
        return sympy.Integer(1)

    @property
    def density_bound(self) -> None:
        """None: there is no density."""
        return None

    @property
    def mean_absolute(self) -> sympy.Expr:
        """`E|value|`."""
        return sympy.Integer(0)

    @property
    def variance(self) -> sympy.Expr:
        """`E value^2`."""
        return sympy.Integer(0)

    def __str__(self) -> str:
        return "zero"


class _SymmetricWithDensity:
    """What all symmetric laws with a density share."""

    @property
    def probability_nonpositive(self) -> sympy.Expr:
        """`P(value <= 0)`."""
        return sympy.Rational(1, 2)


@dataclass(frozen=True)
class Uniform(_SymmetricWithDensity):
    """Uniform on `(-half_width, half_width)`."""

    half_width: sympy.Expr

    @property
    def density_bound(self) -> sympy.Expr:
        """Supremum of the density."""
        return 1 / (2 * self.half_width)

    @property
    def mean_absolute(self) -> sympy.Expr:
        """`E|value|`."""
        return self.half_width / 2

    @property
    def variance(self) -> sympy.Expr:
        """`E value^2`."""
        return self.half_width**2 / 3

    def __str__(self) -> str:
        return f"uniform({self.half_width})"


@dataclass(frozen=True)
class Normal(_SymmetricWithDensity):
    """Centred normal with standard deviation `scale`."""

    scale: sympy.Expr

    @property
    def density_bound(self) -> sympy.Expr:
        """Supremum of the density."""
        return 1 / (self.scale * sympy.sqrt(2 * sympy.pi))

    @property
    def mean_absolute(self) -> sympy.Expr:
        """`E|value|`."""
        return self.scale * sympy.sqrt(2 / sympy.pi)

    @property
    def variance(self) -> sympy.Expr:
        """`E value^2`."""
        return self.scale**2

    def __str__(self) -> str:
        return f"normal({self.scale})"


@dataclass(frozen=True)
class TruncatedNormal(_SymmetricWithDensity):
    """Centred normal of standard deviation `scale` before truncation, conditioned on `|value| <= 2 scale`."""

    scale: sympy.Expr

    @property
    def density_bound(self) -> sympy.Expr:
        """Supremum of the density."""
        return 1 / (self.scale * sympy.sqrt(2 * sympy.pi) * sympy.erf(sympy.sqrt(2)))

    @property
    def mean_absolute(self) -> sympy.Expr:
        """`E|value|`."""
        return self.scale * sympy.sqrt(2 / sympy.pi) * (1 - sympy.exp(-2)) / sympy.erf(sympy.sqrt(2))

    @property
    def variance(self) -> sympy.Expr:
        """`E value^2`."""
        density_at_cut = sympy.exp(-2) / sympy.sqrt(2 * sympy.pi)
        return self.scale**2 * (1 - 4 * density_at_cut / sympy.erf(sympy.sqrt(2)))

    def __str__(self) -> str:
        return f"truncated_normal({self.scale})"


Law = Zero | Uniform | Normal | TruncatedNormal


@dataclass(frozen=True)
class Initialization:
    """A way to draw initial parameters, kept as the text that names it; build it with `parse_initialization`.

    Symbols: scheme = a key of SCHEMES, `uniform(c)` or `normal(sw, sb)`; bias = a law that replaces the scheme's.
    Orthogonal weights are not independent: they have no law of a single weight.
    """

    scheme: str
    bias: str | None = None

    def __post_init__(self) -> None:
        _scheme(self.scheme)
        if self.bias is not None:
            _bias_law(self.bias)

    @property
    def name(self) -> str:
        """What tables print."""
        return self.scheme if self.bias is None else f"{self.scheme}, bias {self.bias}"

    @property
    def independent(self) -> bool:
        """Whether all parameters are independent."""
        return _scheme(self.scheme)[0] is not None

    def weight_law(self, fan_in: int, fan_out: int) -> Law:
        """Law of each weight of a layer. Fails: InvalidInput for schemes without independent weights."""
        weight = _scheme(self.scheme)[0]
        if weight is None:
            raise InvalidInput(f"initialization {self.name!r} has no law of single weights: they are not independent")
        return weight(fan_in, fan_out)

    def bias_law(self, fan_in: int, fan_out: int) -> Law:
        """Law of each bias of a layer."""
        return _scheme(self.scheme)[1](fan_in, fan_out) if self.bias is None else _bias_law(self.bias)

    def __str__(self) -> str:
        return self.name


def _zero(fan_in: int, fan_out: int) -> Law:
    return Zero()


def _root(numerator: int, denominator: int) -> sympy.Expr:
    return sympy.sqrt(sympy.Rational(numerator, denominator))


# Flax and Keras divide by the standard deviation of the unit normal truncated at two standard deviations, as a decimal.
_TRUNCATION = sympy.Rational("0.87962566103423978")


def _pytorch(fan_in: int, fan_out: int) -> Law:
    return Uniform(_root(1, fan_in))


Scheme = tuple[Callable[[int, int], Law] | None, Callable[[int, int], Law], str]

SCHEMES: dict[str, Scheme] = {
    "pytorch": (_pytorch, _pytorch, "torch.nn.Linear's default: weights and biases uniform on ±1/sqrt(fan_in)"),
    "he_normal": (lambda i, o: Normal(_root(2, i)), _zero, "normal weights of variance 2/fan_in, zero biases"),
    "he_uniform": (lambda i, o: Uniform(_root(6, i)), _zero, "uniform weights of variance 2/fan_in, zero biases"),
    "glorot_normal": (
        lambda i, o: Normal(_root(2, i + o)),
        _zero,
        "normal weights of variance 2/(fan_in+fan_out), zero biases",
    ),
    "glorot_uniform": (
        lambda i, o: Uniform(_root(6, i + o)),
        _zero,
        "uniform weights of variance 2/(fan_in+fan_out), zero biases",
    ),
    "lecun_normal": (lambda i, o: Normal(_root(1, i)), _zero, "normal weights of variance 1/fan_in, zero biases"),
    "lecun_uniform": (lambda i, o: Uniform(_root(3, i)), _zero, "uniform weights of variance 1/fan_in, zero biases"),
    "keras": (
        lambda i, o: Uniform(_root(6, i + o)),
        _zero,
        "keras.layers.Dense's default: Glorot uniform, zero biases",
    ),
    "flax": (
        lambda i, o: TruncatedNormal(_root(1, i) / _TRUNCATION),
        _zero,
        "flax.linen.Dense's default: truncated LeCun normal, zero biases",
    ),
    "standard_normal": (
        lambda i, o: Normal(sympy.Integer(1)),
        lambda i, o: Normal(sympy.Integer(1)),
        "weights and biases standard normal",
    ),
    "orthogonal": (None, _zero, "orthogonal weight matrices (not independent), zero biases"),
}

_NUMBER = r"[0-9]{1,40}(?:\.[0-9]{1,40})?(?:/[0-9]{1,40})?"
_LAW = re.compile(rf"(zero|normal|uniform)(?:\(\s*({_NUMBER})\s*\))?")
_PAIR = re.compile(rf"(normal|uniform)\(\s*({_NUMBER})\s*(?:,\s*({_NUMBER})\s*)?\)")


def parse_initialization(text: str, bias: str | None = None) -> Initialization:
    """Read a scheme name, `uniform(c)` or `normal(sw, sb)`, and optionally a bias law that replaces the scheme's.

    `uniform(c)` draws weights and biases from one law, `normal(sw, sb)` weights and biases with their own standard
    deviations (`normal(sw)`: both the same). Numbers are exact: `0.1` is one tenth, `1/3` one third.
    Fails: InvalidInput for unknown names and scales that are not positive.
    """
    return Initialization(_without_spaces(text), None if bias is None else _without_spaces(bias))


def _without_spaces(text: str) -> str:
    return re.sub(r"\s+", "", text)


@lru_cache(maxsize=256)
def _scheme(text: str) -> tuple[Callable[[int, int], Law] | None, Callable[[int, int], Law]]:
    if text in SCHEMES:
        return SCHEMES[text][:2]
    match = _PAIR.fullmatch(text)
    if match is None or (match[1] == "uniform" and match[3] is not None):
        raise InvalidInput(
            f"initialization {text!r}: expected one of {', '.join(SCHEMES)}, uniform(c) or normal(sw, sb)"
            f"{did_you_mean(text, SCHEMES)}"
        )
    kind, first, second = match[1], _scale(match[2], text), _scale(match[3] or match[2], text)
    family = Normal if kind == "normal" else Uniform
    return (lambda i, o: family(first)), (lambda i, o: family(second))


def _bias_law(text: str) -> Law:
    match = _LAW.fullmatch(text)
    if match is None or (match[1] == "zero") != (match[2] is None):
        raise InvalidInput(f"bias law {text!r}: expected zero, normal(s) or uniform(c), such as uniform(0.1)")
    if match[1] == "zero":
        return Zero()
    scale = _scale(match[2], text)
    return Normal(scale) if match[1] == "normal" else Uniform(scale)


def _scale(text: str, whole: str) -> sympy.Expr:
    try:
        number, _, divisor = text.partition("/")
        value = Fraction(number) / Fraction(divisor or "1")
    except ZeroDivisionError:
        raise InvalidInput(f"law {whole!r}: {text} divides by zero") from None
    if value <= 0:
        raise InvalidInput(f"law {whole!r}: expected a positive scale, got {text}")
    return sympy.Rational(value.numerator, value.denominator)
