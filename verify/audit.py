"""The whole trip: configuration -> plan -> replicas -> certified comparison -> results.

`plan` fixes everything that must be fixed before the first replica: the cases, what each theorem says of them, the
comparisons and their levels. `carry_out` simulates and compares. Nothing flows back.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction

import sympy

from theorems.catalogue import THEOREMS
from theorems.errors import InvalidInput
from theorems.hypotheses import Evidence, Property, Status, weakest
from theorems.laws import Initialization, Zero
from theorems.problem import Problem
from theorems.setting import Architecture, DataSet
from theorems.theorem import CLAIMS, Event, Relation
from verify.blocks import Progress, Unit, count_all
from verify.cases import AuditConfig, Simulation, Sweep, parse_fraction
from verify.data import load_data
from verify.dead_neuron import DeadProbability, dead_probability
from verify.enclosure import Enclosure, float_down
from verify.environment import describe_environment
from verify.evaluate import Evaluation, certified_margin, evaluate_theorem, forced_risk
from verify.executors import Workers
from verify.inference import Count, Judgement, LevelPlan, Verdict, confidence_limits, judge
from verify.ledger import Ledger
from verify.optimizers.registry import ResolvedOptimizer, resolve
from verify.results import (
    RISK_BINS,
    SCHEMA,
    BoundResult,
    CaseResult,
    DataResult,
    FindingResult,
    FrequencyResult,
    JudgementResult,
    Results,
    RunResult,
    StartResult,
    TheoremResult,
    write_ratio,
)
from verify.risk import best_witness
from verify.simulation.eager import TrainingRows, check_device
from verify.simulation.engine_names import Engine
from verify.simulation.engines import Choice, choose
from verify.simulation.forward import FloatData
from verify.simulation.outcome import Outcome
from verify.simulation.runs import CONTROL, CONTROL_FIRST, RunCounts, RunTask, Start, StartCounts, StartTask

__all__ = ["Plan", "PlannedCase", "PlannedStart", "carry_out", "plan", "resolution", "units_of"]

MAX_PARAMETERS = 5_000_000
NORMAL_RANGE = {"float32": (2.0**-126, 2.0**127), "float64": (2.0**-1022, 2.0**1023)}
SCALES = (sympy.Integer(2) ** -100, sympy.Integer(2) ** 100)  # of variances
CELLS_IN_FLIGHT = 2_000_000  # numbers held for one block of initial networks, whatever their size


@dataclass(frozen=True)
class PlannedCase:
    """A start with an optimizer, and what each theorem says of it."""

    id: str
    optimizer: ResolvedOptimizer
    evaluations: tuple[Evaluation, ...]

    @property
    def event(self) -> Event:
        """The structural event that outcomes and persistence speak of: that of the best theorem that applies."""
        holding = [e for e in self.evaluations if e.bound is not None and e.forced is not None]
        return max(
            holding, key=lambda e: Fraction(-1) if e.bound is None else e.bound.lo, default=self.evaluations[0]
        ).event

    @property
    def risk_comparison(self) -> str:
        """Name of the comparison of the risk event."""
        return f"{self.id}|risk"


@dataclass(frozen=True)
class PlannedStart:
    """Initial networks to draw, and the cases that train them."""

    id: str
    sweep: Sweep
    data_key: str
    start: Start
    p_dead: DeadProbability | None
    reachable: Fraction
    cases: tuple[PlannedCase, ...]

    @property
    def events(self) -> tuple[Event, ...]:
        """The structural events to count, each once."""
        return tuple(dict.fromkeys(evaluation.event for case in self.cases for evaluation in case.evaluations))

    def comparison(self, event: Event) -> str:
        """Name of the comparison of a structural event."""
        return f"{self.id}|{event}"


@dataclass(frozen=True)
class Plan:
    """Everything that is fixed before the first replica."""

    config: AuditConfig
    device: str
    data: dict[str, DataSet]
    starts: tuple[PlannedStart, ...]
    level: LevelPlan
    engines: dict[str, Choice]

    def manifest(self) -> dict[str, object]:
        """What is written down before sampling: title, seed, numbers of replicas, interval, levels."""
        simulation = self.config.simulation
        return {
            "title": self.config.title,
            "seed": self.config.seed,
            "initializations": simulation.initializations,
            "replicas": simulation.replicas,
            "interval": self.config.inference.interval,
            "level": self.level.to_builtins(),
        }

    @property
    def n_cases(self) -> int:
        """Number of cases."""
        return sum(len(start.cases) for start in self.starts)


def plan(config: AuditConfig, device: str = "cpu") -> Plan:
    """Load data, resolve names, put every theorem to every case, and fix the level of each comparison.

    Fails: InvalidInput with one sentence for whatever cannot be used.
    """
    check_device(device)
    data = {key: load_data(choice.spec(f"$.data.{key}")) for key, choice in config.data.items()}
    for each in data.values():
        FloatData.of(each)  # refuses what floats cannot hold, before anything is drawn
    starts = tuple(start for sweep in config.sweep for start in _plan_sweep(config, sweep, data))
    names = [start.comparison(event) for start in starts for event in start.events]
    names += [case.risk_comparison for start in starts for case in start.cases]
    inference = config.inference
    level = LevelPlan(
        alpha=parse_fraction(inference.alpha, "$.inference.alpha"),
        names=tuple(names),
        reserved_share=parse_fraction(inference.reserved_share, "$.inference.reserved_share"),
    )
    return Plan(config, device, data, starts, level, _engines(config.simulation, device, starts))


def _engines(simulation: Simulation, device: str, starts: tuple[PlannedStart, ...]) -> dict[str, Choice]:
    """What trains each case, by its id. It is settled here, so that every worker uses the same."""
    wanted, batch = Engine.parse(simulation.engine), None if simulation.batch == "all" else simulation.batch
    data = {start.data_key: start.start.data for start in starts}
    rows = {key: TrainingRows.of(each, simulation.dtype, device) for key, each in data.items()}
    return {
        case.id: choose(wanted, start.start.architecture, rows[start.data_key], case.optimizer, batch)
        for start in starts
        for case in start.cases
    }


def _plan_sweep(config: AuditConfig, sweep: Sweep, data: dict[str, DataSet]) -> Iterator[PlannedStart]:
    optimizers = [resolve(spec) for spec in sweep.parsed_optimizers()]
    for optimizer in optimizers:
        _check_settings(optimizer, config.simulation.dtype)
    for key in sweep.data:
        for initialization in sweep.parsed_initializations():
            for architecture in sweep.parsed_architectures():
                yield _plan_start(config, sweep, key, data[key], initialization, architecture, optimizers)


def _check_settings(optimizer: ResolvedOptimizer, dtype: str) -> None:
    """Refuse settings that are another number in the run's arithmetic: an eps of 1e-50 is 0 in float32."""
    smallest, largest = NORMAL_RANGE[dtype]
    for key, value in optimizer.settings.items():
        for number in value if isinstance(value, tuple | list) else (value,):
            if isinstance(number, float) and number != 0 and not smallest <= abs(number) <= largest:
                raise InvalidInput(
                    f"optimizer {optimizer.spec.label}: setting {key}={number} is outside the normal range of {dtype}; "
                    f"expected 0 or a size from {smallest:.2g} to {largest:.2g}"
                )


