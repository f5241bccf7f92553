"""The falsifier: every planted fault is found and named, its script repeats it, and nobody is accused wrongly."""

from __future__ import annotations

import importlib.util
import math
import os
import random
import subprocess
import sys
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from theorems.errors import InvalidInput
from theorems.hypotheses import Property
from verify.optimizers.falsify import Layout, NotRun, Tested, Untouched, Violation, falsify
from verify.optimizers.falsify.history import History
from verify.optimizers.falsify.judge import Judge, ulp, ulps_apart
from verify.optimizers.falsify.run import Trace
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

F, FB, S, D, SS = Property.F, Property.FB, Property.S, Property.D, Property.SS
DJ, DW, SL = Property.DJ, Property.DW, Property.SL

FAULTS = {
    "DecoupledDecay": (Kind.DECOUPLED_DECAY, 1),
    "HiddenDecay": (Kind.DECOUPLED_DECAY, 1),
    "HiddenCoupledDecay": (Kind.COUPLED_DECAY, 1),
    "Noise": (Kind.NOISE, 1),
    "UnseededNoise": (Kind.NOISE, 1),
    "RareNoise": (Kind.NOISE, None),
    "NoisyEvaluation": (Kind.NOISE, 1),
    "CentredRows": (Kind.COUPLING, 1),
    "Orthogonalized": (Kind.COUPLING, 1),
    "AboveTen": (Kind.COUPLING, 1),
    "MeanOfValues": (Kind.COUPLING, 1),
    "BiasedStart": (Kind.INITIAL_STATE, 1),
    "Resetting": (Kind.RESET, 5),
    "ZeroByZero": (Kind.NOT_FINITE, 1),
    "AtStepSeven": (Kind.OTHER, 7),
    "AtStepForty": (Kind.OTHER, 40),
}


@lru_cache
def verdict_on(name: str, seed: int = 0) -> Tested | Violation | NotRun:
    return falsify(getattr(planted, name), F, seed=seed)


def assert_named(name: str, seed: int) -> None:
    kind, step = FAULTS[name]
    found = verdict_on(name, seed)
    assert isinstance(found, Violation), found.sentence
    assert found.kind is kind, found.experiments
    assert step is None or found.step == step
    assert found.experiments or kind is Kind.NOT_FINITE
    assert kind.value in found.sentence
    assert found.moved


@pytest.mark.parametrize("name", FAULTS)
def test_planted_faults_are_found_and_named(name: str) -> None:
    assert_named(name, 0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", FAULTS)
def test_planted_faults_are_found_whatever_the_seed(name: str, seed: int) -> None:
    assert_named(name, seed)


TORCH = {
    "coupled": (lambda p: torch.optim.Adam(p, weight_decay=0.1), Kind.COUPLED_DECAY),
    "momentum": (lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1), Kind.COUPLED_DECAY),
    "decoupled": (torch.optim.AdamW, Kind.DECOUPLED_DECAY),
    "averaged": (torch.optim.ASGD, Kind.DECOUPLED_DECAY),
    "eps=0": (lambda p: torch.optim.Adam(p, eps=0), Kind.NOT_FINITE),
}


@pytest.mark.parametrize("name", TORCH)
def test_optimizers_of_torch_that_violate_freeze(name: str) -> None:
    build, kind = TORCH[name]
    for wanted in (F, FB):
        found = falsify(build, wanted, histories=8)
        assert isinstance(found, Violation)
        assert found.kind is kind
        assert found.about_script == ""


def test_an_experiment_names_the_setting() -> None:
    found = verdict_on("DecoupledDecay")
    assert isinstance(found, Violation)
    assert any("weight_decay set to 0" in each.change and "not move" in each.outcome for each in found.experiments)


def test_a_counterexample_is_made_small() -> None:
    found = verdict_on("AtStepSeven")
    assert isinstance(found, Violation)
    assert found.history.steps == 7
    assert all(entry == 0 for step in found.history.gradients for listed in step for entry in listed or ())
    above = verdict_on("AboveTen")
    assert isinstance(above, Violation)
    gradients = [entry for step in above.history.gradients for listed in step for entry in listed or () if entry]
    assert len(gradients) == 1
    assert abs(gradients[0]) > 10


