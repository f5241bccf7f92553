"""Multiples of a parameter that an optimizer keeps, side conditions on poles, and gradients with a graph.

Every planted optimizer that cheats in one of these ways must not be proved.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.optim import Optimizer

from theorems.hypotheses import Property
from verify.optimizers.code_proof import CodeProof, prove_on_code
from verify.optimizers.code_proof.arithmetic import Arithmetic, rebased
from verify.optimizers.code_proof.element import (
    INFINITY,
    ZERO,
    Element,
    Format,
    Multiple,
    element_of,
    format_of,
    fresh_key,
    identifier_of,
    key_of_value,
    widened,
)
from verify.optimizers.code_proof.heap import Contents, names_included, names_joined
from verify.optimizers.code_proof.interpreter import Interpreter
from verify.optimizers.code_proof.paths import Path, following
from verify.optimizers.code_proof.tensor import AbstractTensor
from verify.optimizers.code_proof.trial import start_value

F, FB, S, D, SS, SL, DJ, DW = (Property[name] for name in ("F", "FB", "S", "D", "SS", "SL", "DJ", "DW"))


def form_for(dtype: torch.dtype) -> Format:
    form = format_of(dtype)
    assert form is not None
    return form


DOUBLE, SINGLE, HALF = (form_for(each) for each in (torch.float64, torch.float32, torch.float16))


# --- factors in exact arithmetic -------------------------------------------------------------------------------------


def scalar(rng: random.Random) -> tuple[Fraction, Element]:
    """A number, and an element with a key that contains it."""
    value, other = (rng.choice([-2.0, -0.5, 0.0, 0.25, 0.5, 1.0, 3.0]) for _ in range(2))
    if rng.random() < 0.4:
        return Fraction(value), Element(value, value)
    return Fraction(value), Element(min(value, other), max(value, other), False, None, fresh_key())


Number = tuple[Fraction, Element]


def combined(rng: random.Random, arithmetic: Arithmetic, pool: list[Number], scalars: list[Number]) -> Number:
    """A multiple made of others, with its factor in exact arithmetic."""
    (a, x), (b, y), (c, s) = rng.choice(pool), rng.choice(pool), rng.choice(scalars)
    kind = rng.choice(["add", "sub", "mul", "div", "lerp", "neg", "join"])
    if kind == "add":
        return a + b, arithmetic.add(DOUBLE, x, y)
    if kind == "sub":
        return a - b, arithmetic.sub(DOUBLE, x, y)
    if kind == "mul":
        return a * c, arithmetic.mul(DOUBLE, x, s)
    if kind == "div":
        return (a, x) if s.may_be_zero else (a / c, arithmetic.div(DOUBLE, x, s))
    if kind == "neg":
        return -a, arithmetic.neg(DOUBLE, x)
    if kind == "join":
        return a, widened(x, y, (-1e300, 1e300))
    return (1 - c) * a + c * b, arithmetic.lerp(DOUBLE, x, y, s)


def assert_factors(pool: list[tuple[Fraction, Multiple | None]]) -> None:
    named: dict[int, Fraction] = {}
    for factor, link in pool:
        if link is not None:
            assert link.low <= factor <= link.high, (factor, link)
            assert not link.same or factor == 1
            if link.key is not None:
                assert named.setdefault(link.key, factor) == factor, (factor, link)


@given(st.integers(0, 2**32))
@settings(max_examples=80)
def test_factors_are_contained_and_names_mean_equality(seed: int) -> None:
    rng, arithmetic = random.Random(seed), Arithmetic(finite=True)
    pool: list[Number] = [(Fraction(1), start_value(DOUBLE, 0)), (Fraction(0), ZERO)]
    scalars = [scalar(rng) for _ in range(3)]
    for _ in range(8):
        pool.append(combined(rng, arithmetic, pool, scalars))
    links = [(factor, element.link) for factor, element in pool]
    assert_factors(links)
    new_factor, new = rng.choice([each for each in links if each[1] is not None])
    after = []
    for factor, link in links:
        made = None if link is None else rebased(link, new)
        if made is not None:
            ratio = Fraction(1) if new_factor == 0 else factor / new_factor
            assert factor == ratio * new_factor
            after.append((ratio, made))
    assert_factors(after)


def test_a_ratio_is_lost_where_it_may_not_exist() -> None:
    half = Multiple(0, Fraction(1, 2), Fraction(1, 2), key_of_value(Fraction(1, 2)), False)
    perhaps_zero = Multiple(0, Fraction(0), Fraction(1), fresh_key(), False)
    assert rebased(half, perhaps_zero) is None
    assert rebased(half, None) is None
    same = rebased(perhaps_zero, perhaps_zero)
    assert same is not None
    assert (same.low, same.high, same.same) == (1, 1, False)
    twice = rebased(start_value(DOUBLE, 0).link or half, half)
    assert twice is not None
    assert (twice.low, twice.high, twice.key, twice.same) == (2, 2, key_of_value(Fraction(2)), False)
    unbounded = rebased(half, Multiple(0, Fraction(1, 4), INFINITY, None, False))
    assert unbounded is not None
    assert (unbounded.low, unbounded.high) == (0, 2)


def multiple(low: float, high: float, key: int | None) -> Element:
    return Element(-1e308, 1e308, False, Multiple(0, Fraction(low), Fraction(high), key, False))


def test_names_of_factors_survive_only_where_both_states_have_them() -> None:
    a, b, c = fresh_key(), fresh_key(), fresh_key()
    ends = (-1e308, 1e308)
    equal = [Contents(ends, (multiple(1, 1, a), multiple(1, 1, a), multiple(1, 1, a)))]
    pairs = [Contents(ends, (multiple(1, 2, b), multiple(1, 2, b), multiple(1, 2, c)))]
    joined = [one.joined(two, widen=True) for one, two in zip(equal, pairs, strict=True)]
    first, second, third = (
        element.link.key for element in names_joined(joined, equal, pairs, 1)[0].elements if element.link
    )
    assert first is not None
    assert first == second != third
    assert names_included(pairs, equal)
    assert not names_included(equal, pairs)
    unnamed = [Contents(ends, (multiple(1, 2, None),) * 3)]
    assert names_included(unnamed, pairs)
    assert not names_included(pairs, unnamed)
    other_trial = names_joined(joined, equal, pairs, 2)[0].elements[0].link
    assert other_trial is not None
    assert other_trial.key != first


@given(st.lists(st.fractions(0, 100), min_size=1, max_size=40))
def test_widening_of_factors_comes_to_an_end(factors: list[Fraction]) -> None:
    element, changes = start_value(DOUBLE, 0), 0
    for factor in factors:
        after = widened(
            element, Element(-1e308, 1e308, False, Multiple(0, factor, factor, None, False)), (-1e308, 1e308)
        )
        assert after.link is not None
        assert after.link.low <= factor <= after.link.high
        changes += after.link != element.link
        element = after
    assert changes < 16


# --- other rules -----------------------------------------------------------------------------------------------------


@given(
    st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([torch.float32, torch.float16, torch.bfloat16])
)
def test_numbers_become_operands(number: float, dtype: torch.dtype) -> None:
    """Where the conversion neither overflows nor underflows, its result is there, and so is the number itself."""
    form, element = form_for(dtype), Element(number, number)
    for finite in (False, True):
        found = Arithmetic(finite=finite).operand(form, element)
        rounded = torch.tensor(number, dtype=torch.float64).to(dtype).item()
        if math.isfinite(rounded) and (rounded != 0 or number == 0):
            assert found.contains(rounded)
            assert found.contains(number)
        if finite:
            assert found.is_finite
            assert number == 0 or not found.is_zero
    assert Arithmetic(finite=True).operand(HALF, Element(1e10, 1e10)).contains(1e10)  # kept in 32 bits
    assert Arithmetic(finite=False).operand(SINGLE, Element(1e83, 1e83)).hi == math.inf


@given(st.floats(allow_nan=False, width=32), st.floats(allow_nan=False, width=32))
def test_poles_can_be_left_out(number: float, divisor: float) -> None:
    arithmetic = Arithmetic(finite=True, poles=False)
    x = Element(min(number, 1.0), max(number, 1.0))
    y = Element(min(divisor, 0.0), max(divisor, 0.0))
    found = arithmetic.div(DOUBLE, x, y)
    if math.isfinite(number) and math.isfinite(divisor):
        assert math.isfinite(found.lo)
        assert math.isfinite(found.hi)
        assert divisor == 0 or found.contains(number / divisor)
    assert found.nan == (x.may_be_zero or (not x.is_finite and not y.is_finite))  # 0/0 is kept
    assert arithmetic.div(DOUBLE, ZERO, y).nan
    assert arithmetic.met_pole
    assert Arithmetic(finite=True).div(DOUBLE, Element(1.0, 1.0), y).may_be_infinite


def test_a_condition_is_understood_through_a_conversion() -> None:
    """Where x > 0, x in 32 bits is not 0 either, for nothing underflows to 0 here."""
    machine = Interpreter(Arithmetic(finite=True))

    def guarded(x: Tensor) -> Tensor:
        total = x.abs().sum()
        return torch.where(total > 0, total.to(torch.float32), 1.0)

    def unguarded(x: Tensor) -> Tensor:
        total = x.abs().sum()
        return torch.where(total >= 0, total.to(torch.float32), 1.0)

    codes = torch.full((3,), identifier_of(Element(-1e300, 1e300)), dtype=torch.int64)
    with following(Path(machine.arithmetic)), torch.no_grad():
        x = AbstractTensor(codes, torch.float64)
        with machine:
            found: Any = guarded(x)
            other: Any = unguarded(x)
    assert element_of(int(found.codes)).lo > 0
    assert element_of(int(other.codes)).lo == 0


# --- planted optimizers ----------------------------------------------------------------------------------------------


class Keeping(Optimizer):
    """SGD that keeps copies of its parameters, `self.slow`; subclasses say what it does with them."""

    def __init__(self, params: list[Tensor]) -> None:
        super().__init__(params, {"lr": 0.1})
        self.slow = [p.detach().clone() for p in self.param_groups[0]["params"]]
        self.count = 0

    @torch.no_grad()
    def step(self, closure: object = None) -> None:  # type: ignore[override]
        self.count += 1
        for p, slow in zip(self.param_groups[0]["params"], self.slow, strict=True):
            p.add_(p.grad, alpha=-0.1)
            self.more(p, slow)

    def more(self, p: Tensor, slow: Tensor) -> None:
        """Add to the step."""


class LookAhead(Keeping):
    """Decoupled decay; every fifth step half the way back to the slow copy."""

    def more(self, p: Tensor, slow: Tensor) -> None:
        p.mul_(0.9)
        if self.count % 5 == 0:
            p.lerp_(slow, 0.5)
            slow.copy_(p)


class Averages(Keeping):
    """The parameter becomes an average of its own past."""

    def more(self, p: Tensor, slow: Tensor) -> None:
        p.mul_(0.9)
        slow.lerp_(p, 0.3)
        p.copy_(slow)


class Pulled(Keeping):
    """Toward where it began; nothing moves while it is there."""

    def more(self, p: Tensor, slow: Tensor) -> None:
        p.lerp_(slow, 0.1)


class PulledByRows(Keeping):
    """The copies shrink by a factor of each row."""

    def more(self, p: Tensor, slow: Tensor) -> None:
        size = p.norm(dim=1, keepdim=True) if p.dim() == 2 else p.abs()
        slow.mul_(1 / (1 + size))
        p.lerp_(slow, 0.5)


class PulledElsewhere(Keeping):
    """Toward the copy of another coordinate."""

    def more(self, p: Tensor, slow: Tensor) -> None:
        p.lerp_(slow.roll(1, 0), 0.5)


class PulledUnevenly(Keeping):
    """The copies shrink by factors that differ from weight to weight."""

    def more(self, p: Tensor, slow: Tensor) -> None:
        slow.mul_(torch.linspace(0.5, 0.9, p.shape[-1], dtype=p.dtype))
        p.lerp_(slow, 0.5)


class PulledAcross(Keeping):
    """Beyond 0, once the parameter is smaller than its copy."""

    def more(self, p: Tensor, slow: Tensor) -> None:
        p.mul_(0.5)
        if self.count % 3 == 0:
            p.sub_(slow)


class ChangesOfCopies(Keeping):
    """The copies drift by other gradients."""

    def more(self, p: Tensor, slow: Tensor) -> None:
        slow.add_(p.grad.sum())
        p.lerp_(slow, 0.5)


class ChangedWhenBuilt(Keeping):
    """The parameter is doubled after it was copied, and put back in the first step."""

    def __init__(self, params: list[Tensor]) -> None:
        super().__init__(params)
        with torch.no_grad():
            for p in params:
                p.mul_(2)

    def more(self, p: Tensor, slow: Tensor) -> None:
        p.copy_(slow)


class ToZero(Keeping):
    def more(self, p: Tensor, slow: Tensor) -> None:
        p.zero_()


class ToOne(Keeping):
    def more(self, p: Tensor, slow: Tensor) -> None:
        p.zero_().add_(1)


class ByCorrelation(Keeping):
    """A rate that never falls, from a quotient whose denominator may cancel to 0."""

    def __init__(self, params: list[Tensor]) -> None:
        super().__init__(params)
        self.rate, self.sums = 1e-3, [torch.zeros_like(p) for p in params]

    @torch.no_grad()
    def step(self, closure: object = None) -> None:  # type: ignore[override]
        parameters = self.param_groups[0]["params"]
        found = torch.zeros((), dtype=torch.float64)
        size = torch.zeros((), dtype=torch.float64)
        for p, total in zip(parameters, self.sums, strict=True):
            found += (p.grad * total).sum()
            total.add_(p.grad)
            size += total.square().sum()
        self.rate = max(self.rate, (found / size.sqrt()).item())
        for p in parameters:
            p.sub_(p.grad, alpha=self.rate)


class ByCorrelationItself(ByCorrelation):
    """Divides the gradient itself by what may be 0: 0/0 is NaN."""

    def more(self, p: Tensor, slow: Tensor) -> None:
        p.sub_(p.grad / p.grad.square().sum().sqrt())

    step = Keeping.step


class BySoftmax(Keeping):
    def more(self, p: Tensor, slow: Tensor) -> None:
        p.sub_(p.grad * p.grad.softmax(0))


class BySoftmaxItself(Keeping):
    def more(self, p: Tensor, slow: Tensor) -> None:
        p.sub_(p.grad.softmax(0))


class ByCurvature(Keeping):
    """Gradients divided by second derivatives."""

    @torch.no_grad()
    def step(self, closure: object = None) -> None:  # type: ignore[override]
        parameters = self.param_groups[0]["params"]
        gradients = [p.grad for p in parameters]
        signs = [torch.randint_like(p, 0, 2) * 2.0 - 1.0 for p in parameters]
        products = torch.autograd.grad(gradients, parameters, grad_outputs=signs)
        for p, product in zip(parameters, products, strict=True):
            self.use(p, product)

    def use(self, p: Tensor, product: Tensor) -> None:
        p.addcdiv_(p.grad, product.abs().add_(1e-8), value=-0.1)


class AlongCurvature(ByCurvature):
    def use(self, p: Tensor, product: Tensor) -> None:
        p.sub_(product)


class LooksAtTheGraph(ByCurvature):
    def use(self, p: Tensor, product: Tensor) -> None:
        if p.grad is not None and p.grad.grad_fn is not None:
            p.sub_(1.0)


PLANTED: dict[type[Keeping], tuple[tuple[Property, ...], str]] = {
    Keeping: ((F,), ""),
    LookAhead: ((S,), "factor between"),
    Averages: ((DJ,), "multiplied by 0.97"),
    Pulled: ((F,), ""),
    PulledByRows: ((SS,), "factor between"),
    PulledElsewhere: ((), "aten.lerp_"),
    PulledUnevenly: ((), "multiplied by 0.75"),
    PulledAcross: ((), "aten.sub_"),
    ChangesOfCopies: ((), "aten.lerp_"),
    ChangedWhenBuilt: ((DJ,), "multiplied by 0.5"),
    ToZero: ((DJ,), "multiplied by 0"),
    ToOne: ((), "aten.add_"),
    ByCorrelation: ((F,), ""),
    ByCorrelationItself: ((), "aten.sub_"),
    BySoftmax: ((F,), ""),
    BySoftmaxItself: ((), "aten.sub_"),
    ByCurvature: ((F,), ""),
    AlongCurvature: ((), "aten.sub_"),
    LooksAtTheGraph: ((), "graph behind a gradient"),
}


def prove(build: Callable[[list[Tensor]], Any]) -> CodeProof:
    return prove_on_code(build, widths=(2, 2))


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.__name__)
def test_planted(planted: type[Keeping]) -> None:
    expected, reason = PLANTED[planted]
    proof = prove(planted)
    told = " | ".join(claim.reason for claim in proof.claims)
    assert set(proof.strongest) == set(expected), told
    assert reason in told


def test_side_conditions_are_said() -> None:
    assert "no number other than 0 is divided by 0" in prove(ByCorrelation).conditions
    assert not any("divided by 0" in each for each in prove(BySoftmax).conditions)
    assert any("create_graph=True" in each for each in prove(ByCurvature).conditions)
    assert not any("create_graph" in each for each in prove(Keeping).conditions)
    assert any("exact arithmetic" in each for each in prove(Averages).conditions)
    assert not any("exact arithmetic" in each for each in prove(Pulled).conditions)