def _check_scales(architecture: Architecture, initialization: Initialization, dtype: str) -> None:
    """Refuse laws whose draws would underflow or overflow: they would no longer stand for the continuous law."""
    if not initialization.independent:
        return
    for fan_in, fan_out in set(zip(architecture.widths, architecture.widths[1:], strict=False)):
        for law in (initialization.weight_law(fan_in, fan_out), initialization.bias_law(fan_in, fan_out)):
            if not isinstance(law, Zero) and not SCALES[0] < law.variance < SCALES[1]:
                raise InvalidInput(
                    f"initialization {initialization}: the law {law} cannot be drawn in {dtype}; "
                    "expected a standard deviation from 2^-50 to 2^50"
                )


def _plan_start(
    config: AuditConfig,
    sweep: Sweep,
    key: str,
    data: DataSet,
    initialization: Initialization,
    architecture: Architecture,
    optimizers: list[ResolvedOptimizer],
) -> PlannedStart:
    if architecture.n_parameters > MAX_PARAMETERS:
        raise InvalidInput(
            f"architecture {architecture} has {architecture.n_parameters} parameters; "
            f"expected at most {MAX_PARAMETERS} to simulate replicas in blocks"
        )
    _check_scales(architecture, initialization, config.simulation.dtype)
    identity = f"{sweep.name}/{key}/{initialization}/{architecture}"
    cases = []
    for optimizer in optimizers:
        problem = Problem(architecture, initialization, data, optimizer.properties)
        evaluations = tuple(evaluate_theorem(THEOREMS[name], problem) for name in sweep.theorems)
        cases.append(PlannedCase(f"{identity}/{optimizer.spec.label}", optimizer, evaluations))
    return PlannedStart(
        id=identity,
        sweep=sweep,
        data_key=key,
        start=Start(architecture, initialization, data, config.simulation.dtype, config.seed),
        p_dead=dead_probability(Problem(architecture, initialization, data, optimizers[0].properties)),
        reachable=_reachable(architecture, data, parse_fraction(config.simulation.reach, "$.simulation.reach")),
        cases=tuple(cases),
    )


