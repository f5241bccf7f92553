"""Optax transformations as torch optimizers: run by JAX itself, and as the program that JAX traces, in torch.

What is falsified is JAX's own compiled step, on JAX arrays; what is proved is the program that JAX traces for the same
shapes before it compiles it, each primitive taken for the torch operation of the same meaning (`jax_program`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from verify.optimizers.jax_program import Program, Untranslated, translated

__all__ = ["ABOUT_PROGRAM", "OptaxBuild", "factories"]

ABOUT_PROGRAM = (
    "what is proved is the program that JAX traces, each of its primitives taken for the torch operation of the same "
    "meaning, no number is subnormal (JAX takes these for 0), and whole numbers of 32 bits do not overflow"
)
_RATES = ("learning_rate", "max_learning_rate")
_WRAPPERS = ("lookahead", "contrib.mechanize", "contrib.sam")
_RATE = 1e-3

Step = Callable[..., tuple[list[Any], list[Any]]]


def factories() -> dict[str, Callable[..., Any]]:
    """The optimizers that optax lists, by name: what makes a transformation from a learning rate, or wraps one.

    The others are the parts that these are made of. Fails: ImportError without optax.
    """
    import optax

    found: dict[str, Callable[..., Any]] = {}
    for prefix, module in (("", optax), ("contrib.", optax.contrib)):
        for name, value in vars(module).items():
            if name.startswith(("_", "scale_by_")) or inspect.isclass(value) or not _makes_transformation(value):
                continue
            if f"{prefix}{name}" in _WRAPPERS or _rate_of(value):
                found[f"{prefix}{name}"] = value
    return dict(sorted(found.items()))


def _makes_transformation(value: object) -> bool:
    if not callable(value):
        return False
    try:
        returns = inspect.signature(value).return_annotation
    except (TypeError, ValueError):
        return False
    return "GradientTransformation" in str(returns)


def _rate_of(factory: Callable[..., Any]) -> str:
    parameters = inspect.signature(factory).parameters
    return next((rate for rate in _RATES if rate in parameters), "")


def needed(name: str) -> dict[str, Any]:
    """The settings that a factory needs and has no default for; a text stands for an optimizer that is wrapped."""
    factory = factories()[name]
    wanted: dict[str, dict[str, Any]] = {
        "noisy_sgd": {"key": 0},
        "contrib.dpsgd": {"l2_norm_clip": 1.0, "noise_multiplier": 1.0, "seed": 0},
        "contrib.schedule_free": {"base_optimizer": "sgd"},
        "contrib.mechanize": {"base_optimizer": "sgd"},
        "contrib.sam": {"optimizer": "sgd", "adv_optimizer": "normalized sgd"},
        "lookahead": {"fast_optimizer": "sgd", "sync_period": 5, "slow_step_size": 0.5},
    }
    given = wanted.get(name, {})
    rate = _rate_of(factory)
    if rate and inspect.signature(factory).parameters[rate].default is inspect.Parameter.empty:
        given = {rate: _RATE, **given}
    return given


def _wrapped(value: object) -> object:
    import optax

    if value == "sgd":
        return optax.sgd(_RATE)
    if value == "normalized sgd":
        return optax.chain(optax.contrib.normalize(), optax.sgd(_RATE))
    return value


class OptaxBuild:
    """Makes torch optimizers of one transformation; what JAX compiles and traces is kept, by shapes and type."""

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        import jax
        import optax

        if name == "lookahead":
            raise ValueError("its parameters are pairs, fast and slow, where other optimizers have parameters")
        jax.config.update("jax_enable_x64", True)
        self.name = name
        transformation = factories()[name](**{key: _wrapped(value) for key, value in settings.items()})
        self.transformation = optax.with_extra_args_support(transformation)
        self._steps: dict[object, tuple[Step, Step]] = {}
        self._programs: dict[object, tuple[Program, Program] | Untranslated] = {}

    def __call__(self, parameters: list[torch.Tensor]) -> torch.optim.Optimizer:
        """What JAX runs."""
        start, step = self.compiled(parameters)
        return _Compiled(parameters, start, step)

    def program(self, parameters: list[torch.Tensor]) -> torch.optim.Optimizer:
        """The program that JAX traces, in torch. Fails: Untranslated."""
        return self._program(parameters, branching=False)

    def branching(self, parameters: list[torch.Tensor]) -> torch.optim.Optimizer:
        """The same, which computes only the numbers that are chosen. Fails: Untranslated."""
        return self._program(parameters, branching=True)

    def _program(self, parameters: list[torch.Tensor], *, branching: bool) -> torch.optim.Optimizer:
        key = _key(parameters)
        if key not in self._programs:
            self._programs[key] = self._traced(parameters)
        found = self._programs[key]
        if isinstance(found, Untranslated):
            raise Untranslated(str(found))
        start, step = found
        if branching and not (start.branches or step.branches):
            raise Untranslated("nothing is computed only where it is chosen")
        return _Traced(parameters, _runner(start, branching), _runner(step, branching))

    def compiled(self, parameters: Sequence[torch.Tensor]) -> tuple[Step, Step]:
        """`start(parameters) -> state` and `step(parameters, state, gradients) -> parameters, state` on JAX arrays."""
        import jax

        key = _key(parameters)
        if key not in self._steps:
            start, step = self._functions(parameters)
            self._steps[key] = jax.jit(start), jax.jit(step)
        return self._steps[key]

    def _functions(self, parameters: Sequence[torch.Tensor]) -> tuple[Step, Step]:
        import jax
        import jax.numpy as jnp
        import optax

        transformation, name = self.transformation, self.name
        shapes = [jnp.zeros(tuple(each.shape), dtype=_dtype(each)) for each in parameters]
        structure = jax.tree.structure(jax.eval_shape(transformation.init, shapes))

        def start(values: list[Any]) -> Any:
            return jax.tree.leaves(transformation.init(values))

        def step(values: list[Any], leaves: list[Any], gradients: list[Any]) -> Any:
            state = jax.tree.unflatten(structure, leaves)
            handed = [each[None] for each in gradients] if name == "contrib.dpsgd" else gradients
            extra = _extra(name, values, gradients)
            updates, state = transformation.update(handed, state, values, **extra)
            return optax.apply_updates(values, updates), jax.tree.leaves(state)

        return start, step

    def _traced(self, parameters: Sequence[torch.Tensor]) -> tuple[Program, Program] | Untranslated:
        import jax
        import jax.numpy as jnp

        start, step = self._functions(parameters)
        values = [jnp.zeros(tuple(each.shape), dtype=_dtype(each)) for each in parameters]
        try:
            return (
                translated(jax.make_jaxpr(start)(values)),
                translated(jax.make_jaxpr(step)(values, start(values), values)),
            )
        except Untranslated as error:
            return error


def _extra(name: str, values: list[Any], gradients: list[Any]) -> dict[str, Any]:
    """What some transformations want besides gradients: a loss with these gradients and diagonal Hessian."""

    def loss(places: list[Any]) -> Any:
        moves = [place - value for place, value in zip(places, values, strict=True)]
        pairs = zip(gradients, moves, strict=True)
        return sum((gradient * move + gradient * move * move / 2).sum() for gradient, move in pairs)

    match name:
        case "lbfgs":
            return {"value": loss(values), "grad": gradients, "value_fn": loss}
        case "contrib.sophia":
            return {"obj_fn": loss}
        case "polyak_sgd" | "contrib.momo" | "contrib.momo_adam":
            return {"value": 1.0 + sum(abs(each).sum() for each in gradients)}
    return {}


def _key(parameters: Sequence[torch.Tensor]) -> object:
    return tuple((tuple(each.shape), str(each.dtype)) for each in parameters)


def _dtype(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


class _Compiled(torch.optim.Optimizer):
    """Hands copies of parameters and gradients to JAX, and takes the new parameters back."""

    def __init__(self, parameters: list[torch.Tensor], start: Step, step: Step) -> None:
        super().__init__(parameters, {})
        self._step = step
        self._leaves: Any = start(_arrays(parameters))

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step with the gradients that the parameters have."""
        parameters = self.param_groups[0]["params"]
        made, self._leaves = self._step(_arrays(parameters), self._leaves, _arrays(_gradients(parameters)))
        for parameter, value in zip(parameters, made, strict=True):
            parameter.copy_(torch.tensor(value.tolist(), dtype=parameter.dtype))


