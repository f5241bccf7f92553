"""Laws against integrals of densities written down here, schemes against the frameworks that they are named after."""

from __future__ import annotations

import contextlib
import math
from fractions import Fraction

import mpmath
import pytest
import sympy
import torch

from theorems.errors import InvalidInput
from theorems.laws import SCHEMES, Law, Normal, TruncatedNormal, Uniform, Zero, parse_initialization

FANS = [(1, 3), (4, 7), (10, 10), (64, 2)]

# weight family and variance as functions of fan-in and fan-out; the bias family, and its variance (math §5, README of
# each framework): torch.nn.Linear, He et al., Glorot & Bengio, LeCun et al., keras.layers.Dense, flax.linen.Dense
FAMILIES = {
    "pytorch": ("uniform", lambda i, o: Fraction(1, 3 * i), "uniform"),
    "he_normal": ("normal", lambda i, o: Fraction(2, i), "zero"),
    "he_uniform": ("uniform", lambda i, o: Fraction(2, i), "zero"),
    "glorot_normal": ("normal", lambda i, o: Fraction(2, i + o), "zero"),
    "glorot_uniform": ("uniform", lambda i, o: Fraction(2, i + o), "zero"),
    "lecun_normal": ("normal", lambda i, o: Fraction(1, i), "zero"),
    "lecun_uniform": ("uniform", lambda i, o: Fraction(1, i), "zero"),
    "keras": ("uniform", lambda i, o: Fraction(2, i + o), "zero"),
    "flax": ("truncated", lambda i, o: Fraction(1, i), "zero"),
    "standard_normal": ("normal", lambda i, o: Fraction(1), "normal"),
}

CLASSES = {"uniform": Uniform, "normal": Normal, "truncated": TruncatedNormal, "zero": Zero}


def number(value: sympy.Expr | Fraction) -> mpmath.mpf:
    if isinstance(value, Fraction):
        return mpmath.mpf(value.numerator) / value.denominator
    return mpmath.mpf(str(sympy.N(value, 40)))


def moments(family: str, variance: mpmath.mpf) -> tuple[mpmath.mpf, mpmath.mpf, mpmath.mpf]:
    """Supremum of the density, mean of `|value|` and variance, from the density itself."""
    if family == "uniform":
        end = mpmath.sqrt(3 * variance)
        density = lambda t: 1 / (2 * end)  # noqa: E731
    elif family == "normal":
        end = mpmath.inf
        density = lambda t: mpmath.npdf(t, 0, mpmath.sqrt(variance))  # noqa: E731
    else:
        end = 2 * mpmath.sqrt(variance)  # here the variance before truncation
        mass = mpmath.quad(lambda t: mpmath.npdf(t, 0, end / 2), [-end, 0, end])
        density = lambda t: mpmath.npdf(t, 0, end / 2) / mass  # noqa: E731
    assert abs(mpmath.quad(density, [-end, 0, end]) - 1) < 1e-20
    absolute = 2 * mpmath.quad(lambda t: t * density(t), [0, end])
    second = 2 * mpmath.quad(lambda t: t * t * density(t), [0, end])
    highest = max(density(mpmath.mpf(0)), *(density(k * mpmath.sqrt(variance) / 7) for k in range(12)))
    return highest, absolute, second


def check_law(law: Law, family: str, variance: mpmath.mpf) -> None:
    assert type(law) is CLASSES[family]
    if family == "zero":
        assert law.density_bound is None
        assert (law.mean_absolute, law.variance, law.probability_nonpositive) == (0, 0, 1)
        return
    assert law.probability_nonpositive == sympy.Rational(1, 2)
    highest, absolute, second = moments(family, variance)
    assert law.density_bound is not None
    assert abs(number(law.density_bound) / highest - 1) < 1e-20
    assert abs(number(law.mean_absolute) / absolute - 1) < 1e-20
    assert abs(number(law.variance) / second - 1) < 1e-20


def test_the_table_covers_every_scheme() -> None:
    assert {*FAMILIES, "orthogonal"} == set(SCHEMES)


@pytest.mark.parametrize("scheme", FAMILIES)
@pytest.mark.parametrize("fans", FANS, ids=str)
def test_schemes_have_their_moments(scheme: str, fans: tuple[int, int]) -> None:
    family, variance_of, bias = FAMILIES[scheme]
    law, variance = parse_initialization(scheme), variance_of(*fans)
    assert law.independent
    with mpmath.workdps(30):
        if scheme == "flax":
            # jax.nn.initializers divides by .87962566103423978, the deviation of the truncated unit normal
            before = number(variance) / mpmath.mpf("0.87962566103423978") ** 2
            check_law(law.weight_law(*fans), family, before)
            assert abs(number(law.weight_law(*fans).variance) / number(variance) - 1) < 1e-15
        else:
            check_law(law.weight_law(*fans), family, number(variance))
        check_law(law.bias_law(*fans), bias, number(variance))