def _reachable(architecture: Architecture, data: DataSet, reach: Fraction) -> Fraction:
    """`U = (nu + V) - reach (nu + V - witness)`: at or above the risk of an explicit network, so `U >= I(l)`."""
    constant = data.noise_floor + data.variance
    return constant - reach * (constant - best_witness(architecture, data).risk)


# --- carrying a plan out ------------------------------------------------------------------------------------------


def carry_out(
    planned: Plan,
    executor: Executor | Workers,
    on_progress: Progress = lambda done, total: None,
    ledger: Ledger | None = None,
) -> Results:
    """Simulate every start and case of a plan on an executor, and compare.

    The results depend on the plan alone, not on the executor or on the order in which blocks finish, nor on how much of
    it a ledger already had.
    Fails: InvalidInput if a foreign optimizer cannot be stepped, workers are lost, or the ledger cannot be used.
    """
    began, created = time.monotonic(), datetime.now(UTC)
    start_units, run_units = units_of(planned)
    counted = iter(count_all([*start_units, *run_units], executor, ledger, on_progress))
    drawn = [_of_starts(next(counted)) for _ in start_units]
    starts, cases = [], []
    for number, start in enumerate(planned.starts):
        counts = drawn[number]
        starts.append(_start_result(start, counts))
        frequencies = {event: _structural_frequency(planned, start, event, counts) for event in start.events}
        for case in start.cases:
            runs = _of_runs(next(counted))
            cases.append(_case_result(planned, start, case, frequencies, runs))
    return Results(
        schema=SCHEMA,
        title=planned.config.title,
        created=created.isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - began, 3),
        seed=planned.config.seed,
        settings=_settings(planned),
        level=planned.level.to_builtins(),
        environment=describe_environment(),
        claims=dict(CLAIMS),
        data=tuple(_data_result(key, data) for key, data in planned.data.items()),
        starts=tuple(starts),
        cases=tuple(cases),
    )