class _Traced(torch.optim.Optimizer):
    """The same with torch: `start` and `step` run programs."""

    def __init__(self, parameters: list[torch.Tensor], start: Any, step: Any) -> None:
        super().__init__(parameters, {})
        self._step = step
        self._leaves = [each.clone() for each in start([each.detach() for each in parameters])]

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step with the gradients that the parameters have."""
        parameters = self.param_groups[0]["params"]
        made = self._step([*parameters, *self._leaves, *_gradients(parameters)])
        made = [each.clone() for each in made]
        for parameter, value in zip(parameters, made, strict=False):
            parameter.copy_(value)
        self._leaves = made[len(parameters) :]


def _runner(program: Program, branching: bool) -> Callable[[list[torch.Tensor]], list[torch.Tensor]]:
    def run(arguments: list[torch.Tensor]) -> list[torch.Tensor]:
        return program.run(arguments, branching=branching)

    return run


def _gradients(parameters: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    if any(each.grad is None for each in parameters):
        raise RuntimeError("a parameter has no gradient, which JAX has no word for")
    return [each.grad for each in parameters if each.grad is not None]


def _arrays(tensors: Sequence[torch.Tensor]) -> list[Any]:
    import jax.numpy as jnp

    return [jnp.asarray(each.detach().numpy().copy()) for each in tensors]
