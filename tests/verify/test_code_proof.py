"""Proofs on the code: torch's optimizers are proved, planted ones are not, and every refusal says why."""

from __future__ import annotations

import functools
import math
import random
import time
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.optim import Optimizer

from theorems.errors import InvalidInput
from theorems.hypotheses import Evidence, Property, Status
from verify.optimizers.code_proof import CodeProof, Limits, Reach, Training, prove_on_code

F, FB, S, D, SS, SL, DJ, DW = (Property[name] for name in ("F", "FB", "S", "D", "SS", "SL", "DJ", "DW"))
SMALL = (2, 2)
"""Widths that keep these tests fast; where layers matter, there are two."""
LAYERS = (2, 2, 1)
ONE = (1, 1)


def prove(build: Callable[[list[Tensor]], Any], **options: Any) -> CodeProof:
    return prove_on_code(build, **({"widths": SMALL} | options))


def reasons(proof: CodeProof) -> str:
    return " | ".join(claim.reason for claim in proof.claims)


# --- torch.optim -----------------------------------------------------------------------------------------------------

TORCH: dict[str, tuple[Callable[[list[Tensor]], Any], tuple[Property, ...]]] = {
    "SGD": (lambda ps: torch.optim.SGD(ps), (F,)),
    "momentum": (lambda ps: torch.optim.SGD(ps, momentum=0.9), (F,)),
    "Nesterov": (lambda ps: torch.optim.SGD(ps, momentum=0.9, nesterov=True), (F,)),
    "SGD maximize": (lambda ps: torch.optim.SGD(ps, maximize=True), (F,)),
    "SGD with weight decay": (lambda ps: torch.optim.SGD(ps, lr=0.1, weight_decay=0.01), (DJ,)),
    "SGD foreach": (lambda ps: torch.optim.SGD(ps, momentum=0.9, foreach=True), (F,)),
    "Adam": (lambda ps: torch.optim.Adam(ps), (F,)),
    "AMSGrad": (lambda ps: torch.optim.Adam(ps, amsgrad=True), (F,)),
    "Adam foreach": (lambda ps: torch.optim.Adam(ps, foreach=True), (F,)),
    "Adam fused": (lambda ps: torch.optim.Adam(ps, fused=True, amsgrad=True), (F,)),
    "AdamW fused": (lambda ps: torch.optim.AdamW(ps, fused=True), (DJ,)),
    "SGD fused": (lambda ps: torch.optim.SGD(ps, fused=True, momentum=0.9, nesterov=True), (F,)),
    "Adagrad fused": (lambda ps: torch.optim.Adagrad(ps, fused=True), (F,)),
    "Adam with L2, fused": (lambda ps: torch.optim.Adam(ps, fused=True, weight_decay=0.1), ()),
    "Adam with tensor lr": (lambda ps: torch.optim.Adam(ps, lr=torch.tensor(0.01)), (F,)),
    "Adam with L2": (lambda ps: torch.optim.Adam(ps, weight_decay=0.1), ()),
    "AdamW": (lambda ps: torch.optim.AdamW(ps), (DJ,)),
    "AdamW without decay": (lambda ps: torch.optim.AdamW(ps, weight_decay=0), (F,)),
    "AdamW foreach": (lambda ps: torch.optim.AdamW(ps, foreach=True), (DJ,)),
    "AdamW, too large": (lambda ps: torch.optim.AdamW(ps, lr=1.0, weight_decay=1.5), ()),
    "AdamW on weights only": (
        lambda ps: torch.optim.AdamW([{"params": ps[0::2]}, {"params": ps[1::2], "weight_decay": 0.0}]),
        (DW,),
    ),
    "AdamW on biases only": (
        lambda ps: torch.optim.AdamW([{"params": ps[1::2]}, {"params": ps[0::2], "weight_decay": 0.0}]),
        (SL,),
    ),
    "AdamW, a rate for each layer": (
        lambda ps: torch.optim.AdamW([{"params": ps[:2], "lr": 0.1}, {"params": ps[2:], "lr": 0.01}]),
        (SL, S, D),
    ),
    "Adagrad": (lambda ps: torch.optim.Adagrad(ps), (F,)),
    "Adagrad with lr decay": (lambda ps: torch.optim.Adagrad(ps, lr_decay=0.1), (F,)),
    "RMSprop": (lambda ps: torch.optim.RMSprop(ps), (F,)),
    "RMSprop centered": (lambda ps: torch.optim.RMSprop(ps, centered=True, momentum=0.9), (F,)),
    "Adadelta": (lambda ps: torch.optim.Adadelta(ps), (F,)),
    "Adamax": (lambda ps: torch.optim.Adamax(ps), (F,)),
    "NAdam": (lambda ps: torch.optim.NAdam(ps), (F,)),
    "NAdam with decoupled decay": (
        lambda ps: torch.optim.NAdam(ps, weight_decay=0.1, decoupled_weight_decay=True),
        (DJ,),
    ),
    "RAdam": (lambda ps: torch.optim.RAdam(ps), (F,)),
    "ASGD": (lambda ps: torch.optim.ASGD(ps), (DJ,)),
    "ASGD without decay": (lambda ps: torch.optim.ASGD(ps, lambd=0), (F,)),
    "Rprop": (lambda ps: torch.optim.Rprop(ps), (F,)),
    "Adafactor": (lambda ps: torch.optim.Adafactor(ps), (F,)),
    "Muon on weights": (lambda ps: torch.optim.Muon(ps[0::2], weight_decay=0.0), (FB,)),
    "negative rate": (lambda ps: with_lr(torch.optim.SGD(ps), -0.1), (F,)),
}