def units_of(planned: Plan) -> tuple[list[Unit], list[Unit]]:
    """What is to be counted: one unit for each start, and one for each case, in the plan's order."""
    simulation = planned.config.simulation
    starts = [
        Unit(
            StartTask(start.start, 0, 1, start.events),
            total=simulation.initializations,
            block=max(1, CELLS_IN_FLIGHT // start.start.architecture.n_parameters),
        )
        for start in planned.starts
    ]
    runs = [
        Unit(_run_task(planned, start, case), total=simulation.replicas, block=simulation.block)
        for start in planned.starts
        for case in start.cases
    ]
    return starts, runs


def _run_task(planned: Plan, start: PlannedStart, case: PlannedCase) -> RunTask:
    simulation = planned.config.simulation
    return RunTask(
        start=start.start,
        optimizer=case.optimizer.spec,
        event=case.event,
        reachable=start.reachable,
        steps=simulation.steps,
        batch=None if simulation.batch == "all" else simulation.batch,
        look_every=simulation.look_every,
        device=planned.device,
        first=0,
        count=1,
        engine=planned.engines[case.id].engine,
        epsilon=simulation.epsilon,
        skip_certain=simulation.skip_certain,
    )


def _of_starts(counts: StartCounts | RunCounts) -> StartCounts:
    if not isinstance(counts, StartCounts):
        raise TypeError("expected counts of initial networks")
    return counts


def _of_runs(counts: StartCounts | RunCounts) -> RunCounts:
    if not isinstance(counts, RunCounts):
        raise TypeError("expected counts of trained networks")
    return counts


# --- comparisons -------------------------------------------------------------------------------------------------


def resolution(dtype: str, architecture: Architecture) -> Fraction:
    """How far float draws may move a probability (math §8): 1e-5, and at least `2^-23 D(l)` in float32."""
    coarse = Fraction(architecture.n_parameters, 2**23) if dtype == "float32" else Fraction(0)
    return max(Fraction(1, 100_000), coarse)


def _structural_frequency(planned: Plan, start: PlannedStart, event: Event, counts: StartCounts) -> FrequencyResult:
    return _frequency(planned, start.comparison(event), str(event), counts.count(event))


def _frequency(planned: Plan, comparison: str, event: str, count: Count) -> FrequencyResult:
    alpha = planned.level.alpha_for(comparison)
    limits = confidence_limits(count, planned.config.inference.kind, alpha)
    return FrequencyResult(
        event=event,
        events=count.events,
        lost=count.lost,
        trials=count.trials,
        interval=planned.config.inference.interval,
        alpha=write_ratio(alpha),
        lo=write_ratio(limits.lo),
        hi=write_ratio(limits.hi),
    )


def _limits(frequency: FrequencyResult) -> Enclosure:
    return Enclosure(Fraction(frequency.lo), Fraction(frequency.hi))


def _compared(
    evaluation: Evaluation, frequency: FrequencyResult, start: PlannedStart, dtype: str, relation: Relation
) -> JudgementResult:
    judgement = judge(
        bound=evaluation.bound,
        limits=_limits(frequency),
        hypotheses=evaluation.status,
        hypothesis_reason=evaluation.reason,
        resolution=resolution(dtype, start.start.architecture),
        relation=relation,
    )
    return _judgement_result(judgement, evaluation)


def _judgement_result(judgement: Judgement, evaluation: Evaluation) -> JudgementResult:
    """A comparison takes float draws for the continuous law, so its evidence is `assumed` (math §8)."""
    compared = judgement.verdict in (Verdict.CONFIRMED, Verdict.CONSISTENT, Verdict.REFUTED)
    evidence = weakest([evaluation.evidence, Evidence.ASSUMED]) if compared else evaluation.evidence
    return JudgementResult(judgement.verdict.value, judgement.why, evidence.value)


def _theorem_result(
    evaluation: Evaluation, start: PlannedStart, frequency: FrequencyResult, risk: FrequencyResult, dtype: str
) -> TheoremResult:
    data = start.start.data
    comparable = evaluation.forced is not None and start.reachable < forced_risk(
        evaluation.forced, start.start.architecture, data
    )
    bound = evaluation.bound
    margin = certified_margin(evaluation, start.start.architecture, data)
    return TheoremResult(
        theorem=evaluation.theorem.id,
        claims=evaluation.theorem.claims,
        hypotheses=tuple(
            FindingResult(f.hypothesis, f.status.value, f.evidence.value, f.why) for f in evaluation.findings
        ),
        applies=evaluation.status.value,
        bound=None if bound is None else BoundResult(write_ratio(bound.lo), write_ratio(bound.hi)),
        bound_evidence=evaluation.evidence.value,
        relation=evaluation.theorem.relation.value,
        event=str(evaluation.event),
        frequency=frequency,
        judgement=_compared(evaluation, frequency, start, dtype, evaluation.theorem.relation),
        # the event forces high risks, and so can other things: of those, even an equality is a lower bound
        risk=_compared(evaluation, risk, start, dtype, Relation.AT_LEAST) if comparable else None,
        rate=None if evaluation.rate is None else float_down(evaluation.rate),
        rate_per=evaluation.rate_per,
        margin=None if margin is None else write_ratio(margin),
    )


def _case_result(
    planned: Plan, start: PlannedStart, case: PlannedCase, frequencies: dict[Event, FrequencyResult], runs: RunCounts
) -> CaseResult:
    dtype = planned.config.simulation.dtype
    count = Count(runs.risk_event, runs.risk_undecided, runs.trials)
    risk = _frequency(planned, case.risk_comparison, "the risk stays above U at every look", count)
    lr = case.optimizer.settings.get("lr")
    return CaseResult(
        id=case.id,
        start=start.id,
        optimizer=case.optimizer.spec.label,
        learning_rate=float(lr) if isinstance(lr, int | float) else None,
        theorems=tuple(
            _theorem_result(evaluation, start, frequencies[evaluation.event], risk, dtype)
            for evaluation in case.evaluations
        ),
        run=RunResult(
            trials=runs.trials,
            event=str(case.event),
            events=runs.event,
            undecided=runs.event_undecided,
            kept=runs.kept,
            claimed=runs.claimed,
            persistent=runs.persistent,
            non_finite=runs.non_finite,
            certain=runs.certain,
            outcomes={outcome.value: runs.outcomes[outcome.value] for outcome in Outcome},
            reachable=write_ratio(start.reachable),
            risk=risk,
            persistence=_persistence(case, runs),
            final_risks=tuple(runs.final_risks.get(str(place), 0) for place in range(RISK_BINS + 2))
            if runs.final_risks
            else None,
        ),
    )


def _persistence(case: PlannedCase, runs: RunCounts) -> JudgementResult:
    """Under (FB) what is dead with a margin must have the same bits after training: one exception refutes."""
    finding = case.optimizer.properties.about(Property.FB)
    told = f"{runs.persistent} of {runs.claimed} kept the same bits"
    if runs.certain:
        told += f", {runs.certain} more were certain at initialization and not trained"
    match finding.status:
        case Status.FAILS:
            later = f"of {runs.event} networks with {case.event}, {runs.kept} have as much dead after training"
            judgement = Verdict.NOT_APPLICABLE, f"{told}; (FB) fails: {finding.why}; {later}"
        case Status.UNKNOWN:
            judgement = Verdict.UNDECIDED, f"{told}; {finding.why}"
        case Status.HOLDS if runs.claimed == 0:
            untrained = f"; {runs.certain} were certain at initialization and not trained" if runs.certain else ""
            nothing = "no trained network that stayed finite had anything dead to keep"
            judgement = Verdict.UNDECIDED, nothing + untrained
        case Status.HOLDS if runs.persistent == runs.claimed:
            judgement = Verdict.CONSISTENT, f"{told}, as (FB) demands"
        case _:
            judgement = Verdict.REFUTED, f"only {told}, although (FB) demands all: {finding.why}"
    return JudgementResult(judgement[0].value, judgement[1], weakest([finding.evidence, Evidence.ASSUMED]).value)


# --- the parts of the results that do not depend on a theorem -----------------------------------------------------


def _start_result(start: PlannedStart, counts: StartCounts) -> StartResult:
    architecture, p_dead = start.start.architecture, start.p_dead
    return StartResult(
        id=start.id,
        sweep=start.sweep.name,
        axis=start.sweep.axis,
        data=start.data_key,
        initialization=start.start.initialization.name,
        architecture=str(architecture),
        widths=architecture.widths,
        parameters=architecture.n_parameters,
        p_dead_method=None if p_dead is None else p_dead.method,
        p_dead=None
        if p_dead is None
        else BoundResult(write_ratio(p_dead.enclosure.lo), write_ratio(p_dead.enclosure.hi)),
        trials=counts.trials,
        dead_layer=counts.dead_layer,
        dead_neurons=counts.dead_neurons,
    )


def _data_result(key: str, data: DataSet) -> DataResult:
    return DataResult(
        key=key,
        name=data.name,
        rows=data.n_rows,
        inputs=data.n_inputs,
        input_dim=data.input_dim,
        output_dim=data.output_dim,
        noise_floor=write_ratio(data.noise_floor),
        variance=write_ratio(data.variance),
    )


def _settings(planned: Plan) -> dict[str, str | int]:
    simulation = planned.config.simulation
    return {
        "initializations": simulation.initializations,
        "replicas": simulation.replicas,
        "steps": simulation.steps,
        "batch": simulation.batch,
        "look_every": simulation.look_every,
        "dtype": simulation.dtype,
        "reach": str(simulation.reach),
        "block": simulation.block,
        "device": planned.device,
        "engine": _engines_in_words(planned),
        "epsilon": simulation.epsilon,
        "certain at initialization": f"after the first {CONTROL_FIRST} replicas one in {CONTROL} trained"
        if simulation.skip_certain
        else "trained",
    }


def _engines_in_words(planned: Plan) -> str:
    """The engine; for `auto`, how many cases each got, and why not a faster one."""
    wanted = planned.config.simulation.engine
    if wanted != Engine.AUTO.value:
        return wanted
    choices = Counter((choice.engine.value, choice.why) for choice in planned.engines.values())
    parts = (
        f"{name} in {n} case{'s' if n != 1 else ''}" + (f" ({why})" if why else "")
        for (name, why), n in choices.items()
    )
    return f"auto: {', '.join(parts)}"
