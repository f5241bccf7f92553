"""One trial: some coordinates with zero gradients, everything else unknown, and the optimizer's own `step`.

The first steps are run with the step counters that they have. Then the states are joined and widened until no new one
appears: what holds on every path from the remaining states holds at every later step, whatever the number of steps.
"""

from __future__ import annotations

import gc
import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from itertools import count
from typing import Any

import torch
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from theorems.errors import InvalidInput
from verify.optimizers.code_proof import rules_fused, rules_memory, rules_pointwise, rules_reductions
from verify.optimizers.code_proof.arithmetic import Arithmetic, rebased
from verify.optimizers.code_proof.element import (
    ZERO,
    Element,
    Format,
    Multiple,
    anything,
    element_of,
    identifier_of,
    key_of_value,
    real,
)
from verify.optimizers.code_proof.heap import Contents, Survey, names_included, names_joined, survey
from verify.optimizers.code_proof.interpreter import Interpreter, form_of
from verify.optimizers.code_proof.paths import Path, every_path, following
from verify.optimizers.code_proof.refusal import Failure, ImpossiblePath, NoProof, nothing_swallowed
from verify.optimizers.code_proof.scalars import ScalarNode, abstract_math
from verify.optimizers.code_proof.tensor import AbstractTensor, GraphGradient, outside_modes
from verify.optimizers.code_proof.watch import Watch

__all__ = ["Limits", "Move", "Training", "Trial", "Verdict"]

_NUMBERS = count(1)
_RULES = (rules_fused, rules_memory, rules_pointwise, rules_reductions)


@dataclass(frozen=True)
class Training:
    """An optimizer and what runs around its step: gradient clipping before it, a learning-rate schedule after it."""

    optimizer: torch.optim.Optimizer
    before_step: Callable[[], object] | None = None
    after_step: Callable[[], object] | None = None


Build = Callable[[list[torch.Tensor]], "torch.optim.Optimizer | Training"]


@dataclass(frozen=True)
class Limits:
    """Where a trial gives up. steps: how many first steps are tried where there is no proof for every step.

    seconds: for one trial; total: for all trials together, none of which starts later.
    """

    exact_steps: int = 2
    steps: int = 12
    paths: int = 64
    states: int = 60
    seconds: float = 60.0
    total: float = math.inf


Move = tuple[Multiple | None, ...]
"""What a step did to the tested coordinates, in their order; None: nothing that could be followed."""


@dataclass
class Verdict:
    """What a trial found. moves: for the first steps one by one, then for all later ones together.

    every_step: whether the moves are those of every step; otherwise those of the first `steps` steps.
    refused: why there is nothing to say (then `moves` means nothing). met_pole: whether some number other than 0 was
    divided by one that may be 0.
    """

    moves: list[set[Move]] = field(default_factory=list)
    every_step: bool = False
    steps: int = 0
    refused: str = ""
    not_every_step: str = ""
    lost: str = ""
    met_pole: bool = False
    paths: int = 0
    operations: set[str] = field(default_factory=set)


class _Lost(BaseException):
    """A tested coordinate moved in a way that nothing can be said about: no need to go on."""


@dataclass
class _State:
    survey: Survey
    contents: list[Contents]
    partition: tuple[int, ...]
    trial: int

    def includes(self, other: _State) -> bool:
        return (
            all(mine.includes(their) for mine, their in zip(self.contents, other.contents, strict=True))
            and all(other.partition[index] == other.partition[first] for index, first in enumerate(self.partition))
            and names_included(self.contents, other.contents)
        )

    def joined(self, other: _State, *, widen: bool) -> _State:
        pairs_of_contents = zip(self.contents, other.contents, strict=True)
        contents = [mine.joined(their, widen=widen) for mine, their in pairs_of_contents]
        contents = names_joined(contents, self.contents, other.contents, self.trial)
        first: dict[tuple[int, int], int] = {}
        pairs = zip(self.partition, other.partition, strict=True)
        partition = tuple(first.setdefault(pair, index) for index, pair in enumerate(pairs))
        return _State(other.survey, contents, partition, self.trial)

    def install(self) -> None:
        self.survey.restore()
        for slot, contents, first in zip(self.survey.slots, self.contents, self.partition, strict=True):
            slot.put(contents, self.survey.slots[first].name)