def with_lr(optimizer: Optimizer, lr: float) -> Optimizer:
    for group in optimizer.param_groups:
        group["lr"] = lr
    return optimizer


WIDER = ("SGD", "Adam", "AdamW", "AdamW on weights only", "AdamW on biases only", "Adafactor", "Muon on weights")


@pytest.mark.parametrize("name", TORCH)
def test_torch(name: str) -> None:
    build, expected = TORCH[name]
    proof = prove(build, name=name, widths=LAYERS if "layer" in name else SMALL if name in WIDER else ONE)
    assert set(proof.strongest) == set(expected), reasons(proof)
    for claim in proof.claims:
        assert (claim.reach is Reach.EVERY_STEP) == (claim.reason == "")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_other_precisions(dtype: torch.dtype) -> None:
    assert prove(lambda ps: torch.optim.SGD(ps, momentum=0.9), dtype=dtype).strongest == (F,)
    assert prove(lambda ps: torch.optim.AdamW(ps), dtype=dtype).strongest == (DJ,)


def test_the_conditions_are_said() -> None:
    adam = prove(lambda ps: torch.optim.Adam(ps))
    assert any("NaN and infinities included" in condition for condition in adam.conditions)
    assert any("2, 2 in float64" in condition for condition in adam.conditions)
    assert "aten.addcdiv_" in adam.operations
    adafactor = prove(lambda ps: torch.optim.Adafactor(ps), widths=ONE)
    assert any("stay finite" in condition for condition in adafactor.conditions)


def test_what_the_theorems_get() -> None:
    proof = prove(lambda ps: torch.optim.AdamW(ps), name="AdamW")
    known = proof.optimizer_class()
    assert known.about(S).status is Status.HOLDS
    assert known.about(S).evidence is Evidence.CERTIFIED
    assert known.about(FB).status is Status.UNKNOWN
    assert "proved on the code, for every step" in known.about(D).why
    assert prove(lambda ps: NoisySGD(ps)).optimizer_class().findings == ()


# --- planted optimizers ----------------------------------------------------------------------------------------------


class Planted(Optimizer):
    """SGD; subclasses add what must not go unnoticed. `self.count` counts steps."""

    def __init__(self, params: list[Tensor], **defaults: Any) -> None:
        super().__init__(params, {"lr": 0.1} | defaults)
        self.count = 0

    def parameters(self) -> Iterator[Tensor]:
        for group in self.param_groups:
            yield from group["params"]

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        self.count += 1
        for p in self.parameters():
            p.sub_(p.grad, alpha=0.1)
        self.more()

    def more(self) -> None:
        """What a subclass does besides."""


class AtStepSeven(Planted):
    def more(self) -> None:
        if self.count == 7:
            for p in self.parameters():
                p.add_(1.0)


class AtStepThousand(Planted):
    def more(self) -> None:
        if self.count == 1000:
            for p in self.parameters():
                p.add_(1.0)


class EveryTenth(Planted):
    def more(self) -> None:
        if self.count % 10 == 0:
            for p in self.parameters():
                p.mul_(0.5)


