"""From a name or an import path to a real `torch.optim.Optimizer` class, its settings, and its properties.

The names are the rules of claim C4, AdamW, Adadelta, RAdam and Rprop; their settings may make them other rules of
`theorems.rules` (RMSprop with momentum, AMSGrad, decoupled decay). `package.module:Class` names any other optimizer: it
is run as it is. If it is the class of one of the names, the rule speaks of it; of others, what is proved on their code.
What is proved by neither is unknown (so the audit answers UNDECIDED and still shows the frequencies).
"""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from theorems.errors import InvalidInput, did_you_mean
from theorems.hypotheses import OptimizerClass
from theorems.rules import RULES, class_of_rule
from verify.optimizers.proofs import proof_of_class, supposed_of_all_sizes
from verify.optimizers.spec import OptimizerSpec, Setting

__all__ = ["NAMED", "ResolvedOptimizer", "resolve"]


@dataclass(frozen=True)
class Named:
    """A named optimizer: the torch class, the settings that make it this rule, and a learning rate to start from."""

    torch_class: type[torch.optim.Optimizer]
    fixed: Mapping[str, Setting]
    lr: float


NAMED: dict[str, Named] = {
    "sgd": Named(torch.optim.SGD, {}, 0.1),
    "momentum": Named(torch.optim.SGD, {"momentum": 0.9}, 0.02),
    "nesterov": Named(torch.optim.SGD, {"momentum": 0.9, "nesterov": True}, 0.02),
    "adagrad": Named(torch.optim.Adagrad, {}, 0.05),
    "rmsprop": Named(torch.optim.RMSprop, {}, 0.005),
    "adam": Named(torch.optim.Adam, {}, 0.01),
    "adamax": Named(torch.optim.Adamax, {}, 0.01),
    "amsgrad": Named(torch.optim.Adam, {"amsgrad": True}, 0.01),
    "nadam": Named(torch.optim.NAdam, {}, 0.01),
    "adamw": Named(torch.optim.AdamW, {}, 0.01),
    "adadelta": Named(torch.optim.Adadelta, {}, 1.0),
    "radam": Named(torch.optim.RAdam, {}, 0.01),
    "rprop": Named(torch.optim.Rprop, {}, 0.001),
}


@dataclass(frozen=True)
class ResolvedOptimizer:
    """A checked optimizer: the class, all of its settings, whether replicas may be stacked, and its properties.

    per_coordinate is True only for the classes of the named rules, whose recursions act on each coordinate alone. rule:
    the named rule whose class this is, if any.
    """

    spec: OptimizerSpec
    torch_class: type[torch.optim.Optimizer]
    arguments: Mapping[str, Setting]
    settings: Mapping[str, object]
    per_coordinate: bool
    properties: OptimizerClass
    rule: str | None

    def build(self, parameters: Iterable[torch.Tensor]) -> torch.optim.Optimizer:
        """Make the optimizer. A negative learning rate, which torch refuses, is set after construction."""
        optimizer = _construct(self.torch_class, list(parameters), self.arguments)
        lr = self.arguments.get("lr")
        if isinstance(lr, int | float) and lr < 0:
            for group in optimizer.param_groups:
                group["lr"] = lr
        return optimizer


def _construct(
    torch_class: type[torch.optim.Optimizer], parameters: list[torch.Tensor], arguments: Mapping[str, Setting]
) -> torch.optim.Optimizer:
    accepted: dict[str, Any] = dict(arguments)
    if isinstance(accepted.get("lr"), int | float):
        accepted["lr"] = abs(accepted["lr"])
    return torch_class(parameters, **accepted)