class Trial:
    """The optimizer on parameters of given shapes, with `tested` coordinates (parameter, flat place) at gradient 0.

    finite: leave out executions in which other numbers overflow, and parameters that are not finite.
    poles: whether to keep those in which a number other than 0 is divided by 0.
    closure: whether `step` is given one. graph: whether one can differentiate through the gradients.
    """

    def __init__(
        self,
        build: Build,
        shapes: Sequence[tuple[int, ...]],
        tested: Sequence[tuple[int, int]],
        *,
        dtype: torch.dtype,
        finite: bool,
        poles: bool = True,
        closure: bool,
        graph: bool = False,
        limits: Limits,
    ) -> None:
        self.build, self.shapes, self.tested = build, shapes, list(tested)
        self.dtype, self.form = dtype, form_of(dtype)
        self.closure, self.graph, self.limits = closure, graph, limits
        self.arithmetic = Arithmetic(finite=finite, poles=poles)
        self.machine = Interpreter(self.arithmetic)
        _warm_up()
        self.watch = Watch()
        self.verdict = Verdict()
        self.parameters: list[AbstractTensor] = []
        self.training: Training | None = None
        self.deadline = time.process_time() + limits.seconds
        self.evaluations: list[Move] = []
        self.number = next(_NUMBERS)
        self._start: Survey | None = None

    # --- running -----------------------------------------------------------------------------------------------------

    def run(self, *, every_step: bool) -> Verdict:
        """Carry out the trial: for every step, or for the first `limits.steps`."""
        verdict = self.verdict
        try:
            frontier = self._constructed()
            exact = self.limits.exact_steps if every_step else self.limits.steps
            for _ in range(exact):
                frontier = self._advanced(frontier)
                verdict.steps += 1
            if every_step:
                self._closed(frontier)
                verdict.every_step = True
        except NoProof as refusal:
            verdict.refused = str(refusal)
        except _Lost:
            pass
        finally:
            if self._start is not None:
                self._start.restore()
            self.watch.put_back()
        verdict.operations, verdict.met_pole = self.machine.operations, self.arithmetic.met_pole
        return verdict

    def _constructed(self) -> dict[tuple[Any, ...], _State]:
        path = Path(self.arithmetic)
        with following(path):
            for number, shape in enumerate(self.shapes):
                codes = torch.full(shape, identifier_of(self._other()), dtype=torch.int64)
                parameter = AbstractTensor(codes, self.dtype, True)
                parameter.__dict__["_is_param"] = True
                self.parameters.append(parameter)
                self._anchor(number)
            self.watch.follow(self.build)
            with self._interpreting():
                made = self.build(list(self.parameters))
            self.training = made if isinstance(made, Training) else Training(made)
            self._follow_code()
            if path.taken:
                raise NoProof(f"the constructor branches on unknown numbers, at {path.lines[0]}")
            state = self._captured(self._move())
            self._start = state.survey
        return {state.survey.structure: state}

    def _follow_code(self) -> None:
        """Find the globals that the optimizer's code uses, before the first step."""
        training = self.training
        if training is None or not isinstance(training.optimizer, torch.optim.Optimizer):
            found = type(None if training is None else training.optimizer).__name__
            raise InvalidInput(f"build returned a {found}; expected a torch.optim.Optimizer")
        if _global_optimizer_pre_hooks or _global_optimizer_post_hooks:
            raise NoProof("hooks for all optimizers are registered with torch, whose contents cannot be seen")
        for owner in type(training.optimizer).__mro__:
            self.watch.follow(owner)
            self.watch.freeze(owner)
        for around in (training.before_step, training.after_step):
            self.watch.follow(around)

    def _advanced(self, frontier: dict[tuple[Any, ...], _State]) -> dict[tuple[Any, ...], _State]:
        reached: dict[tuple[Any, ...], _State] = {}
        moves: set[Move] = set()
        self.verdict.moves.append(moves)
        for state in frontier.values():
            for after in self._steps_from(state, moves):
                known = reached.get(after.survey.structure)
                reached[after.survey.structure] = after if known is None else known.joined(after, widen=False)
        return reached

    def _closed(self, frontier: dict[tuple[Any, ...], _State]) -> None:
        """Join and widen until no new state appears. What counts is what the final states do."""
        known = dict(frontier)
        waiting = list(frontier)
        moves: dict[tuple[Any, ...], set[Move]] = {}
        self.verdict.moves.append(set())
        rounds = 0
        while waiting:
            rounds += 1
            if rounds > self.limits.states:
                raise NoProof("the abstract state does not repeat")
            start = waiting.pop(0)
            moves[start] = set()
            for after in list(self._steps_from(known[start], moves[start])):
                name = after.survey.structure
                old = known.get(name)
                if old is None:
                    known[name] = after
                elif not old.includes(after):
                    known[name] = old.joined(after, widen=True)
                else:
                    continue
                if name not in waiting:
                    waiting.append(name)
        self.verdict.moves[-1] = set().union(*moves.values())

    def _steps_from(self, state: _State, moves: set[Move]) -> Iterator[_State]:
        for path, after in every_path(lambda path: self._step(state), self.arithmetic, self.limits.paths):
            self.verdict.paths = max(self.verdict.paths, len(path.taken))
            moves.update(after[0])
            yield after[1]

    # --- one step ----------------------------------------------------------------------------------------------------

    def _step(self, state: _State) -> tuple[set[Move], _State]:
        if time.process_time() > self.deadline:
            raise NoProof(f"the time limit of {self.limits.seconds:g} seconds is reached")
        state.install()
        for number in range(len(self.parameters)):
            self._anchor(number)
        self.evaluations = []
        self._new_gradients()
        self.machine.guard(self._still_linked)
        with self._interpreting():
            self._call()
        for parameter in self.parameters:
            parameter.grad = None
            if parameter._backward_hooks or getattr(parameter, "_post_accumulate_grad_hooks", None):
                raise NoProof("the optimizer hooks into the backward pass, which is not run here")
        last = self._move()
        moves = {last, *self.evaluations}
        if any(link is None for move in moves for link in move):
            self.verdict.moves[-1].update(moves)
            self.verdict.lost = self.machine.lost or "a tested coordinate may move"
            raise _Lost
        return moves, self._captured(last)

    def _call(self) -> None:
        training = self.training
        if training is None:
            raise NoProof("no optimizer was built")
        if training.before_step is not None:
            training.before_step()
        if self.closure:
            training.optimizer.step(self._closure)  # type: ignore[arg-type]
        else:
            training.optimizer.step()
        if training.after_step is not None:
            training.after_step()

    def _closure(self) -> torch.Tensor:
        """A new evaluation of loss and gradients, at wherever the parameters are now."""
        with outside_modes():
            self.evaluations.append(self._move())
            self._new_gradients()
            return AbstractTensor(torch.full((), identifier_of(self._other())), self.dtype)

    @contextmanager
    def _interpreting(self) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(nothing_swallowed())
            stack.enter_context(_no_warnings())
            stack.enter_context(_no_collection())
            stack.enter_context(self.watch.watching())
            stack.enter_context(abstract_math())
            stack.enter_context(_abstract_constructors())
            if self.graph:
                stack.enter_context(_unknown_derivatives(self._other()))
            stack.enter_context(self.machine)
            try:
                yield
            except Failure:
                raise ImpossiblePath from None
            except InvalidInput:
                raise
            except Exception as error:
                lines = str(error).strip().splitlines()
                reason = f": {lines[0]}" if lines else ""
                raise NoProof(f"raises {type(error).__name__}{reason}") from error

    def _other(self) -> Element:
        return (real if self.arithmetic.finite else anything)(self.form)

    def _anchor(self, number: int) -> None:
        """Tested coordinates are multiples 1 of what they are now; the others are real, or anything."""
        parameter = self.parameters[number]
        flat = [identifier_of(self._other())] * parameter.numel()
        if not self.arithmetic.finite:
            flat = parameter.codes.reshape(-1).tolist()
        for coordinate, (owner, place) in enumerate(self.tested):
            if owner == number:
                flat[place] = identifier_of(start_value(self.form, coordinate))
        parameter.codes.copy_(torch.tensor(flat, dtype=torch.int64).reshape(parameter.shape))

    def _new_gradients(self) -> None:
        for number, parameter in enumerate(self.parameters):
            flat = [identifier_of(self._other())] * parameter.numel()
            for owner, place in self.tested:
                if owner == number:
                    flat[place] = identifier_of(ZERO)
            codes = torch.tensor(flat, dtype=torch.int64).reshape(parameter.shape)
            parameter.grad = (GraphGradient if self.graph else AbstractTensor)(codes, self.dtype, self.graph)

    def _still_linked(self) -> bool:
        return all(link is not None for link in self._move())

    def _move(self) -> Move:
        links: list[Multiple | None] = []
        flats = [parameter.codes.reshape(-1).tolist() for parameter in self.parameters]
        for coordinate, (owner, place) in enumerate(self.tested):
            element = element_of(flats[owner][place])
            link = _multiple_zero(coordinate) if element.is_zero else element.link
            usable = link is not None and link.coordinate == coordinate and not element.nan
            links.append(link if usable else None)
        return tuple(links)

    def _captured(self, last: Move) -> _State:
        """The state after a step that moved the tested coordinates so: its multiples as those of the new values."""
        training = self.training
        roots: list[tuple[str, Any]] = [("parameters", tuple(self.parameters)), ("training", training)]
        relink: Callable[[Multiple], Multiple | None] = lambda link: rebased(link, last[link.coordinate])  # noqa: E731
        found = survey(roots, self.watch.names.values(), relink, self.number)
        return _State(found, [slot.contents for slot in found.slots], found.partition(), self.number)