class CountsInTensor(Planted):
    def more(self) -> None:
        for p in self.parameters():
            state = self.state[p]
            state["step"] = state.get("step", torch.tensor(0.0)) + 1
            if state["step"] == 30:
                p.add_(1.0)


class CountsInList(Planted):
    def more(self) -> None:
        seen = self.__dict__.setdefault("seen", [])
        seen.append(None)
        if len(seen) == 200:
            for p in self.parameters():
                p.add_(1.0)


GLOBAL_COUNT = 0


class CountsGlobally(Planted):
    def more(self) -> None:
        global GLOBAL_COUNT
        GLOBAL_COUNT += 1
        if GLOBAL_COUNT % 50 == 0:
            for p in self.parameters():
                p.add_(1.0)


class CountsInClass(Planted):
    total = 0

    def more(self) -> None:
        CountsInClass.total += 1
        if CountsInClass.total % 50 == 0:
            for p in self.parameters():
                p.add_(1.0)


class CountsInClosure(Planted):
    def __init__(self, params: list[Tensor]) -> None:
        super().__init__(params)
        total = 0

        def tick() -> int:
            nonlocal total
            total += 1
            return total

        self.tick = tick

    def more(self) -> None:
        if self.tick() == 50:
            for p in self.parameters():
                p.add_(1.0)


class CountsInIterator(Planted):
    def __init__(self, params: list[Tensor]) -> None:
        super().__init__(params)
        self.numbers = iter(range(10**6))

    def more(self) -> None:
        if next(self.numbers) == 50:
            for p in self.parameters():
                p.add_(1.0)


class OnLargeGradient(Planted):
    """Moves everything when some gradient exceeds 10."""

    def more(self) -> None:
        for p in self.parameters():
            if p.grad is not None and p.grad.max() > 10:
                for q in self.parameters():
                    q.add_(1.0)


class OnLargeItem(Planted):
    def more(self) -> None:
        if sum(p.grad.abs().sum().item() for p in self.parameters()) > 10:
            for p in self.parameters():
                p.mul_(1.5).sub_(1.0)


class MaskedByGradient(Planted):
    def more(self) -> None:
        first = next(self.parameters())
        for p in self.parameters():
            p.copy_(torch.where(first.grad[0, 0] > 10, p + 1, p))


class NoisySGD(Planted):
    def more(self) -> None:
        for p in self.parameters():
            p.add_(torch.randn_like(p), alpha=1e-3)


class PythonNoise(Planted):
    def more(self) -> None:
        if random.random() < 1e-9:
            for p in self.parameters():
                p.add_(1.0)


class ReadsTheClock(Planted):
    def more(self) -> None:
        if time.time() > 4e9:
            for p in self.parameters():
                p.add_(1.0)


class ReadsTheSeed(Planted):
    def more(self) -> None:
        if torch.initial_seed() == 12345:
            for p in self.parameters():
                p.add_(1.0)


class CoupledDecay(Planted):
    """Sign descent with L2: not even a scaling."""

    def more(self) -> None:
        for p in self.parameters():
            p.sub_((p.grad + 0.1 * p).sign(), alpha=0.1)


class DecoupledDecay(Planted):
    def more(self) -> None:
        for p in self.parameters():
            p.mul_(1 - 0.1 * 0.01)


class Growing(Planted):
    def more(self) -> None:
        for p in self.parameters():
            p.mul_(1.01)


class Flipping(Planted):
    def more(self) -> None:
        for p in self.parameters():
            p.mul_(-1.0)


class DecayByNorm(Planted):
    """Each parameter has a factor of its own, in [0, 1]."""

    def more(self) -> None:
        for p in self.parameters():
            p.mul_(1 / (1 + p.grad.norm().clamp(max=1e100)))


class Resetting(Planted):
    def more(self) -> None:
        for p in self.parameters():
            state = self.state[p]
            if self.count % 5 == 0 or "mean" not in state:
                state["mean"] = torch.ones_like(p)
            state["mean"].mul_(0.9).add_(p.grad, alpha=0.1)
            p.sub_(state["mean"], alpha=0.1)


class StartsAtOne(Planted):
    def more(self) -> None:
        for p in self.parameters():
            state = self.state[p]
            momentum = state.setdefault("momentum", torch.full_like(p, 1e-3))
            momentum.mul_(0.5)
            p.sub_(momentum)


