"""Whether an optimizer acts per coordinate: stacked, permuted or split parameters must give the same bits."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from verify.optimizers.falsify import NotRun, Tested, Violation, acts_per_coordinate
from verify.optimizers.falsify.coordinates import Way, arranged
from verify.optimizers.falsify.history import Layout
from verify.optimizers.falsify.plans import Live, Plan, Silent, Space, Start, Untouched
from verify.optimizers.known import Kind

HERE = Path(__file__).parent


def load_planted() -> ModuleType:
    """Once for all test modules: a script imports a class by the name of its module."""
    if "planted_optimizers" not in sys.modules:
        spec = importlib.util.spec_from_file_location("planted_optimizers", HERE / "planted_optimizers.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules["planted_optimizers"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["planted_optimizers"])
    return sys.modules["planted_optimizers"]


planted = load_planted()

ALONE = {
    "SGD": lambda p: torch.optim.SGD(p, momentum=0.9),
    "Adam": lambda p: torch.optim.Adam(p, weight_decay=0.1),
    "AdamW": lambda p: torch.optim.AdamW(p, foreach=True),
    "Adagrad": lambda p: torch.optim.Adagrad(p),
    "RMSprop": lambda p: torch.optim.RMSprop(p),
    "Adamax": lambda p: torch.optim.Adamax(p),
    "NAdam": lambda p: torch.optim.NAdam(p),
    "RAdam": lambda p: torch.optim.RAdam(p),
    "Adadelta": lambda p: torch.optim.Adadelta(p),
    "ASGD": lambda p: torch.optim.ASGD(p),
    "Rprop": lambda p: torch.optim.Rprop(p),
    "Lookahead": planted.Lookahead,
}
TOGETHER = {
    "CentredRows": Kind.COUPLING,
    "AboveTen": Kind.COUPLING,
    "ClippedByNorm": Kind.COUPLING,
    "MeanOfValues": Kind.COUPLING,
    "Orthogonalized": Kind.COUPLING,
    "RowFactors": Kind.COUPLING,
    "WeightsOnlyDecay": Kind.COUPLING,
    "Noise": Kind.NOISE,
    "UnseededNoise": Kind.NOISE,
}


@pytest.mark.parametrize("name", ALONE)
def test_optimizers_that_act_per_coordinate_are_not_accused(name: str) -> None:
    found = acts_per_coordinate(ALONE[name], seed=1, histories=15)
    assert isinstance(found, Tested), found.sentence
    assert found.histories == 15
    assert found.rounding is None


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ALONE)
def test_optimizers_that_act_per_coordinate_are_never_accused(name: str, seed: int, dtype: torch.dtype) -> None:
    found = acts_per_coordinate(ALONE[name], seed=seed, dtype=dtype)
    assert isinstance(found, Tested), found.sentence


@pytest.mark.slow
def test_coupling_and_noise_are_found_and_their_scripts_repeat_them(tmp_path: Path) -> None:
    scripts, expected = [], []
    for name, kind in TOGETHER.items():
        found = acts_per_coordinate(getattr(planted, name))
        assert isinstance(found, Violation), name
        assert found.kind is kind, name
        assert found.together is not None
        assert "the same numbers" in found.sentence
        if name == "UnseededNoise":
            assert found.about_script == "it prints other numbers each time"
            continue
        assert found.about_script == "", name
        (tmp_path / f"{name}.py").write_text(found.script, encoding="utf-8")
        scripts.append(name)
        expected += [each.sentence for each in found.moved]
    driver = f"import runpy\nfor name in {scripts}:\n    runpy.run_path(name + '.py')\n"
    environment = os.environ | {"PYTHONPATH": str(HERE), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", driver]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == expected


def test_what_does_not_run_is_told() -> None:
    for build in (planted.RaisesInStep, planted.GivesNan, torch.optim.Muon, lambda p: torch.optim.SGD(p, lr=0.0)):
        found = acts_per_coordinate(build, histories=4)
        assert isinstance(found, NotRun)
        assert "\n" not in found.sentence


@pytest.mark.parametrize("way", Way)
def test_arrangements_hold_the_same_numbers(way: Way) -> None:
    space = Space((Layout((2, 3, 2)),), (3,), ({},), Untouched.ZERO, False, torch.float64)
    arrangement = arranged(way, Plan(live=Live.RANDOM, start=Start.RANDOM, tested=Silent.SOME, seed=5), space)
    assert len({there for _, _, there in arrangement.places}) == len(arrangement.places)
    assert len(arrangement.places) == sum(map(len, arrangement.together.initial))
    assert len(arrangement.places) == sum(len(row) for alone in arrangement.alone for row in alone.initial)
    for replica, own, there in arrangement.places:
        alone = arrangement.alone[replica]
        assert alone.initial[own[0]][own[1]] == arrangement.together.initial[there[0]][there[1]]
        for step, (listed, put) in enumerate(zip(alone.gradients, arrangement.together.gradients, strict=True)):
            first, second = listed[own[0]], put[there[0]]
            assert first is not None, step
            assert second is not None, step
            assert first[own[1]] == second[there[1]]
    if way is not Way.STACKED:
        assert any(own != there for _, own, there in arrangement.places)