# --- scripts ----------------------------------------------------------------------------------------------------------


def python(*arguments: str, cwd: Path) -> str:
    environment = os.environ | {"PYTHONPATH": str(HERE), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


REPEATABLE = [name for name in FAULTS if name != "UnseededNoise"]


@lru_cache
def grouped() -> Violation:
    """AdamW in two groups, weights with decay, biases without: (S) fails."""

    def build(parameters: list[torch.nn.Parameter], weight_decay: float) -> torch.optim.Optimizer:
        groups = [
            {"params": [p for p in parameters if p.dim() > 1], "weight_decay": weight_decay},
            {"params": [p for p in parameters if p.dim() == 1], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=0.25)

    found = falsify(build, S, histories=12, settings={"weight_decay": [0.0, 0.5]})
    assert isinstance(found, Violation)
    return found


def scripts() -> dict[str, Violation]:
    found = {name: verdict_on(name) for name in REPEATABLE} | {"grouped": grouped()}
    assert all(isinstance(each, Violation) and each.about_script == "" for each in found.values())
    return {name: each for name, each in found.items() if isinstance(each, Violation)}


@pytest.mark.slow
def test_every_script_prints_the_same_hex_values_in_another_process(tmp_path: Path) -> None:
    expected = ""
    for name, found in scripts().items():
        (tmp_path / f"{name}.py").write_text(found.script, encoding="utf-8")
        expected += f"{name}\n" + "".join(f"{each.sentence}\n" for each in found.moved)
    driver = f"import runpy\nfor name in {list(scripts())}:\n    print(name)\n    runpy.run_path(name + '.py')\n"
    assert python("-W", "ignore", "-c", driver, cwd=tmp_path) == expected
    assert "nan" in expected
    assert "0x1." in expected


@pytest.mark.slow
@pytest.mark.parametrize("name", [*REPEATABLE, "grouped"])
def test_every_script_stands_alone(name: str, tmp_path: Path) -> None:
    found = scripts()[name]
    (tmp_path / "counterexample.py").write_text(found.script, encoding="utf-8")
    assert python("counterexample.py", cwd=tmp_path).splitlines() == [each.sentence for each in found.moved]


def test_a_script_holds_the_groups_and_settings_and_nothing_of_this_project() -> None:
    assert grouped().history.settings == {"weight_decay": 0.5}
    for told in ("from torch.optim import AdamW", "parameters[1]", "lr=0.25", "weight_decay"):
        assert told in grouped().script
    assert "verify" not in grouped().script


def test_code_for_the_script_may_be_given() -> None:
    class Wrapped:
        def __init__(self, parameters: list[torch.nn.Parameter], weight_decay: float) -> None:
            self.inner = torch.optim.AdamW(parameters, weight_decay=weight_decay)
            self.param_groups: list[dict[str, object]] = []

        def step(self) -> None:
            self.inner.step()

    settings = {"weight_decay": [0.5]}
    without = falsify(Wrapped, F, histories=4, settings=settings)
    assert isinstance(without, Violation)
    assert (without.script, without.about_script) == ("", "Wrapped has no parameter groups")
    code = "def build(parameters, **settings):\n    return torch.optim.AdamW(parameters, **settings)\n"
    told = falsify(Wrapped, F, histories=4, settings=settings, code=code)
    assert isinstance(told, Violation)
    assert told.script
    assert "weight_decay=0.5" in told.script
    wrong = falsify(Wrapped, F, histories=4, settings=settings, code=code.replace("AdamW(", "AdamW(lr=0.5, params="))
    assert isinstance(wrong, Violation)
    assert (wrong.script, wrong.about_script) == ("", "a program was written, but it prints other numbers")


def test_noise_that_no_seed_repeats_says_so() -> None:
    found = verdict_on("UnseededNoise")
    assert isinstance(found, Violation)
    assert found.script
    assert found.about_script == "it prints other numbers each time"


# --- nobody is accused wrongly ----------------------------------------------------------------------------------------

CLEAN = {
    "SGD": lambda p: torch.optim.SGD(p),
    "momentum": lambda p: torch.optim.SGD(p, momentum=0.9),
    "Nesterov": lambda p: torch.optim.SGD(p, momentum=0.9, nesterov=True),
    "maximize": lambda p: torch.optim.SGD(p, maximize=True),
    "Adam": lambda p: torch.optim.Adam(p),
    "AMSGrad": lambda p: torch.optim.Adam(p, amsgrad=True, foreach=True),
    "Adam fused": lambda p: torch.optim.Adam(p, fused=True),
    "AdamW without decay": lambda p: torch.optim.AdamW(p, weight_decay=0),
    "Adagrad": lambda p: torch.optim.Adagrad(p, initial_accumulator_value=0.1),
    "RMSprop": lambda p: torch.optim.RMSprop(p, centered=True, momentum=0.5),
    "Adamax": lambda p: torch.optim.Adamax(p),
    "NAdam": lambda p: torch.optim.NAdam(p),
    "RAdam": lambda p: torch.optim.RAdam(p),
    "Adadelta": lambda p: torch.optim.Adadelta(p),
    "ASGD without decay": lambda p: torch.optim.ASGD(p, lambd=0),
    "Rprop": lambda p: torch.optim.Rprop(p),
    "Adafactor": lambda p: torch.optim.Adafactor(p),
    "LBFGS": lambda p: torch.optim.LBFGS(p),
    "Plain": planted.Plain,
    "DenominatorAtTenth": planted.DenominatorAtTenth,
    "ClippedByNorm": planted.ClippedByNorm,
    "Lookahead": planted.Lookahead,
    "Sharpness": planted.Sharpness,
    "NeedsHessian": planted.NeedsHessian,
}


def assert_clean(found: Tested | Violation | NotRun) -> Tested:
    assert isinstance(found, Tested), found.sentence
    return found


@pytest.mark.parametrize("name", CLEAN)
def test_freezing_optimizers_are_not_accused(name: str) -> None:
    found = assert_clean(falsify(CLEAN[name], F, seed=7, histories=14))
    assert found.histories == 14
    assert found.steps > 180
    assert found.rounding is None or found.rounding.ulps == 0


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", CLEAN)
def test_freezing_optimizers_are_never_accused(name: str, seed: int, dtype: torch.dtype) -> None:
    for wanted in (F, FB, S, DW):
        assert_clean(falsify(CLEAN[name], wanted, seed=seed, dtype=dtype))
    assert_clean(falsify(CLEAN[name], F, seed=seed, dtype=dtype, untouched=Untouched.NONE))


def test_momentum_may_move_a_coordinate_after_its_gradient_was_not_zero() -> None:
    layout = Layout((1, 1, 1))
    zero = (0.0,)
    history = History(layout.shapes, ((1.0,),) * 4, (((1.0,), zero, zero, zero), (zero, zero, zero, zero)))
    trace = Trace([((1.0,),) * 4, ((0.9,), (1.0,), (1.0,), (1.0,)), ((0.8,), (1.0,), (1.0,), (1.0,))], [[], []])
    assert Judge(F, layout, torch.float64, 4).judge(history, trace).offence is None
    trace.values[2] = ((0.8,), (1.0,), (1.5,), (1.0,))
    offence = Judge(F, layout, torch.float64, 4).judge(history, trace).offence
    assert offence is not None
    assert (offence.step, offence.coordinates) == (2, ((2, 0),))


@pytest.mark.parametrize(("name", "ulps"), [("SignOfZero", 0), ("RoundedLookahead", 1)])
def test_rounding_only_is_told_and_no_violation(name: str, ulps: int) -> None:
    found = assert_clean(falsify(getattr(planted, name), F, histories=25))
    assert found.rounding is not None
    assert found.rounding.ulps == ulps
    assert found.rounding.kind is Kind.ROUNDING
    assert "rounding only" in found.sentence
    if ulps:
        assert isinstance(falsify(getattr(planted, name), F, histories=25, ulps=0), Violation)


@pytest.mark.slow
def test_muon_and_clipping_freeze_blocks_only() -> None:
    assert_clean(falsify(planted.Orthogonalized, FB, histories=25))
    assert_clean(falsify(torch.optim.Muon, SL, histories=10, biases=False))
    for build in (torch.optim.Muon, lambda p: torch.optim.Muon(p, weight_decay=0)):
        found = falsify(build, F, histories=25, biases=False)
        assert isinstance(found, Violation)
    assert found.kind is Kind.COUPLING
    assert_clean(falsify(lambda p: torch.optim.Muon(p, weight_decay=0), FB, histories=25, biases=False))


# --- the scaling forms ------------------------------------------------------------------------------------------------

# Which forms hold and which do not; what follows from these by implication is left out.
FORMS = {
    "DecoupledDecay": ({DJ}, {FB, DW}),
    "WeightsOnlyDecay": ({DW}, {S}),
    "BiasesOnlyDecay": ({SL}, {S, D}),
    "FactorOfEachParameter": ({SL}, {S, D}),
    "RowFactors": ({S, D}, {DJ, DW, SL}),
    "Growing": ({S, SL}, {D}),
    "Flipping": (set(), {SS}),
    "HiddenCoupledDecay": (set(), {SS}),
    "ZeroByZero": (set(), {SS}),
}


@pytest.mark.parametrize("name", FORMS)
def test_scaling_forms(name: str) -> None:
    holding, failing = FORMS[name]
    for wanted in holding:
        assert_clean(falsify(getattr(planted, name), wanted, histories=14, steps=(1, 3, 11)))
    for wanted in failing:
        found = falsify(getattr(planted, name), wanted, histories=14, steps=(1, 3, 11))
        assert isinstance(found, Violation), wanted


def test_adamw_is_not_accused() -> None:
    for wanted in (S, D, DJ, SL, SS):
        assert_clean(falsify(lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.3), wanted, histories=12))
    assert isinstance(falsify(torch.optim.AdamW, DW, histories=5), Violation)


@pytest.mark.parametrize(("decay", "holds"), [(0.026, True), (0.05, False)])
def test_momentum_with_coupled_decay_scales_up_to_the_critical_decay(decay: float, holds: bool) -> None:
    """math §2: the common factor stays non-negative iff lr wd <= (1 - sqrt a)^2 = 0.00263..., here lr = 0.1."""
    found = falsify(
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=decay), S, histories=4, steps=(3, 100)
    )
    assert isinstance(found, Tested) == holds, found.sentence


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=4),
    st.floats(0, 1),
    st.integers(0, 3),
    st.sampled_from([torch.float64, torch.float32]),
)
def test_a_rounded_factor_is_accepted_and_a_changed_coordinate_is_not(
    values: list[float], factor: float, place: int, dtype: torch.dtype
) -> None:
    layout = Layout((len(values) - 1, 1, 1))
    start = torch.tensor(values, dtype=dtype)
    end = start * torch.tensor(factor, dtype=dtype)
    shapes = layout.shapes
    zeros = tuple((0.0,) * math.prod(shape) for shape in shapes)

    def trace_of(moved: torch.Tensor) -> Trace:
        points = [(tuple(each[:-1].tolist()), (each[-1].item(),), (1.0,), (1.0,)) for each in (start, moved)]
        return Trace(points, [[]])

    history = History(shapes, trace_of(end).values[0], (zeros,))
    judges = [Judge(wanted, layout, dtype, 1) for wanted in (S, D, DJ, SL, SS)]
    assert all(judge.judge(history, trace_of(end)).offence is None for judge in judges)
    place = place % len(values)
    if factor > 0.1 and all(abs(value) > 1e-3 for value in values):
        end[place] *= 1.01
        assert judges[0].judge(history, trace_of(end)).offence is not None
        end[place] = -end[place]
        assert judges[-1].judge(history, trace_of(end)).offence is not None or (place < len(values) - 1 == 1)


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_units_in_the_last_place(double: float, single: float) -> None:
    assert ulp(double, torch.float64) == Fraction(math.ulp(double))
    up = torch.nextafter(torch.tensor(abs(single)), torch.tensor(math.inf)).item()
    if math.isfinite(up):
        assert ulp(single, torch.float32) == Fraction(up) - Fraction(abs(single))
        assert ulps_apart(up, abs(single), torch.float32) in (1, Fraction(1, 2))


