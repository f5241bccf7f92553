"""Names the kind of a violation by experiments on the optimizer: change one thing, see whether the move goes away."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from theorems.hypotheses import Property
from verify.optimizers.falsify.history import Coordinate, History, Setting, Values
from verify.optimizers.falsify.judge import Judge, Offence, same_bits, ulps_apart
from verify.optimizers.falsify.results import Experiment
from verify.optimizers.falsify.run import Edit, Runner, built
from verify.optimizers.known import Kind

__all__ = ["classify", "without_decay"]

_OTHER_SEED = 12_345
_LATER = 2
_DECAY_NAMES = ("wd", "decay", "l1", "l2", "lambd", "lamda", "lambda_")


def _is_decay(name: str, value: object) -> bool:
    named = "weight_decay" in name or name in _DECAY_NAMES
    return named and isinstance(value, int | float) and not isinstance(value, bool) and value != 0


def without_decay(optimizer: torch.optim.Optimizer) -> list[str]:
    """Set every weight decay of an optimizer to 0; return the names of those that were not."""
    places: list[dict[str, object]] = [*optimizer.param_groups, getattr(optimizer, "defaults", {}), vars(optimizer)]
    names: list[str] = []
    for place in places:
        for name in [name for name, value in place.items() if isinstance(name, str) and _is_decay(name, value)]:
            place[name] = 0.0
            names.append(name)
    return list(dict.fromkeys(names))


@dataclass(frozen=True)
class _Lab:
    """The counterexample, and the means to run it changed."""

    runner: Runner
    judge: Judge
    history: History
    offence: Offence

    @property
    def step(self) -> int:
        return self.offence.step

    def offends(self, runner: Runner, history: History) -> bool | None:
        """Whether the offence is still there; None if the run ends before its step, so that nothing follows."""
        trace = runner.run(history)
        found = self.judge.judge(history, trace).offence
        if found is not None:
            return True
        return None if len(trace.values) <= min(self.step, history.steps) else False

    def values(
        self,
        step: int,
        *,
        edits: Mapping[int, Edit] | None = None,
        seed: int | None = None,
        history: History | None = None,
    ) -> tuple[Values, Values] | None:
        """The parameters before and after a step (at the evaluation that offends, if it is one)."""
        used = self.longer(step) if history is None else history
        trace = self.runner.run(used, edits=edits, seed=seed)
        if len(trace.values) <= step:
            return None
        if self.offence.evaluation is None or step != self.step:
            return trace.values[step - 1], trace.values[step]
        seen = trace.evaluations[step - 1]
        return (trace.values[step - 1], seen[self.offence.evaluation]) if len(seen) > self.offence.evaluation else None

    def longer(self, step: int) -> History:
        """The history up to this step; beyond its end, the last gradients again."""
        gradients = self.history.gradients
        more = (gradients[-1],) * max(0, step - len(gradients))
        return replace(self.history, gradients=(*gradients, *more)[:step])

    def tested(self, values: Values) -> list[float]:
        return [values[index][place] for index, place in self.offence.coordinates]

    def differ(self, first: Values, second: Values) -> bool:
        pairs = zip(self.tested(first), self.tested(second), strict=True)
        return any(not same_bits(a, b) and not (math.isnan(a) and math.isnan(b)) for a, b in pairs)


def classify(runner: Runner, judge: Judge, history: History, offence: Offence) -> tuple[Kind, tuple[Experiment, ...]]:
    """Name the kind of an offence, with every experiment that was made, in order."""
    if judge.wanted is Property.F:  # one coordinate is enough, and then all others are others
        offence = replace(offence, coordinates=offence.coordinates[:1])
    lab = _Lab(runner, judge, history, offence)
    made: list[Experiment] = []
    for trial in (
        _noise,
        _not_finite,
        _decay_setting,
        _reset,
        _other_gradients,
        _other_values,
        _decay_without_setting,
        _state,
    ):
        kind, experiments = trial(lab)
        made += experiments
        if kind is not None:
            return kind, tuple(made)
    return Kind.OTHER, tuple(made)


Answer = tuple[Kind | None, list[Experiment]]


def _noise(lab: _Lab) -> Answer:
    made: list[Experiment] = []
    for change, seed in (
        ("the same history once more, with the same seed", None),
        ("another seed of the random generators", _OTHER_SEED),
    ):
        again = lab.values(lab.step, seed=seed)
        if again is None or lab.differ(again[1], lab.offence.after):
            return Kind.NOISE, [*made, Experiment(change, "it moves differently")]
        made.append(Experiment(change, "it moves in the same way"))
    return None, made


def _not_finite(lab: _Lab) -> Answer:
    return (None if lab.offence.finite else Kind.NOT_FINITE), []


def _decay_setting(lab: _Lab) -> Answer:
    names: list[str] = []

    def build(parameters: list[torch.nn.Parameter], **settings: Setting) -> torch.optim.Optimizer:
        optimizer = built(lab.runner.build, parameters, settings)
        names.extend(without_decay(optimizer))
        return optimizer

    still = lab.offends(replace(lab.runner, build=build), lab.history)
    if not names:
        return None, [Experiment("weight decay set to 0", "there is no such setting, or it is 0 already")]
    change = f"{', '.join(dict.fromkeys(names))} set to 0"
    if still is None:
        return None, [Experiment(change, "the optimizer does not run so")]
    if still:
        return None, [Experiment(change, "it still moves")]
    kind, experiments = _which_decay(lab)
    return kind, [Experiment(change, "it does not move any more"), *experiments]


def _which_decay(lab: _Lab) -> tuple[Kind, list[Experiment]]:
    """Decoupled decay multiplies whatever value it finds, at every step, by the same number; no memory is involved."""
    for step in dict.fromkeys((lab.step, lab.step + _LATER)):
        change = f"its value doubled just before step {step}"
        plain, doubled = lab.values(step), lab.values(step, edits={step: _doubling(lab.offence.coordinates)})
        if plain is None or doubled is None:
            continue
        once, twice = lab.tested(plain[1]), lab.tested(doubled[1])
        size = [max(map(abs, pair)) for pair in zip(lab.tested(plain[0]), once, strict=True)]
        if not all(_close(2 * a, b, 2 * c, lab.judge) for a, b, c in zip(once, twice, size, strict=True)):
            return Kind.COUPLED_DECAY, [Experiment(change, "the step does not multiply it by the same number")]
    return Kind.DECOUPLED_DECAY, [Experiment(change, "the step multiplies it by the same number")]


def _close(first: float, second: float, size: float, judge: Judge) -> bool:
    if not (math.isfinite(first) and math.isfinite(second)):
        return False
    reach = max(abs(first), abs(second), size)
    return reach == 0 or ulps_apart(first, second, judge.dtype) * (max(abs(first), abs(second)) / reach) <= judge.ulps


def _doubling(coordinates: tuple[Coordinate, ...]) -> Edit:
    def edit(optimizer: torch.optim.Optimizer, parameters: list[torch.nn.Parameter]) -> None:
        for index, place in coordinates:
            _flat(parameters[index])[place] *= 2

    return edit


def _flat(parameter: torch.Tensor) -> torch.Tensor:
    """A flat view for writing."""
    return parameter.detach().view(-1)


def _reset(lab: _Lab) -> Answer:
    """A reset forgets the value that it overwrites."""
    change = f"other values just before step {lab.step}"
    results = []
    for sign in (1.0, -1.0):

        def edit(optimizer: torch.optim.Optimizer, parameters: list[torch.nn.Parameter], sign: float = sign) -> None:
            for number, (index, place) in enumerate(lab.offence.coordinates):
                _flat(parameters[index])[place] = sign * (2.25 + 1.5 * number)

        found = lab.values(lab.step, edits={lab.step: edit})
        if found is None:
            return None, []
        results.append(found[1])
    if any(lab.differ(result, lab.offence.after) for result in results):
        return None, [Experiment(change, "the value after the step depends on them: no reset")]
    return Kind.RESET, [Experiment(change, "the value after the step is the same as before")]


def _other_gradients(lab: _Lab) -> Answer:
    """Coupling: what other coordinates' gradients do to it."""
    for change, factor in (("all other gradients 0", 0.0), ("all other gradients multiplied by -3", -3.0)):
        gradients = tuple(
            tuple(None if entries is None else tuple(entry * factor for entry in entries) for entries in listed)
            for listed in lab.history.gradients
        )
        if gradients == lab.history.gradients:
            return None, [Experiment(change, "they are 0 already, and it moves")]
        history = replace(lab.history, gradients=gradients)
        found = lab.values(lab.step, history=history)
        if found is not None and lab.offends(lab.runner, history) is False:
            return Kind.COUPLING, [Experiment(change, "it does not move any more")]
        if found is not None and factor and lab.differ(found[1], lab.offence.after):
            return Kind.COUPLING, [Experiment(change, "it moves differently")]
    return None, [Experiment("all other gradients 0, or multiplied by -3", "it moves all the same")]


