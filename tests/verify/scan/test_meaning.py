"""What a scan implies: risks that training really does not go below, chances, advice."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import comb

import numpy as np
import pytest
import torch
from torch import nn

from theorems.hypotheses import Status
from verify.data import DataSpec, load_data
from verify.scan.result import Scan
from verify.scan.scanning import scan

pytestmark = pytest.mark.usefixtures("one_thread")

NILE = DataSpec("nile", scale="minmax", scale_labels="minmax")


def shallow(width: int, seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(1, width), nn.ReLU(), nn.Linear(width, 1)).double()


def deep(first: float) -> nn.Sequential:
    """Second layer dead: by signs for a negative bias, else because its inputs are small."""
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(1, 3), nn.ReLU(), nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1)).double()
    module[2].weight.data = torch.full((2, 3), first, dtype=torch.float64)
    module[2].bias.data = torch.full((2,), -5.0, dtype=torch.float64)
    return module


def trained_risks(module: nn.Sequential, steps: int = 150) -> list[float]:
    data = load_data(NILE)
    x = torch.tensor([[float(v) for v in data.inputs[j]] for j, _ in data.rows], dtype=torch.float64)
    y = torch.tensor([[float(v) for v in label] for _, label in data.rows], dtype=torch.float64)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.05)
    risks = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = ((module(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        risks.append(float(loss.detach()))
    return risks


def test_training_does_not_go_below_the_risk_that_a_dead_layer_forces() -> None:
    for first in (-1.0, 0.5):
        module = deep(first)
        found = scan(module, NILE, optimizer="SS", initialization=None)
        (consequence,) = found.consequences
        assert found.has_dead_layer
        assert consequence.constant
        assert consequence.misses
        data = load_data(NILE)
        assert consequence.risk == data.noise_floor + data.variance
        assert consequence.theorem == ("T1" if first < 0 else "T10")
        assert min(trained_risks(module)) >= float(consequence.risk) * (1 - 1e-12)


def test_training_does_not_go_below_the_risk_that_dead_neurons_force() -> None:
    seed = next(s for s in range(99) if 1 <= len(scan(shallow(3, s), NILE, initialization=None).layers[0].dead) <= 2)
    found = scan(shallow(3, seed), NILE, initialization=None)
    (consequence,) = found.consequences
    assert consequence.theorem == "T3"
    assert consequence.misses
    assert not consequence.constant
    assert 0 < consequence.risk < load_data(NILE).noise_floor + load_data(NILE).variance
    assert min(trained_risks(shallow(3, seed))) >= float(consequence.risk)


@pytest.mark.parametrize(
    ("optimizer", "statuses"),
    [
        ("adam", [Status.HOLDS]),
        ("adamw", [Status.HOLDS]),
        ("S", [Status.HOLDS]),
        ("D", [Status.FAILS, Status.HOLDS]),
        ("SS", [Status.FAILS, Status.FAILS]),
    ],
)
def test_under_which_optimizers(optimizer: str, statuses: list[Status]) -> None:
    module = shallow(8, 3)
    module[0].bias.data[0], module[0].weight.data[0] = 0.5, -0.5  # dead only at x = 1, which is not all of the data
    module[0].bias.data[1], module[0].weight.data[1] = -0.5, 0.25
    found = scan(module, NILE, optimizer=optimizer, initialization=None)
    assert [each.asked[1] for each in found.consequences if each.asked] == statuses
    assert all(len(each.optimizers) == 9 for each in found.consequences[:1])


def test_a_dead_layer_that_is_not_structural_is_kept_by_block_freeze_only() -> None:
    found = scan(deep(0.5), NILE, optimizer="S", initialization=None)
    assert found.consequences[0].asked is not None
    assert found.consequences[0].asked[1] is Status.FAILS
    structural = scan(deep(-1.0), NILE, optimizer="S", initialization=None)
    assert structural.consequences[0].asked is not None
    assert structural.consequences[0].asked[1] is Status.HOLDS


def binomial_tail(n: int, m: int, p: Fraction) -> Fraction:
    return sum((comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(m, n + 1)), Fraction(0))


def advised(found: Scan, start: str) -> str:
    return next(each.why for each in found.advice if each.what.startswith(start))


def test_chances_and_advice_are_the_librarys_numbers() -> None:
    """PyTorch's default on inputs filling [0, 1]: p_1 = 3/8, exactly (math §6)."""
    found = scan(shallow(6, 0), NILE)
    assert found.probability is not None
    p_dead, tail, layer = found.probability.p_dead, *found.probability.found
    assert p_dead.lo == p_dead.hi == Fraction(3, 8)
    dead = len(found.layers[0].dead)
    assert dead
    exact = binomial_tail(6, dead, Fraction(3, 8))
    assert tail.lo <= exact <= tail.hi
    assert tail.hi - tail.lo < Fraction(1, 10**6)
    assert layer.lo <= Fraction(3, 8) ** 6 <= layer.hi == Fraction(1, 64)
    assert "0.3750" in advised(found, "standardize")
    assert "0.05960" in advised(found, "another seed")  # (5/8)^6 = 0.0596
    width = int(next(each.what for each in found.advice if "width" in each.what).rsplit(" ", 1)[1])
    alive = Fraction(5, 8)
    assert binomial_tail(width, 6, alive) >= Fraction(99, 100) > binomial_tail(width - 1, 6, alive)


def test_nothing_dead_needs_no_advice() -> None:
    module = shallow(2, 0)
    module[0].bias.data[:] = 3.0
    found = scan(module, NILE)
    assert not found.advice
    assert not found.consequences
    assert found.probability is not None
    assert found.probability.found[0].what.startswith("no dead neuron")
    assert found.probability.found[0].lo <= Fraction(25, 64) <= found.probability.found[0].hi


def test_why_nothing_is_said() -> None:
    module = shallow(2, 0)
    assert "no labels" in scan(module, np.zeros((3, 1)) + 0.5).why_no_consequences
    assert "2 label columns" in scan(module, (np.array([[0.0], [1.0]]), np.eye(2))).why_no_consequences
    assert "dependent weights" in scan(module, NILE, initialization="orthogonal").why_no_probability
    branched = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.ReLU(), nn.Linear(2, 1))
    assert "a ReLU that no linear layer precedes" in scan(branched, NILE).why_no_consequences
    shared = nn.Linear(1, 1)
    assert "used twice" in scan(nn.Sequential(shared, nn.ReLU(), shared), NILE).why_no_consequences


def test_a_result_shows_itself() -> None:
    found = scan(deep(-1.0), replace(NILE, source="x**2", scale="none", scale_labels="none"), initialization=None)
    assert "Layer 2 is dead on the data" in str(found)
    assert found._repr_html_().startswith("<pre")
    assert found.to_json()["dead_layers"] == [2]