class Centering(Planted):
    """Subtracts the row mean of the gradient: a row of zeros stays, one zero among others does not."""

    def more(self) -> None:
        for p in self.parameters():
            if p.dim() == 2:
                p.sub_(p.grad - p.grad.mean(dim=1, keepdim=True), alpha=0.1)


class CenteringColumns(Planted):
    def more(self) -> None:
        for p in self.parameters():
            if p.dim() == 2:
                p.sub_(p.grad - p.grad.mean(dim=0, keepdim=True), alpha=0.1)


class Orthogonalizing(Planted):
    """Newton-Schulz steps on the whole gradient, as Muon makes them."""

    def more(self) -> None:
        for p in self.parameters():
            if p.dim() == 2:
                x = p.grad / (p.grad.norm() + 1e-7)
                for _ in range(3):
                    a = x @ x.t()
                    x = 3.4 * x + (-4.8 * a + 2.0 * a @ a) @ x
                p.sub_(x, alpha=0.1)


class ByZero(Planted):
    """0/0 without eps."""

    def more(self) -> None:
        for p in self.parameters():
            square = self.state[p].setdefault("square", torch.zeros_like(p))
            square.addcmul_(p.grad, p.grad)
            p.sub_(p.grad / square.sqrt(), alpha=0.1)


class ByNormWithoutEps(Planted):
    def more(self) -> None:
        for p in self.parameters():
            p.sub_(p.grad / p.grad.norm())


class ByGuardedNorm(Planted):
    def more(self) -> None:
        for p in list(self.parameters())[:2]:
            norm = p.grad.norm()
            if norm > 0:
                p.sub_(p.grad / norm)


class ThroughAView(Planted):
    def more(self) -> None:
        for p in self.parameters():
            p.view(-1)[0].add_(1.0)


class ThroughDetach(Planted):
    def more(self) -> None:
        for p in self.parameters():
            p.detach().t()[..., 0].add_(p.grad.sum())


class ThroughData(Planted):
    def more(self) -> None:
        for p in self.parameters():
            p.data = p.data + 1.0


class ThroughOut(Planted):
    def more(self) -> None:
        for p in self.parameters():
            torch.add(p, 1.0, out=p)


class SharedBuffer(Planted):
    """One buffer serves two parameters of the same shape."""

    def more(self) -> None:
        ps = list(self.parameters())
        buffer = self.__dict__.setdefault("buffer", torch.zeros(sum(p.numel() for p in ps), dtype=ps[0].dtype))
        start = 0
        for p in ps:
            part = buffer[start : start + p.numel()].view_as(p)
            part.add_(p.grad)
            start += p.numel()
        for p in ps:
            p.sub_(buffer[: p.numel()].view_as(p), alpha=0.1)


class ReadsItem(Planted):
    """Scales by a number that it takes out of the tensor; a coordinate with zero gradient does not care."""

    def more(self) -> None:
        for p in self.parameters():
            scale = p.grad.abs().max().item()
            p.sub_(p.grad, alpha=min(scale, 1.0))


class MakesItAString(Planted):
    def more(self) -> None:
        for p in self.parameters():
            if str(p.grad.sum().item()).startswith("3"):
                p.add_(1.0)


class UsesNumpy(Planted):
    def more(self) -> None:
        for p in self.parameters():
            p.grad.numpy()


class AsksForType(Planted):
    def more(self) -> None:
        for p in self.parameters():
            if type(p) is torch.nn.Parameter:
                p.add_(1.0)


class UpdatesInHooks(Planted):
    """Does its work in the backward pass, where no step is seen."""

    def __init__(self, params: list[Tensor]) -> None:
        super().__init__(params)
        for p in self.parameters():
            p.register_hook(lambda gradient: gradient)


class SwallowsErrors(Planted):
    def more(self) -> None:
        try:
            for p in self.parameters():
                p.grad.numpy()
        except Exception:
            return


class CatchesFailure(Planted):
    """Moves where a decomposition fails."""

    def more(self) -> None:
        for p in self.parameters():
            if p.dim() == 2:
                try:
                    torch.linalg.eigh(p.grad @ p.grad.t())
                except torch.linalg.LinAlgError:
                    p.add_(1.0)