def _decay_without_setting(lab: _Lab) -> Answer:
    """A move that is the same multiple of whatever value is there, and none where the value is 0."""
    zeros = list(map(list, lab.history.initial))
    for index, place in lab.offence.coordinates:
        zeros[index][place] = 0.0
    history = replace(lab.history, initial=tuple(map(tuple, zeros)))
    change = "initial value 0"
    found = lab.values(lab.step, history=history)
    if found is None or history == lab.history or any(number != 0 for number in lab.tested(found[1])):
        return None, [Experiment(change, "it still moves")]
    kind, experiments = _which_decay(lab)
    return kind, [Experiment(change, "it does not move"), *experiments]


def _state(lab: _Lab) -> Answer:
    """State that is not 0 although there has been no gradient, and without which it does not move."""
    asked = False
    for step in (lab.step, lab.step + 1):
        plain = lab.values(step)
        if step == 1 or plain is None or not lab.differ(*plain):
            continue
        for name in _names_of_state(lab, step):
            asked = True
            found = lab.values(step, edits={step: _clearing(lab.offence.coordinates, name)})
            if found is not None and not lab.differ(*found):
                change = f"its state {name!r} set to 0 just before step {step}"
                return Kind.INITIAL_STATE, [Experiment(change, "it does not move at that step")]
    return None, [Experiment("each of its state tensors set to 0", "it still moves")] if asked else []


