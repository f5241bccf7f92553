"""One run of an optimizer on one history; whatever it raises becomes a sentence."""

from __future__ import annotations

import contextlib
import inspect
import io
import math
import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

import torch

from verify.optimizers.falsify.history import History, Setting, Values

__all__ = ["Build", "Edit", "Feed", "Runner", "Trace", "built", "feeds", "finite", "quiet", "reason", "tensors"]

Build = Callable[..., torch.optim.Optimizer]
"""Makes the optimizer from the list of parameters; settings, if any, are given as keywords."""
Edit = Callable[[torch.optim.Optimizer, list[torch.nn.Parameter]], None]
"""What an experiment changes, just before a step."""


class Feed(Enum):
    """How `step` gets its gradients."""

    GRADIENT = "the gradients are set, then step() is called"
    CLOSURE = "step(closure), the closure sets the gradients"
    GRAPH = "step(closure), the closure differentiates a quadratic with these gradients, keeping the graph"


@dataclass
class Trace:
    """The parameters before step 1 and after each step; `evaluations`: those at each call of the closure, by step.

    stopped: why the run ended early, else empty. raised: it ended by an exception.
    """

    values: list[Values] = field(default_factory=list)
    evaluations: list[list[Values]] = field(default_factory=list)
    stopped: str = ""
    raised: bool = False

    @property
    def moves(self) -> bool:
        """Whether any parameter moved."""
        return len(set(self.values)) > 1


def finite(values: Values) -> bool:
    """Whether all numbers are finite."""
    return all(math.isfinite(number) for listed in values for number in listed)


def reason(error: BaseException) -> str:
    """The first line of a foreign error, after its type."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


@contextlib.contextmanager
def quiet(seed: int) -> Iterator[None]:
    """Seeded generators, no warnings, nothing printed; generators are put back afterwards."""
    kept, generator = random.getstate(), torch.default_generator
    kept_torch = generator.get_state()
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        generator.manual_seed(seed)
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(kept)
            generator.set_state(kept_torch)


def tensors(
    listed: tuple[tuple[float, ...], ...], shapes: tuple[tuple[int, ...], ...], dtype: torch.dtype
) -> list[torch.Tensor]:
    """The numbers as tensors of these shapes."""
    return [torch.tensor(entries, dtype=dtype).reshape(shape) for entries, shape in zip(listed, shapes, strict=True)]


@dataclass(frozen=True)
class Runner:
    """Runs one optimizer; `feed` is how its `step` gets gradients."""

    build: Build
    dtype: torch.dtype
    feed: Feed = Feed.GRADIENT

    def run(self, history: History, *, edits: Mapping[int, Edit] | None = None, seed: int | None = None) -> Trace:
        """Run a history. edits: what to change just before which step. The run ends where a number is not finite."""
        trace = Trace()
        with quiet(history.seed if seed is None else seed):
            try:
                self._run(history, edits or {}, trace)
            except (Exception, SystemExit) as error:
                trace.stopped, trace.raised = reason(error), True
        return trace

    def _run(self, history: History, edits: Mapping[int, Edit], trace: Trace) -> None:
        parameters = [torch.nn.Parameter(each) for each in tensors(history.initial, history.shapes, self.dtype)]
        optimizer = built(self.build, parameters, history.settings)
        trace.values.append(values_of(parameters))
        for step, listed in enumerate(history.gradients, start=1):
            if step in edits:
                with torch.no_grad():
                    edits[step](optimizer, parameters)
                trace.values[-1] = values_of(parameters)
            gradients = [
                None if entries is None else torch.tensor(entries, dtype=self.dtype).reshape(shape)
                for entries, shape in zip(listed, history.shapes, strict=True)
            ]
            trace.evaluations.append([])
            self._step(optimizer, parameters, gradients, trace.evaluations[-1])
            trace.values.append(values_of(parameters))
            if not finite(trace.values[-1]):
                trace.stopped = f"parameters are not finite after step {step}"
                return

    def _step(
        self,
        optimizer: torch.optim.Optimizer,
        parameters: list[torch.nn.Parameter],
        gradients: list[torch.Tensor | None],
        seen: list[Values],
    ) -> None:
        def closure() -> torch.Tensor:
            seen.append(values_of(parameters))
            if self.feed is Feed.GRAPH:
                return quadratic(parameters, gradients)
            assign(parameters, gradients)
            return torch.ones((), dtype=self.dtype)

        if self.feed is Feed.GRADIENT:
            assign(parameters, gradients)
            optimizer.step()
        else:
            optimizer.step(closure)  # type: ignore[arg-type]  # optimizers call backward on the loss, or float
            if not seen:  # then it got no gradients either
                raise RuntimeError("step does not call its closure")


def built(build: Build, parameters: list[torch.nn.Parameter], settings: Mapping[str, Setting]) -> torch.optim.Optimizer:
    """Make the optimizer; TypeError if the result has no `step`."""
    optimizer = build(list(parameters), **settings)
    if not callable(getattr(optimizer, "step", None)):
        raise TypeError(f"build returned {type(optimizer).__name__}, expected an optimizer")
    return optimizer


def values_of(parameters: list[torch.nn.Parameter]) -> Values:
    """All entries as Python floats; exact for every torch floating-point type."""
    return tuple(tuple(parameter.detach().reshape(-1).tolist()) for parameter in parameters)


def assign(parameters: list[torch.nn.Parameter], gradients: list[torch.Tensor | None]) -> None:
    """Set every parameter's `grad`."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = None if gradient is None else gradient.clone()


def quadratic(parameters: list[torch.nn.Parameter], gradients: list[torch.Tensor | None]) -> torch.Tensor:
    """Differentiate sum g p + g (p - p0)^2 / 2 at p = p0, the present values: gradient exactly g, Hessian diag(g)."""
    with torch.enable_grad():
        assign(parameters, [None] * len(parameters))
        loss = torch.zeros((), dtype=parameters[0].dtype)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if gradient is not None:
                moved = parameter - parameter.detach()
                loss = loss + (gradient * moved + gradient * moved * moved / 2).sum()
        loss.backward(create_graph=True)  # type: ignore[no-untyped-call]
    return loss


def feeds(build: Build, history: History, dtype: torch.dtype) -> list[Feed]:
    """The ways to try, likeliest first: a `closure` argument without default asks for one."""
    with quiet(history.seed):
        try:
            parameters = [torch.nn.Parameter(each) for each in tensors(history.initial, history.shapes, dtype)]
            closure = inspect.signature(built(build, parameters, history.settings).step).parameters.get("closure")
        except (Exception, SystemExit):
            return [Feed.GRADIENT]
    if closure is None:
        return [Feed.GRADIENT]
    needed = closure.default is inspect.Parameter.empty
    return [Feed.CLOSURE, Feed.GRAPH] if needed else [Feed.GRADIENT, Feed.CLOSURE, Feed.GRAPH]