class Decomposes(Planted):
    """Nothing of the decomposition reaches a coordinate with zero gradient."""

    def more(self) -> None:
        for p in self.parameters():
            if p.dim() == 2:
                values = torch.linalg.eigvalsh(p.grad @ p.grad.t())
                p.addcmul_(p.grad, values.clamp(0, 1).nan_to_num().sum())


class Looking(Planted):
    """Slow weights, mixed in at every fifth step."""

    def more(self) -> None:
        for p in self.parameters():
            slow = self.state[p].setdefault("slow", p.clone())
            if self.count % 5 == 0:
                slow.add_(p - slow, alpha=0.5)
                p.copy_(slow)


class Sharpness(Planted):
    """Evaluates at a moved point and comes back."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        if closure is None:
            raise ValueError("a closure is needed")
        saved = [p.clone() for p in self.parameters()]
        for p in self.parameters():
            p.add_(p.grad, alpha=0.05)
        with torch.enable_grad():
            closure()
        for p, old in zip(self.parameters(), saved, strict=True):
            p.copy_(old)
            p.sub_(p.grad, alpha=0.1)


class EvaluatesElsewhere(Sharpness):
    """Moves even the tested coordinates for the evaluation."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        if closure is None:
            raise ValueError("a closure is needed")
        for p in self.parameters():
            p.add_(1.0)
        closure()
        for p in self.parameters():
            p.sub_(1.0)


class WarmUp(Planted):
    def more(self) -> None:
        rate = 0.1 * min(1.0, self.count / 100) if self.count < 100 else 0.1 / math.sqrt(self.count)
        for p in self.parameters():
            p.sub_(p.grad, alpha=rate)


PLANTED: dict[type[Planted], tuple[tuple[Property, ...], str]] = {
    Planted: ((F,), ""),
    AtStepSeven: ((), "aten.add_"),
    EveryTenth: ((S, D), "0.5"),
    CountsInTensor: ((), "aten.add_"),
    CountsGlobally: ((), "aten.add_"),
    CountsInClass: ((), "aten.add_"),
    CountsInClosure: ((), "aten.add_"),
    CountsInIterator: ((), "range_iterator, whose contents cannot be seen"),
    OnLargeGradient: ((), "aten.add_"),
    OnLargeItem: ((), "aten.sub_"),
    MaskedByGradient: ((), "aten.copy_"),
    NoisySGD: ((), "aten.add_"),
    PythonNoise: ((), "random"),
    ReadsTheClock: ((), "time.time is called"),
    ReadsTheSeed: ((), "random generator"),
    CoupledDecay: ((), "aten.sub_"),
    DecoupledDecay: ((DJ,), ""),
    Growing: ((S, SL), "1.01"),
    Flipping: ((), "multiplied by -1"),
    DecayByNorm: ((SS,), "factor between"),
    Resetting: ((), "aten.sub_"),
    StartsAtOne: ((), "aten.sub_"),
    Centering: ((FB,), "aten.sub_"),
    CenteringColumns: ((), "aten.sub_"),
    Orthogonalizing: ((FB,), "aten.sub_"),
    ByZero: ((), "aten.sub_"),
    ByNormWithoutEps: ((), "aten.sub_"),
    ByGuardedNorm: ((F,), ""),
    ThroughAView: ((), "aten.add_"),
    ThroughDetach: ((), "aten.add_"),
    ThroughOut: ((), "aten.add"),
    SharedBuffer: ((), "aten.sub_"),
    ReadsItem: ((F,), ""),
    MakesItAString: ((), "text"),
    UsesNumpy: ((), "leave torch"),
    AsksForType: ((), "exact type"),
    UpdatesInHooks: ((), "backward"),
    SwallowsErrors: ((), "leave torch"),
    CatchesFailure: ((), "aten.add_"),
    Decomposes: ((F,), ""),
    Looking: ((F,), ""),
    Sharpness: ((F,), ""),
    EvaluatesElsewhere: ((), "may move"),
    WarmUp: ((F,), ""),
}


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.__name__)
def test_planted(planted: type[Planted]) -> None:
    expected, reason = PLANTED[planted]
    proof = prove(planted)
    assert set(proof.strongest) == set(expected), reasons(proof)
    assert reason in reasons(proof)


# --- counters in hiding ----------------------------------------------------------------------------------------------


class Hidden(Planted):
    """Moves at step 200, counted somewhere else than in a plain attribute."""

    def more(self) -> None:
        if self.tick() == 200:
            for p in self.parameters():
                p.add_(1.0)

    def tick(self) -> Any:
        raise NotImplementedError


