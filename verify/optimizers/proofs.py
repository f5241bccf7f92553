"""Proofs on the code of optimizer classes, each made once in a process and within a time limit."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from typing import Any

import torch

from theorems.errors import InvalidInput
from theorems.hypotheses import Evidence, Finding, OptimizerClass, Property, Status
from verify.optimizers.code_proof import Claim, CodeProof, Limits, Reach, Training, prove_on_code
from verify.optimizers.code_proof.trial import Build

__all__ = ["LIMITS", "WIDTHS", "attempted", "proof_of_class", "supposed_of_all_sizes"]

WIDTHS = (2, 3, 2)
"""The network for whose parameters the proofs are made."""

LIMITS = Limits(seconds=20, total=60)
"""Seconds for one neuron or coordinate, and for an optimizer: what is not proved by then counts as not proved."""

_KEPT = 128


def attempted(build: Build, name: str, limits: Limits = LIMITS, dtype: torch.dtype = torch.float64) -> CodeProof:
    """`prove_on_code`, where an optimizer that leaves the process, or is no optimizer, is just not proved."""
    _warmed_up(build, dtype)
    try:
        return prove_on_code(build, name=name, widths=WIDTHS, limits=limits, dtype=dtype)
    except InvalidInput as error:
        why = str(error)
    except SystemExit:
        why = "the code leaves the process"
    claims = tuple(Claim(wanted, Reach.NOT_PROVED, 0, why) for wanted in Property)
    return CodeProof(name, claims, (), (), 0, 0, 0.0)


def _warmed_up(build: Build, dtype: torch.dtype) -> None:
    """Step once with ordinary numbers: what is imported at the first step is not imported during a step watched."""
    from verify.optimizers.falsify.run import quiet

    shapes = [shape for fan, width in itertools.pairwise(WIDTHS) for shape in ((width, fan), (width,))]
    with quiet(0):
        parameters: list[torch.Tensor] = [torch.nn.Parameter(torch.ones(s, dtype=dtype)) for s in shapes]
        try:
            made = build(parameters)
            for parameter in parameters:
                parameter.grad = torch.ones_like(parameter)
            (made.optimizer if isinstance(made, Training) else made).step()
        except (Exception, SystemExit):
            return  # what is wrong with it is found out, and told, where it matters


def proof_of_class(
    torch_class: type[torch.optim.Optimizer],
    arguments: Mapping[str, Any],
    name: str,
    dtype: torch.dtype = torch.float64,
) -> CodeProof:
    """The proof for a class with these arguments; the same question is answered from memory.

    Rigour:   that of `prove_on_code`; at most `LIMITS.total` seconds, and those of one trial more.
    """
    key = tuple((each, type(value).__name__, value) for each, value in sorted(arguments.items()))
    return _proof(torch_class, key, name, dtype)  # type: ignore[arg-type]  # classes are hashable, whatever their instances


@functools.lru_cache(maxsize=_KEPT)
def _proof(
    torch_class: type[torch.optim.Optimizer], key: tuple[tuple[str, str, Any], ...], name: str, dtype: torch.dtype
) -> CodeProof:
    arguments = {each: value for each, _, value in key}

    def build(parameters: list[torch.Tensor]) -> torch.optim.Optimizer:
        return torch_class(parameters, **arguments)

    return attempted(build, name, dtype=dtype)


def supposed_of_all_sizes(proof: CodeProof) -> OptimizerClass:
    """What theorems may use of a proof where networks of other sizes, or other floats, are trained.

    Rigour:   the proof speaks of parameters of one network. That the code treats other sizes and floats alike is not
    proved (code may branch on sizes), so the evidence is `assumed`, and the reason says what is proved.
    """
    sizes = ", ".join(map(str, WIDTHS))
    findings = []
    for claim in proof.claims:
        if claim.reach is Reach.EVERY_STEP:
            why = (
                f"{claim.sentence}, for {'; '.join(proof.conditions)}; supposed: sizes other than {sizes}, and "
                "other floats, are treated alike"
            )
            finding = Finding(claim.wanted.name, Status.HOLDS, Evidence.ASSUMED, why)
        else:
            finding = Finding(claim.wanted.name, Status.UNKNOWN, Evidence.ASSUMED, f"{claim.sentence} (on the code)")
        findings.append((claim.wanted, finding))
    return OptimizerClass(proof.optimizer, tuple(findings))