# --- None, closures, what does not run --------------------------------------------------------------------------------


def test_a_missing_gradient_is_not_a_zero_gradient() -> None:
    assert_clean(falsify(planted.DecaysWithoutGradient, F, histories=12))
    found = falsify(planted.DecaysWithoutGradient, F, histories=12, untouched=Untouched.NONE)
    assert isinstance(found, Violation)
    assert any(listed is None for step in found.history.gradients for listed in step)
    assert "None" in found.sentence
    assert found.about_script == ""
    for wanted in (F, FB, DW):
        assert_clean(falsify(torch.optim.AdamW, wanted, histories=12, untouched=Untouched.NONE))


def test_closures_are_given_where_they_are_needed() -> None:
    found = verdict_on("NoisyEvaluation")
    assert isinstance(found, Violation)
    assert found.evaluation == 0
    assert "closure" in found.sentence
    assert "def closure" in found.script
    hessian = falsify(lambda p: planted.NeedsHessian(p), FB, histories=3)
    assert isinstance(hessian, Tested)
    assert hessian.stopped == 0


@pytest.mark.parametrize(
    ("build", "why"),
    [
        (planted.RaisesAtOnce, "ValueError: needs a model"),
        (planted.RaisesInStep, "RuntimeError: no kernel image is available"),
        (planted.GivesNan, "parameters are not finite after step 1 with ordinary gradients"),
        (lambda p: "no", "TypeError: build returned str, expected an optimizer"),
        (lambda p: torch.optim.SGD(p, lr=0.0), "no parameter moved in any of 3 histories"),
        (torch.optim.Muon, "ValueError: Muon only supports 2D parameters"),
        (torch.optim.SparseAdam, "RuntimeError: SparseAdam does not support dense gradients"),
    ],
)
def test_what_does_not_run_is_told_in_one_sentence(build: object, why: str) -> None:
    found = falsify(build, F, histories=3)  # type: ignore[arg-type]
    assert isinstance(found, NotRun)
    assert found.why.startswith(why)
    assert "\n" not in found.sentence