def _names_of_state(lab: _Lab, step: int) -> list[str]:
    """The state tensors that are not 0 at the tested coordinates."""
    names: list[str] = []

    def look(optimizer: torch.optim.Optimizer, parameters: list[torch.nn.Parameter]) -> None:
        for index, place in lab.offence.coordinates:
            for name, kept in _state_of(optimizer, parameters[index]).items():
                if _flat(kept)[place] != 0 and name not in names:
                    names.append(name)

    lab.values(step, edits={step: look})
    return names


def _state_of(optimizer: torch.optim.Optimizer, parameter: torch.nn.Parameter) -> dict[str, torch.Tensor]:
    kept = optimizer.state.get(parameter, {}) if isinstance(getattr(optimizer, "state", None), dict) else {}
    return {
        str(name): value
        for name, value in kept.items()
        if isinstance(value, torch.Tensor) and value.shape == parameter.shape and value.is_contiguous()
    }


def _clearing(coordinates: tuple[Coordinate, ...], name: str) -> Edit:
    def edit(optimizer: torch.optim.Optimizer, parameters: list[torch.nn.Parameter]) -> None:
        for index, place in coordinates:
            kept = _state_of(optimizer, parameters[index]).get(name)
            if kept is not None:
                _flat(kept)[place] = 0

    return edit


def _other_values(lab: _Lab) -> Answer:
    """Coupling: what other coordinates' values do to it."""
    tested = set(lab.offence.coordinates)
    change = f"other coordinates' values changed just before step {lab.step}"

    def edit(optimizer: torch.optim.Optimizer, parameters: list[torch.nn.Parameter]) -> None:
        for index, parameter in enumerate(parameters):
            flat = _flat(parameter)
            for place in range(flat.numel()):
                if (index, place) not in tested:
                    flat[place] = 3 * flat[place] + 0.75

    found = lab.values(lab.step, edits={lab.step: edit})
    if found is not None and lab.differ(found[1], lab.offence.after):
        return Kind.COUPLING, [Experiment(change, "it moves differently")]
    return None, [Experiment(change, "it moves in the same way")]