@lru_cache(maxsize=1)
def _warm_up() -> None:
    """Torch's optimizers import parts of torch when they are first used: not after the watch began."""
    parameter = torch.zeros(1, requires_grad=True)
    parameter.grad = torch.zeros(1)
    torch.optim.SGD([parameter]).step()


def _multiple_zero(coordinate: int) -> Multiple:
    """A number that is 0 is the multiple 0 of the start value."""
    return Multiple(coordinate, Fraction(0), Fraction(0), key_of_value(Fraction(0)), False)


def start_value(form: Format, coordinate: int) -> Element:
    """Any finite number, called the start value of a coordinate."""
    everything = real(form)
    one = Fraction(1)
    return Element(everything.lo, everything.hi, False, Multiple(coordinate, one, one, key_of_value(one), True))


@contextmanager
def _abstract_constructors() -> Iterator[None]:
    """Let torch.tensor and torch.as_tensor take abstract numbers, which torch itself would turn into plain ones."""
    saved = {name: getattr(torch, name) for name in ("tensor", "as_tensor", "asarray")}

    def extended(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def construct(*args: Any, **options: Any) -> torch.Tensor:
            if args and _holds_abstract(args[0]):
                return _tensor_of(args[0], options.get("dtype"))
            return function(*args, **options)

        return construct

    for name, function in saved.items():
        setattr(torch, name, extended(function))
    try:
        yield
    finally:
        for name, function in saved.items():
            setattr(torch, name, function)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Collect no garbage meanwhile: the callbacks and finalizers that would run are no part of the step."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def _unknown_derivatives(element: Element) -> Iterator[None]:
    """Let torch.autograd.grad give any numbers (those of the element) for gradients of gradients."""
    saved = torch.autograd.grad

    def derivatives(outputs: Any, inputs: Any, grad_outputs: Any = None, **options: Any) -> tuple[torch.Tensor, ...]:
        asked = [inputs] if isinstance(inputs, torch.Tensor) else list(inputs)
        unusual = {name for name, value in options.items() if value and name != "retain_graph"}
        if unusual or not all(isinstance(each, AbstractTensor) and each.is_leaf for each in asked):
            raise NoProof("second derivatives are asked for in a way that is not interpreted")
        with outside_modes():
            codes = [torch.full(each.shape, identifier_of(element), dtype=torch.int64) for each in asked]
            return tuple(AbstractTensor(code, each.dtype) for code, each in zip(codes, asked, strict=True))

    setattr(torch.autograd, "grad", derivatives)  # noqa: B010  # its declared type has overloads
    try:
        yield
    finally:
        setattr(torch.autograd, "grad", saved)  # noqa: B010


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Silence warnings without replacing the list of filters, which is one of the objects that may not change."""
    kept = warnings.filters[:]
    warnings.simplefilter("ignore")
    try:
        yield
    finally:
        warnings.filters[:] = kept  # type: ignore[index]  # a list, though typed as any sequence


def _holds_abstract(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(_holds_abstract(part) for part in value)
    return isinstance(getattr(value, "node", None), ScalarNode)


def _tensor_of(value: Any, dtype: torch.dtype | None) -> torch.Tensor:
    if isinstance(value, list | tuple):
        return torch.stack([_tensor_of(part, dtype) for part in value])
    if dtype is None:
        dtype = torch.int64 if isinstance(value, int) else torch.get_default_dtype()
    return torch.scalar_tensor(value, dtype=dtype)