class InStaticDefault(Hidden):
    def tick(self) -> Any:
        return self.ticked()

    @staticmethod
    def ticked(total: list[int] = [0]) -> int:  # noqa: B006 (the fault that is planted)
        total[0] += 1
        return total[0]


class InCachedFunction(Hidden):
    @staticmethod
    @functools.lru_cache
    def total() -> list[int]:
        return [0]

    def tick(self) -> Any:
        self.total()[0] += 1
        return self.total()[0]


class InNewGlobal(Hidden):
    def tick(self) -> Any:
        global NEW_GLOBAL
        try:
            NEW_GLOBAL += 1
        except NameError:
            NEW_GLOBAL = 1
        return NEW_GLOBAL


class InGlobals(Hidden):
    def tick(self) -> Any:
        globals()["HIDDEN_COUNT"] = globals().get("HIDDEN_COUNT", 0) + 1
        return globals()["HIDDEN_COUNT"]


class InTorch(Hidden):
    def tick(self) -> Any:
        torch.hidden_count = getattr(torch, "hidden_count", 0) + 1  # type: ignore[attr-defined]
        return torch.hidden_count  # type: ignore[attr-defined]


class InBaseClass(Hidden):
    def tick(self) -> Any:
        torch.optim.Optimizer.hidden_count = (
            getattr(  # type: ignore[attr-defined]
                torch.optim.Optimizer, "hidden_count", 0
            )
            + 1
        )
        return torch.optim.Optimizer.hidden_count  # type: ignore[attr-defined]


class InHeldClass(Hidden):
    def __init__(self, params: list[Tensor]) -> None:
        super().__init__(params)
        self.holder = type("Holder", (), {"total": 0})

    def tick(self) -> Any:
        self.holder.total += 1  # type: ignore[attr-defined]
        return self.holder.total  # type: ignore[attr-defined]


class InListAttribute(Hidden):
    class History(list):  # type: ignore[type-arg]
        total = 0

    def __init__(self, params: list[Tensor]) -> None:
        super().__init__(params)
        self.history = self.History()

    def tick(self) -> Any:
        self.history.total += 1
        return self.history.total


class InPrivateSlot(Hidden):
    class Counter:
        __slots__ = ("__total",)

        def __init__(self) -> None:
            self.__total = 0

        def next(self) -> int:
            self.__total += 1
            return self.__total

    def __init__(self, params: list[Tensor]) -> None:
        super().__init__(params)
        self.counter = self.Counter()

    def tick(self) -> Any:
        return self.counter.next()


class InVersion(Hidden):
    def tick(self) -> Any:
        return next(self.parameters())._version


class InModule(Hidden):
    def __init__(self, params: list[Tensor]) -> None:
        super().__init__(params)
        self.module = types.ModuleType("somewhere")
        self.module.total = 0  # type: ignore[attr-defined]

    def tick(self) -> Any:
        self.module.total += 1  # type: ignore[attr-defined]
        return self.module.total  # type: ignore[attr-defined]


class InPlainTensor(Hidden):
    plain = torch.zeros(1)

    def tick(self) -> Any:
        self.plain.total = getattr(self.plain, "total", 0) + 1  # type: ignore[attr-defined]
        return self.plain.total  # type: ignore[attr-defined]


class InDecorated(Hidden):
    def __init__(self, params: list[Tensor]) -> None:
        super().__init__(params)
        total = [0]

        @torch.no_grad()
        def count() -> int:
            total[0] += 1
            return total[0]

        self.count_up = count

    def tick(self) -> Any:
        return self.count_up()


class InBareExcept(Hidden):
    """What cannot be interpreted is caught, and a wrong way taken."""

    def tick(self) -> Any:
        try:
            return int(str(self.count))
        except:  # noqa: E722 (the fault that is planted)
            return 0


class ByMissingMethod(Hidden):
    def tick(self) -> Any:
        try:
            return 200 if self.count.bit_length() > 10 else 0
        except Exception:
            return 0


class ByTypeOnTwoLines(Hidden):
    def tick(self) -> Any:
        kind = type(self.count)
        return 200 if kind is int and self.count > 300 else 0


class ByIdentity(Hidden):
    def tick(self) -> Any:
        return 200 if id(self.count % 100) == id(99) else 0


