"""Rigorous evaluation of `theorems.curve.CurveRecursion` with balls.

At each end `gamma` of a piece the polynomials are followed by their values: the recursion of `n_k` closes on `n`,
`(1+D) n` and `(1+D)^2 n = pi`, `D = y d/dy`. So a layer costs a fixed number of operations, whatever the depth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import sympy

from theorems.bounds import RADIUS, ROOT_NORM, TREE_LENGTH
from theorems.curve import LENGTH, SURVIVAL, CurveLayer, CurveRecursion
from verify.enclosure.arb import Ball, ball, compiled

__all__ = ["run_curve"]

Balls = Mapping[sympy.Symbol, Ball]
_OFF = sympy.Symbol("G", nonnegative=True)


def run_curve(bound: CurveRecursion, values: Balls) -> Ball:
    """Evaluate the bound at the given values of its quantities; only inside the `compute` of `refine`."""
    known = tuple(sorted(values, key=str))
    one = ball(Fraction(1))
    survival = one - compiled(bound.first, known)(*(values[symbol] for symbol in known))
    if len(bound.layers) == 1:
        return 1 - survival
    constants = {layer: _Constants.of(layer) for layer in set(bound.layers)}
    further = [compiled(part, ())() for part in bound.start]
    curve, length = _Curve.of_inputs(bound, values).after(constants[bound.layers[0]], one, fine=bound.fine_layers >= 1)
    symbols = (SURVIVAL, LENGTH, *bound.further, *bound.parameters)
    off, step = compiled(bound.off, symbols), [compiled(part, symbols) for part in bound.step]
    for number, layer in enumerate(bound.layers[1:], start=2):
        here = constants[layer]
        arguments = (survival, length, *further, *here.values)
        death = compiled(_OFF**layer.width, (_OFF,))(off(*arguments)).max(here.signs)
        if number < len(bound.layers):  # nobody asks for the state of the last layer
            further = [part(*arguments) for part in step]
            curve, length = curve.after(here, survival, fine=bound.fine_layers >= number)
        survival = survival * (1 - death)
    return 1 - survival


@dataclass(frozen=True)
class _Constants:
    """The constants of a layer as balls, at the precision of the moment."""

    width: int
    weight_variance: Ball
    bias_variance: Ball
    density: Ball
    spine: Ball
    edge: Ball
    signs: Ball
    values: list[Ball]

    @classmethod
    def of(cls, layer: CurveLayer) -> _Constants:
        """Evaluate every constant of a layer."""
        return cls(
            layer.width,
            compiled(layer.weight_variance, ())(),
            compiled(layer.bias_variance, ())(),
            compiled(layer.density, ())(),
            compiled(layer.spine, ())(),
            compiled(layer.edge, ())(),
            compiled(layer.signs, ())(),
            [compiled(value, ())() for value in layer.values],
        )


@dataclass(frozen=True)
class _Curve:
    """The state of the curve part after `k` layers, at each end `gamma` of a piece.

    Symbols: factors = gamma; squares = y = gamma^2; norms, rises, paths = n_k, (1+D) n_k, pi_k and speeds = e_k, above
    the root; powers = gamma^(k+delta), and those of the layer before; exponent = k + delta; contraction = g_k;
    edges = T_k; tree = tau; excess = R^2 - r^2.
    """

    factors: list[Ball]
    squares: list[Ball]
    norms: list[Ball]
    rises: list[Ball]
    paths: list[Ball]
    speeds: list[Ball]
    powers: list[Ball]
    powers_before: list[Ball]
    exponent: int
    contraction: Ball
    edges: Ball
    tree: Ball
    excess: Ball

    @classmethod
    def of_inputs(cls, bound: CurveRecursion, values: Balls) -> _Curve:
        """The state before the first layer."""
        one = ball(Fraction(1))
        factors = [ball(Fraction(i, bound.pieces)) for i in range(bound.pieces + 1)]
        squares = [factor * factor for factor in factors]
        root, radius = values[ROOT_NORM] * values[ROOT_NORM], values[RADIUS] * values[RADIUS]
        exponent = int(bound.weights_only)
        norms = [root * square if bound.weights_only else root for square in squares]
        return cls(
            factors,
            squares,
            norms,
            rises=[(exponent + 1) * norm for norm in norms],
            paths=[(exponent + 1) ** 2 * norm for norm in norms],
            speeds=[exponent * root for _ in factors],
            powers=factors if bound.weights_only else [one for _ in factors],
            powers_before=[one for _ in factors],
            exponent=exponent,
            contraction=one,
            edges=values[TREE_LENGTH],
            tree=values[TREE_LENGTH],
            excess=radius - root,
        )

    def after(self, layer: _Constants, survival: Ball, *, fine: bool) -> tuple[_Curve, Ball]:
        """Pass a layer, reached with probability at most `survival`; also return `Lambda + T` behind it."""
        bias2 = layer.bias_variance * survival
        growth, fresh = layer.width * layer.weight_variance / 2, layer.width * bias2 / 2
        crossing = self._crossing() if fine else self._crossing_at_most()
        edges = layer.edge * layer.weight_variance.sqrt() * self.edges
        edges += 2 * layer.density * growth * self.tree * self.contraction.sqrt() * crossing
        length = layer.spine * survival.sqrt() * self._spine(bias2, layer.weight_variance)
        inner = [fresh + growth * norm for norm in self.norms]
        moved = _Curve(
            self.factors,
            self.squares,
            norms=[y * n for y, n in zip(self.squares, inner, strict=True)],
            rises=[y * (fresh + n + growth * r) for y, n, r in zip(self.squares, inner, self.rises, strict=True)],
            paths=[
                y * (3 * fresh + n + growth * (2 * r + p))
                for y, n, r, p in zip(self.squares, inner, self.rises, self.paths, strict=True)
            ],
            speeds=[fresh + growth * p for p in self.paths],
            powers=[power * factor for power, factor in zip(self.powers, self.factors, strict=True)],
            powers_before=self.powers,
            exponent=self.exponent + 1,
            contraction=growth * self.contraction,
            edges=edges,
            tree=self.tree,
            excess=self.excess,
        )
        return moved, length + edges

    def _spine(self, bias2: Ball, weight2: Ball) -> Ball:
        """Bound `int sqrt(sigma^2 a + s^2 pi)` over [0, 1], above the root."""
        speeds = [bias2 + weight2 * path for path in self.paths]
        total = sum((((left + right) / 2).sqrt() for left, right in pairwise(speeds)), ball(Fraction(0)))
        return total / (len(speeds) - 1)

    def _crossing(self) -> Ball:
        """Bound `int gamma^j sqrt(e)` over [0, 1], `e` above the largest input, `j = k + 1 + delta`."""
        j, pieces = self.exponent + 1, len(self.factors) - 1
        input_part = self.excess * self.contraction * self.exponent**2
        speeds = [e + input_part * p * p for e, p in zip(self.speeds, self.powers_before, strict=True)]
        powers = [power * square for power, square in zip(self.powers, self.squares, strict=True)]
        masses = [(right - left) / (j + 1) for left, right in pairwise(powers)]
        moments = [
            (power_right * right - power_left * left) / (j + 2)
            for (power_left, left), (power_right, right) in pairwise(zip(powers, self.factors, strict=True))
        ]
        total = ball(Fraction(0))
        for (low, high), left, mass, moment in zip(pairwise(speeds), self.factors, masses, moments, strict=False):
            chord = low * mass + (high - low) * pieces * (moment - left * mass)
            total += (mass * chord).sqrt()
        return total

    def _crossing_at_most(self) -> Ball:
        """A rougher bound of the same integral: `e` is largest at the end, where `gamma = 1`."""
        end = self.speeds[-1] + self.excess * self.contraction * self.exponent**2
        return end.sqrt() / (self.exponent + 2)