@pytest.mark.skipif(torch.cuda.is_available(), reason="the planted optimizer runs where there is a GPU")
def test_an_optimizer_that_needs_a_gpu_is_not_run() -> None:
    assert isinstance(falsify(planted.NeedsCuda, F, histories=3), NotRun)


def test_histories_that_end_early_are_counted() -> None:
    found = assert_clean(falsify(planted.RaisesLater, F, histories=20))
    assert 0 < found.stopped < 20
    assert found.why_stopped == "RuntimeError: too late"
    assert "ended early" in found.sentence


def test_a_search_repeats_itself_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    torch_state, state = torch.get_rng_state(), random.getstate()
    first = falsify(planted.CentredRows, F, seed=3)
    assert torch.equal(torch_state, torch.get_rng_state())
    assert state == random.getstate()
    assert falsify(planted.CentredRows, F, seed=3) == first
    clean = falsify(planted.Plain, F, seed=3, histories=20)
    assert falsify(planted.Plain, F, seed=3, histories=20) == clean
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "arguments",
    [
        {"histories": 0},
        {"steps": ()},
        {"steps": (0, 1)},
        {"widths": ()},
        {"widths": ((2, 3),)},
        {"widths": ((2, 0, 1),)},
        {"ulps": -1},
        {"dtype": torch.int64},
        {"settings": {"lr": []}},
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        falsify(planted.Plain, F, **arguments)  # type: ignore[arg-type]