class BySignOfZero(Hidden):
    """Two zeros take turns: they are equal, and different."""

    zero = 0.0

    def tick(self) -> Any:
        if self.count == 150:
            self.zero = -self.zero
        return 200 if math.copysign(1.0, self.zero) < 0 else 0


class ByKeptTuple(Hidden):
    """A number of an earlier step, kept in a tuple, compared with the one of now."""

    kept: tuple[int, ...] = ()

    def tick(self) -> Any:
        before = self.kept
        if self.count > 5:
            self.kept = (self.count,)
        return 200 if before and (before[0] < 100) != (self.count < 100) else 0


class BySharedName(Hidden):
    """Two different numbers are found under one name."""

    def __init__(self, params: list[Tensor]) -> None:
        super().__init__(params)
        self.inside = types.SimpleNamespace()
        setattr(self, "a.b", 0)
        self.a = Plain()

    def tick(self) -> Any:
        setattr(self, "a.b", getattr(self, "a.b") + 1)
        if self.count % 7 == 0:
            self.a.b += 1
        return 200 if (getattr(self, "a.b") < 50) != (self.a.b < 50) else 0


class Plain:
    b = 0


class ByLayout(Planted):
    """Writes through what is a copy, and believes to have written."""

    def more(self) -> None:
        for p in self.parameters():
            if p.dim() == 2 and p.numel() > 1:
                mixed = p.t() * 0.0 + 1.0
                mixed.reshape(-1).zero_()
                p.add_(mixed.t())


class ByDecomposition(Planted):
    def more(self) -> None:
        for p in self.parameters():
            if p.dim() == 2:
                vectors = torch.linalg.eigh(p.t() @ p)[1]
                vectors.reshape(-1).zero_()
                p.add_(vectors[: p.shape[0], : p.shape[1]].sum())


class ByStaleRange(Planted):
    """A guard in a state that is met with a narrow and with a wide range of the same number."""

    def more(self) -> None:
        for p in self.parameters():
            scale = self.state[p].setdefault("scale", torch.ones((), dtype=p.dtype))
            guarded = torch.where(scale > 0, 1.0 / scale, 1.0)
            if guarded < 0.5:
                p.add_(1.0)
            scale.mul_(1.001)


HIDDEN: tuple[type[Planted], ...] = (
    InStaticDefault, InCachedFunction, InNewGlobal, InGlobals, InTorch, InBaseClass, InHeldClass, InListAttribute,
    InPrivateSlot, InVersion, InModule, InPlainTensor, InDecorated, InBareExcept, ByMissingMethod, ByTypeOnTwoLines,
    ByIdentity, BySignOfZero, ByKeptTuple, BySharedName, ByLayout, ByDecomposition, ByStaleRange,
)  # fmt: skip


@pytest.mark.parametrize("planted", HIDDEN, ids=lambda planted: planted.__name__)
def test_hidden(planted: type[Planted]) -> None:
    """No property is proved for every step, whatever the reason."""
    proof = prove(planted, widths=(2, 2) if planted in (ByLayout, ByDecomposition) else (1, 1))
    assert proof.strongest == (), reasons(proof)
    for owner in (torch, torch.optim.Optimizer):
        if hasattr(owner, "hidden_count"):
            del owner.hidden_count


def test_data_that_is_replaced() -> None:
    assert prove(ThroughData).strongest == ()


def test_the_first_steps_are_another_answer() -> None:
    """What moves at step 1000 is still for 12 steps, and no more is said."""
    for planted in (AtStepThousand, CountsInList):
        proof = prove(planted, widths=ONE)
        claim = proof.about(FB)
        assert claim.reach is Reach.FIRST_STEPS, claim
        assert claim.steps == 12
        assert "first 12 steps only" in claim.sentence
        assert proof.strongest == ()
        assert proof.optimizer_class().about(FB).status is Status.UNKNOWN


def test_fewer_first_steps_do_not_hide_a_move() -> None:
    assert prove(AtStepSeven, limits=Limits(steps=6)).about(F).reach is Reach.FIRST_STEPS
    assert prove(AtStepSeven, limits=Limits(steps=7)).about(F).reach is Reach.NOT_PROVED


def test_globals_are_put_back() -> None:
    before = GLOBAL_COUNT, CountsInClass.total
    prove(CountsGlobally, widths=ONE)
    prove(CountsInClass, widths=ONE)
    assert isinstance(GLOBAL_COUNT, int)
    assert (GLOBAL_COUNT, CountsInClass.total) == before