def test_scales_are_exact() -> None:
    assert parse_initialization("pytorch").weight_law(3, 9).half_width == 1 / sympy.sqrt(3)
    assert parse_initialization("he_normal").weight_law(3, 9).scale == sympy.sqrt(sympy.Rational(2, 3))
    assert parse_initialization("uniform(0.1)").weight_law(3, 9).half_width == sympy.Rational(1, 10)
    assert parse_initialization("normal(1/3, 0.25)").bias_law(3, 9).scale == sympy.Rational(1, 4)
    for scheme in FAMILIES:
        for law in (parse_initialization(scheme).weight_law(5, 6), parse_initialization(scheme).bias_law(5, 6)):
            for value in (law.density_bound, law.mean_absolute, law.variance):
                assert value is None or not sympy.sympify(value).has(sympy.Float)


def test_pytorch_constants_of_the_design_page() -> None:
    """`f = sqrt(n)/2`, `m = 1/(2 sqrt n)`, `s = 1/sqrt(3n)` (math §5, after T10)."""
    for n in (1, 3, 17):
        law = parse_initialization("pytorch").weight_law(n, 5)
        assert sympy.simplify(law.density_bound - sympy.sqrt(n) / 2) == 0
        assert sympy.simplify(law.mean_absolute - 1 / (2 * sympy.sqrt(n))) == 0
        assert sympy.simplify(law.variance - sympy.Rational(1, 3 * n)) == 0


# --- bias laws and parsing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "bias", "weight_law", "bias_law"),
    [
        ("he_normal", "zero", Normal(sympy.sqrt(sympy.Rational(1, 2))), Zero()),
        ("he_normal", "normal(0.5)", Normal(sympy.sqrt(sympy.Rational(1, 2))), Normal(sympy.Rational(1, 2))),
        ("keras", " uniform( 0.1 ) ", Uniform(sympy.sqrt(sympy.Rational(2, 3))), Uniform(sympy.Rational(1, 10))),
        ("pytorch", "zero", Uniform(sympy.Rational(1, 2)), Zero()),
        ("uniform(3)", None, Uniform(sympy.Integer(3)), Uniform(sympy.Integer(3))),
        ("uniform(3/4)", "zero", Uniform(sympy.Rational(3, 4)), Zero()),
        ("normal(2)", None, Normal(sympy.Integer(2)), Normal(sympy.Integer(2))),
        ("normal(2, 0.5)", None, Normal(sympy.Integer(2)), Normal(sympy.Rational(1, 2))),
        (" normal( 1/3 ,2.50/5)", None, Normal(sympy.Rational(1, 3)), Normal(sympy.Rational(1, 2))),
        ("normal(2, 0.5)", "uniform(1)", Normal(sympy.Integer(2)), Uniform(sympy.Integer(1))),
    ],
)
def test_accepted(text: str, bias: str | None, weight_law: Law, bias_law: Law) -> None:
    initialization = parse_initialization(text, bias)
    assert initialization.weight_law(4, 5) == weight_law
    assert initialization.bias_law(4, 5) == bias_law


REJECTED = [
    "",
    "he",
    "He_normal",
    "uniform",
    "uniform()",
    "uniform(0)",
    "uniform(0.0)",
    "uniform(-1)",
    "uniform(1,2)",
    "uniform(1/0)",
    "uniform(1e-3)",
    "uniform(.5)",
    "uniform(nan)",
    "uniform(inf)",
    "uniform(١)",
    "normal",
    "normal(1,0)",
    "normal(0/5,1)",
    "normal(1,2,3)",
    "normal(1;2)",
    "zero",
    "pytorch()",
    "uniform(1)x",
    "uniform(2",
]


