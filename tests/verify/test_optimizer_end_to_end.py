"""From the verdict on an optimizer to what training does: frozen bit for bit, shrinking but dead, or revived."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from enum import Enum
from fractions import Fraction
from typing import Any

import pytest
import torch

from tests.verify import planted_optimizers as planted
from theorems.hypotheses import Property, Status
from theorems.laws import parse_initialization
from theorems.setting import Architecture, DataSet
from theorems.theorem import Event
from verify.optimizers import proofs
from verify.optimizers.registry import resolve
from verify.optimizers.spec import OptimizerSpec
from verify.simulation.runs import RunCounts, RunTask, Start, run_block

STEPS, REPLICAS = 80, 32
DATA = DataSet.from_rows(
    "parabola", [[Fraction(k, 7)] for k in range(9)], [[Fraction((k - 3) ** 2, 11)] for k in range(9)]
)


class Fate(Enum):
    """What a class of optimizers promises for first-layer neurons that are dead at initialization with bias <= 0."""

    FROZEN = "frozen bit for bit"
    SHRINKING = "dead while the parameters move"
    NOT_PROMISED = "nothing is promised"


class Decays(planted.DecoupledDecay):
    """Decay that is seen in a few hundred steps."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, lr, weight_decay=0.1)


class Noisy(planted.Plain):
    """Langevin noise that revives a neuron within a few hundred steps."""

    def move(self, p: torch.Tensor, g: torch.Tensor, kept: dict[str, Any], group: dict[str, Any]) -> None:
        super().move(p, g + 2 * torch.randn_like(p), kept, group)


class PulledTogether(planted.Plain):
    """Every parameter moves a little towards the mean of its tensor: coordinates are coupled."""

    def move(self, p: torch.Tensor, g: torch.Tensor, kept: dict[str, Any], group: dict[str, Any]) -> None:
        super().move(p, g, kept, group)
        p.add_(p.mean() - p, alpha=0.05)


OUTSIDE = {
    "Plain": planted.Plain,
    "Decays": Decays,
    "WeightsOnlyDecay": planted.WeightsOnlyDecay,
    "Noisy": Noisy,
    "PulledTogether": PulledTogether,
}

CASES: list[tuple[str, dict[str, Any], Fate]] = [
    ("sgd", {}, Fate.FROZEN),
    ("nesterov", {}, Fate.FROZEN),
    ("adagrad", {}, Fate.FROZEN),
    ("adam", {}, Fate.FROZEN),
    ("nadam", {}, Fate.FROZEN),
    ("torch.optim:Rprop", {}, Fate.FROZEN),
    ("torch.optim:AdamW", {"weight_decay": 0.0}, Fate.FROZEN),
    ("outside_end_to_end:Plain", {}, Fate.FROZEN),
    ("adamw", {"weight_decay": 0.5, "lr": 0.05}, Fate.SHRINKING),
    ("sgd", {"weight_decay": 0.1}, Fate.SHRINKING),
    ("outside_end_to_end:Decays", {}, Fate.SHRINKING),
    ("outside_end_to_end:WeightsOnlyDecay", {}, Fate.SHRINKING),
    ("adam", {"weight_decay": 0.1, "lr": 0.05}, Fate.NOT_PROMISED),
    ("outside_end_to_end:Noisy", {}, Fate.NOT_PROMISED),
    ("outside_end_to_end:PulledTogether", {}, Fate.NOT_PROMISED),
]


@pytest.fixture(autouse=True)
def _outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module = types.ModuleType("outside_end_to_end")
    for name, value in OUTSIDE.items():
        setattr(module, name, value)
    monkeypatch.setitem(sys.modules, "outside_end_to_end", module)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    proofs._proof.cache_clear()


def predicted(target: str, settings: dict[str, Any]) -> Fate:
    """What the properties that hold promise: (FB) freezes; (DJ) and (DW) keep the sign of `w x + b` where `b <= 0`."""
    judged = resolve(OptimizerSpec(target, settings)).properties
    holds = {wanted for wanted in Property if judged.about(wanted).status is Status.HOLDS}
    if Property.FB in holds:
        return Fate.FROZEN
    return Fate.SHRINKING if holds & {Property.DJ, Property.DW} else Fate.NOT_PROMISED


def trained(target: str, settings: dict[str, Any]) -> RunCounts:
    start = Start(Architecture.parse("1,2,1"), parse_initialization("pytorch", None), DATA, "float32", 7)
    spec = OptimizerSpec(target, settings)
    event = Event(neurons=1, nonpositive_bias=True)
    return run_block(RunTask(start, spec, event, Fraction(0), STEPS, None, STEPS, "cpu", 0, REPLICAS))


@pytest.mark.parametrize(("target", "settings", "fate"), CASES, ids=str)
def test_training_does_what_the_verdict_says(target: str, settings: dict[str, Any], fate: Fate) -> None:
    assert predicted(target, settings) is fate
    found = trained(target, settings)
    assert found.claimed > REPLICAS // 4
    frozen, still_dead = found.persistent == found.claimed, found.kept == found.event
    assert frozen is (fate is Fate.FROZEN)
    assert still_dead is (fate is not Fate.NOT_PROMISED)