# --- around the step -------------------------------------------------------------------------------------------------


def clipped(parameters: list[Tensor]) -> Training:
    optimizer = torch.optim.SGD(parameters, momentum=0.9)
    return Training(optimizer, before_step=lambda: torch.nn.utils.clip_grad_norm_(parameters, 1.0))


def clipped_by_value(parameters: list[Tensor]) -> Training:
    optimizer = torch.optim.Adam(parameters)
    return Training(optimizer, before_step=lambda: torch.nn.utils.clip_grad_value_(parameters, 1.0))


def scheduled(parameters: list[Tensor]) -> Training:
    optimizer = torch.optim.AdamW(parameters, lr=0.1)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    return Training(optimizer, after_step=schedule.step)


def in_steps(parameters: list[Tensor]) -> Training:
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 30)
    return Training(optimizer, after_step=schedule.step)


def noisy(parameters: list[Tensor]) -> Training:
    def disturb() -> None:
        for p in parameters:
            p.grad.add_(torch.randn_like(p))  # type: ignore[union-attr]

    return Training(torch.optim.SGD(parameters), before_step=disturb)


def test_clipping_and_schedules() -> None:
    by_norm = prove(clipped)
    assert by_norm.strongest == (F,)
    assert any("stay finite" in condition for condition in by_norm.conditions)
    assert prove(clipped_by_value, widths=ONE).strongest == (F,)
    assert prove(scheduled).strongest == (DJ,)
    assert prove(in_steps, widths=ONE).strongest == (F,)


def test_noise_before_the_step_is_seen() -> None:
    assert prove(noisy).strongest == ()


# --- bad input -------------------------------------------------------------------------------------------------------


def test_bad_input() -> None:
    with pytest.raises(InvalidInput, match="expected at least two whole numbers"):
        prove_on_code(lambda ps: torch.optim.SGD(ps), widths=(3,))
    with pytest.raises(InvalidInput, match="real floating-point"):
        prove_on_code(lambda ps: torch.optim.SGD(ps), dtype=torch.int64)
    with pytest.raises(InvalidInput, match=r"expected a torch\.optim\.Optimizer"):
        prove_on_code(lambda ps: 3)  # type: ignore[arg-type, return-value]


def test_errors_of_the_optimizer_are_reasons() -> None:
    assert "raises ValueError: Invalid learning rate" in reasons(prove(lambda ps: torch.optim.SGD(ps, lr=-1.0)))
    assert "raises TypeError" in reasons(prove(lambda ps: torch.optim.SGD(ps, nonsense=1)))  # type: ignore[call-arg]


# --- proofs against runs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, (_, expected) in TORCH.items() if expected])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=3)
def test_proved_properties_hold_in_runs(name: str, seed: int) -> None:
    build, expected = TORCH[name]
    rng = torch.Generator().manual_seed(seed)
    shapes = ((2, 2), (2,), (1, 2), (1,))
    parameters = [torch.nn.Parameter(torch.randn(shape, generator=rng, dtype=torch.float64)) for shape in shapes]
    optimizer = build(parameters)  # type: ignore[arg-type]
    row = seed % 2
    for step in range(25):
        before = [parameters[0][row].clone().detach(), parameters[1][row].clone().detach()]
        for p in parameters:
            p.grad = torch.randn(p.shape, generator=rng, dtype=torch.float64) * 10.0 ** (seed % 5 - 2)
        parameters[0].grad[row], parameters[1].grad[row] = 0.0, 0.0  # type: ignore[index]
        optimizer.step()
        after = [parameters[0][row].detach(), parameters[1][row].detach()]
        if F in expected or FB in expected:
            assert torch.equal(before[0], after[0]), (name, step)
            assert torch.equal(before[1], after[1]), (name, step)
        else:
            factors = torch.cat([after[0] / before[0], (after[1] / before[1]).reshape(1)])
            assert (factors >= 0).all()
            assert torch.allclose(factors[:2], factors[:1], rtol=1e-12, atol=0)
            if DJ in expected or S in expected:
                assert torch.allclose(factors, factors[:1].expand(3), rtol=1e-12, atol=0)
            if DJ in expected or D in expected or DW in expected:
                assert (factors <= 1 + 1e-15).all()