@pytest.mark.parametrize("text", REJECTED)
def test_rejected(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_initialization(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "bias",
    ["", "normal", "uniform", "zero(1)", "normal(0)", "normal(1,2)", "uniform(-1)", "uniform(1/0)", "pytorch", "one"],
)
def test_rejected_biases(bias: str) -> None:
    with pytest.raises(InvalidInput):
        parse_initialization("he_normal", bias)


def test_a_misspelled_scheme_is_told_its_neighbour() -> None:
    with pytest.raises(InvalidInput, match="did you mean 'he_normal'"):
        parse_initialization("he_nromal")


def test_a_number_too_long_for_python_is_an_input_error() -> None:
    """Python refuses to read more than 4300 digits; the user may hear it, as every other mistake, or be served."""
    with contextlib.suppress(InvalidInput):
        parse_initialization("uniform(1" + "0" * 5000 + ")")


def test_orthogonal_weights_have_no_law_of_a_single_weight() -> None:
    initialization = parse_initialization("orthogonal")
    assert not initialization.independent
    with pytest.raises(InvalidInput, match="not independent"):
        initialization.weight_law(3, 3)
    assert initialization.bias_law(3, 3) == Zero()
    assert parse_initialization("orthogonal", "uniform(1)").bias_law(3, 3) == Uniform(sympy.Integer(1))


# --- against torch ---------------------------------------------------------------------------------------------------
# N values: a uniform law stays below (1 - 60/N) of its bound with probability e^-60; the sample variance of a uniform
# or normal law is off by a factor 1 ± 7 sqrt(2/N) with probability below 1e-11.


def check_sample(values: torch.Tensor, law: Law) -> None:
    n = values.numel()
    sample = values.detach().to(torch.float64).flatten()
    if isinstance(law, Zero):
        assert bool((sample == 0).all())
        return
    variance = float(number(law.variance))
    assert abs(float((sample**2).mean()) / variance - 1) < 7 * math.sqrt(2 / n)
    assert abs(float(sample.mean())) < 7 * math.sqrt(variance / n)
    assert abs(float(sample.abs().mean()) / float(number(law.mean_absolute)) - 1) < 7 / math.sqrt(n)
    if isinstance(law, Uniform):
        bound = float(number(law.half_width))
        largest = float(sample.abs().max())
        assert bound * (1 - 60 / n) <= largest <= bound * (1 + 2**-22)
    elif isinstance(law, Normal):
        # 68.27 % within one deviation; a uniform or truncated law of this variance has 57.7 % or 62.9 %
        share = float((sample.abs() <= math.sqrt(variance)).to(torch.float64).mean())
        assert abs(share - math.erf(math.sqrt(0.5))) < 7 * 0.5 / math.sqrt(n)


@pytest.mark.parametrize("fans", [(50, 3000), (7, 20000)], ids=str)
def test_the_default_of_torch_linear_is_the_scheme_pytorch(fans: tuple[int, int]) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        layer = torch.nn.Linear(*fans)
    check_sample(layer.weight, parse_initialization("pytorch").weight_law(*fans))
    check_sample(layer.bias, parse_initialization("pytorch").bias_law(*fans))


@pytest.mark.parametrize(
    ("scheme", "fill"),
    [
        ("he_normal", lambda w, g: torch.nn.init.kaiming_normal_(w, nonlinearity="relu", generator=g)),
        ("he_uniform", lambda w, g: torch.nn.init.kaiming_uniform_(w, nonlinearity="relu", generator=g)),
        ("glorot_normal", lambda w, g: torch.nn.init.xavier_normal_(w, generator=g)),
        ("glorot_uniform", lambda w, g: torch.nn.init.xavier_uniform_(w, generator=g)),
        ("keras", lambda w, g: torch.nn.init.xavier_uniform_(w, generator=g)),
        ("lecun_normal", lambda w, g: torch.nn.init.kaiming_normal_(w, nonlinearity="linear", generator=g)),
        ("lecun_uniform", lambda w, g: torch.nn.init.kaiming_uniform_(w, nonlinearity="linear", generator=g)),
        ("standard_normal", lambda w, g: torch.nn.init.normal_(w, generator=g)),
    ],
)
def test_schemes_match_torch_init(scheme: str, fill: object) -> None:
    fan_in, fan_out = 150, 800
    weight = torch.empty(fan_out, fan_in)
    fill(weight, torch.Generator().manual_seed(2))  # type: ignore[operator]
    check_sample(weight, parse_initialization(scheme).weight_law(fan_in, fan_out))


def test_flax_is_the_truncated_normal_of_torch() -> None:
    """`trunc_normal_` with the deviation before truncation and cut at two of them."""
    fan_in, fan_out = 150, 800
    law = parse_initialization("flax").weight_law(fan_in, fan_out)
    scale = float(number(law.scale))
    weight = torch.empty(fan_out, fan_in)
    torch.nn.init.trunc_normal_(weight, 0.0, scale, -2 * scale, 2 * scale, generator=torch.Generator().manual_seed(3))
    check_sample(weight, law)


def test_the_sample_check_notices_a_wrong_scheme() -> None:
    fan_in, fan_out = 150, 800
    weight = torch.nn.init.kaiming_normal_(torch.empty(fan_out, fan_in), generator=torch.Generator().manual_seed(2))
    for wrong in ("he_uniform", "glorot_normal", "lecun_normal", "flax", "pytorch"):
        with pytest.raises(AssertionError):
            check_sample(weight, parse_initialization(wrong).weight_law(fan_in, fan_out))