def resolve(spec: OptimizerSpec, *, prove: bool = True) -> ResolvedOptimizer:
    """Check a specification by building the optimizer once on a dummy parameter, and say what is known of it.

    prove: of a class that is not one of the names', prove on its code what can be proved within
    `verify.optimizers.proofs.LIMITS`; else nothing is known of it.
    Fails: InvalidInput for unknown names and settings, NaN, targets that cannot be imported or built.
    """
    _check_numbers(spec)
    named = NAMED.get(spec.target)
    torch_class = named.torch_class if named else _import(spec.target)
    arguments: dict[str, Setting] = ({"lr": named.lr} | dict(named.fixed)) if named else {}
    arguments |= dict(spec.settings)
    _check_names(spec, torch_class)
    if named is not None:
        _check_types(spec, torch_class)
    settings = _trial(spec, torch_class, arguments, step=named is not None) | dict(arguments)
    rule = spec.target if named else _rule_of(torch_class)
    if rule is not None:
        properties = class_of_rule(RULES[rule], settings, spec.label)
    elif prove:
        properties = supposed_of_all_sizes(proof_of_class(torch_class, arguments, spec.label))
    else:
        properties = OptimizerClass(spec.label, ())
    return ResolvedOptimizer(spec, torch_class, arguments, settings, rule is not None, properties, rule)


def _rule_of(torch_class: type[torch.optim.Optimizer]) -> str | None:
    """The first name with this very class (a subclass is another optimizer); its settings choose among the rules."""
    return next((name for name, named in NAMED.items() if named.torch_class is torch_class), None)


def _trial(
    spec: OptimizerSpec,
    torch_class: type[torch.optim.Optimizer],
    arguments: Mapping[str, Setting],
    *,
    step: bool,
) -> dict[str, object]:
    """Build the optimizer on a dummy parameter, step it if asked to, and return all of its settings."""
    parameter = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    parameter.grad = torch.ones_like(parameter)
    try:
        optimizer = _construct(torch_class, [parameter], arguments)
        if step:
            optimizer.step()
        return {key: value for key, value in optimizer.param_groups[0].items() if key != "params"}
    except (Exception, SystemExit) as error:
        raise InvalidInput(f"optimizer {spec.label}: cannot be built with these settings: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    """The first line of a foreign error."""
    lines = str(error).splitlines()
    return lines[0] if lines and isinstance(error, Exception) else type(error).__name__


def _check_types(spec: OptimizerSpec, torch_class: type[torch.optim.Optimizer]) -> None:
    """Compare settings with the defaults of torch, which itself takes almost anything for a number or a flag."""
    parameters = inspect.signature(torch_class.__init__).parameters
    for key, value in spec.settings.items():
        default = parameters[key].default
        if isinstance(default, tuple):
            good, expected = isinstance(value, tuple) and len(value) == len(default), f"{len(default)} numbers"
        elif isinstance(default, bool) or default is None:
            good, expected = isinstance(value, bool), "true or false"
        else:
            good, expected = isinstance(value, int | float) and not isinstance(value, bool), "a number"
        if not good:
            raise InvalidInput(f"optimizer {spec.target!r}: setting {key}={value!r}: expected {expected}")


def _check_numbers(spec: OptimizerSpec) -> None:
    for key, value in spec.settings.items():
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, float) and not math.isfinite(number):
                raise InvalidInput(f"optimizer {spec.target!r}: setting {key}={number}: expected a finite number")


def _check_names(spec: OptimizerSpec, torch_class: type[torch.optim.Optimizer]) -> None:
    parameters = inspect.signature(torch_class.__init__).parameters
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    known = [name for name in parameters if name not in ("self", "params")]
    for key in spec.settings:
        if key not in known:
            raise InvalidInput(
                f"optimizer {spec.target!r} has no setting {key!r}; expected one of {', '.join(known)}"
                f"{did_you_mean(key, known)}"
            )


def _import(target: str) -> type[torch.optim.Optimizer]:
    module_name, colon, class_name = target.partition(":")
    if not colon:
        raise InvalidInput(
            f"optimizer {target!r}: expected one of {', '.join(NAMED)}, or package.module:Class"
            f"{did_you_mean(target, NAMED)}"
        )
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise InvalidInput(f"optimizer {target!r} cannot be imported: {_reason(error)}") from error
    try:
        found = getattr(module, class_name)
    except AttributeError as error:
        raise InvalidInput(
            f"optimizer {target!r} cannot be imported: {_reason(error)}{did_you_mean(class_name, dir(module))}"
        ) from error
    except (Exception, SystemExit) as error:
        raise InvalidInput(f"optimizer {target!r} cannot be imported: {_reason(error)}") from error
    if not (inspect.isclass(found) and issubclass(found, torch.optim.Optimizer)):
        raise InvalidInput(f"optimizer {target!r} is not a subclass of torch.optim.Optimizer")
    return found
