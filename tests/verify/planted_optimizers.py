"""Optimizers with one known fault each, and some without: what the falsifier must name, and must not accuse."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.optim import Optimizer


class Plain(Optimizer):
    """Gradient descent; subclasses change how one parameter moves."""

    def __init__(self, params: Iterable[Any], lr: float = 0.1, **more: Any) -> None:
        super().__init__(params, {"lr": lr, **more})

    def step(self, closure: Callable[[], Any] | None = None) -> None:
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    kept = self.state[p]
                    kept["step"] = kept.get("step", 0) + 1
                    self.move(p, p.grad, kept, group)

    def move(self, p: torch.Tensor, g: torch.Tensor, kept: dict[str, Any], group: dict[str, Any]) -> None:
        p.add_(g, alpha=-group["lr"])


class DecoupledDecay(Plain):
    def __init__(self, params: Iterable[Any], lr: float = 0.1, weight_decay: float = 0.01) -> None:
        super().__init__(params, lr, weight_decay=weight_decay)

    def move(self, p, g, kept, group):
        p.mul_(1 - group["lr"] * group["weight_decay"])
        super().move(p, g, kept, group)


class HiddenDecay(Plain):
    def move(self, p, g, kept, group):
        p.mul_(0.999)
        super().move(p, g, kept, group)


class WeightsOnlyDecay(Plain):
    def move(self, p, g, kept, group):
        if p.dim() > 1:
            p.mul_(0.99)
        super().move(p, g, kept, group)


class BiasesOnlyDecay(WeightsOnlyDecay):
    def move(self, p, g, kept, group):
        if p.dim() == 1:
            p.mul_(0.99)
        Plain.move(self, p, g, kept, group)


class FactorOfEachParameter(Plain):
    """Every parameter has its own factor: split scaling only."""

    def move(self, p, g, kept, group):
        p.mul_(0.5 + 0.125 * p.numel())
        super().move(p, g, kept, group)


class RowFactors(Plain):
    """Every neuron has its own factor: scaling, and not joint."""

    def move(self, p, g, kept, group):
        factors = 0.9 + 0.01 * torch.arange(p.shape[0], dtype=p.dtype)
        p.mul_(factors.reshape(-1, *[1] * (p.dim() - 1)))
        super().move(p, g, kept, group)


class Growing(Plain):
    def move(self, p, g, kept, group):
        p.mul_(1.001)
        super().move(p, g, kept, group)


class Flipping(Plain):
    def move(self, p, g, kept, group):
        p.mul_(-0.5 if kept["step"] == 3 else 1)
        super().move(p, g, kept, group)


class HiddenCoupledDecay(Plain):
    def move(self, p, g, kept, group):
        super().move(p, torch.sign(g + 0.01 * p), kept, group)


class Noise(Plain):
    def move(self, p, g, kept, group):
        super().move(p, g + 1e-3 * torch.randn_like(p), kept, group)


class UnseededNoise(Plain):
    def move(self, p, g, kept, group):
        super().move(p, g + int.from_bytes(os.urandom(4), "big") * 1e-12, kept, group)


class RareNoise(Plain):
    """One coordinate in eight moves, drawn anew."""

    def move(self, p, g, kept, group):
        super().move(p, g + (torch.rand_like(p) < 0.125), kept, group)


class CentredRows(Plain):
    def move(self, p, g, kept, group):
        super().move(p, g - g.mean(dim=-1, keepdim=True) if p.dim() > 1 else g, kept, group)


class Orthogonalized(Plain):
    def move(self, p, g, kept, group):
        if p.dim() == 2 and bool(g.any()):
            x = g / g.norm()
            for _ in range(5):
                x = 3.4445 * x - 4.775 * (x @ x.T) @ x + 2.0315 * (x @ x.T) @ (x @ x.T) @ x
            g = x
        super().move(p, g, kept, group)


class AboveTen(Plain):
    def move(self, p, g, kept, group):
        super().move(p, g + 1.0 if bool((g > 10).any()) else g, kept, group)


class AtStepSeven(Plain):
    def move(self, p, g, kept, group):
        super().move(p, g + 1.0 if kept["step"] == 7 else g, kept, group)


class AtStepForty(Plain):
    def move(self, p, g, kept, group):
        super().move(p, g + 1.0 if kept["step"] == 40 else g, kept, group)


class BiasedStart(Plain):
    """Both accumulators start at 0.1."""

    def move(self, p, g, kept, group):
        if "m" not in kept:
            kept["m"], kept["v"] = torch.full_like(p, 0.1), torch.full_like(p, 0.1)
        kept["m"].mul_(0.9).add_(g, alpha=0.1)
        kept["v"].mul_(0.99).addcmul_(g, g, value=0.01)
        super().move(p, kept["m"] / (kept["v"].sqrt() + 1e-8), kept, group)


class DenominatorAtTenth(Plain):
    """Only the denominator starts at 0.1: nothing moves without a gradient."""

    def move(self, p, g, kept, group):
        if "v" not in kept:
            kept["v"] = torch.full_like(p, 0.1)
        kept["v"].addcmul_(g, g)
        super().move(p, g / kept["v"].sqrt(), kept, group)


class Resetting(Plain):
    def move(self, p, g, kept, group):
        super().move(p, g, kept, group)
        if kept["step"] % 5 == 0:
            p.fill_(0.25)


class ZeroByZero(Plain):
    def move(self, p, g, kept, group):
        super().move(p, g / g.abs(), kept, group)


class SignOfZero(Plain):
    def move(self, p, g, kept, group):
        super().move(p, g, kept, group)
        p.add_(0.0)


class Lookahead(Plain):
    """Every third step halfway back to the slow weights; exact where nothing moved."""

    def move(self, p, g, kept, group):
        slow = kept.setdefault("slow", p.clone())
        super().move(p, g, kept, group)
        if kept["step"] % 3 == 0:
            slow.add_(p - slow, alpha=0.5)
            p.copy_(slow)


class RoundedLookahead(Lookahead):
    """The same as a weighted mean, which rounds."""

    def move(self, p, g, kept, group):
        slow = kept.setdefault("slow", p.clone())
        Plain.move(self, p, g, kept, group)
        if kept["step"] % 3 == 0:
            slow.copy_(0.3 * slow + 0.7 * p)
            p.copy_(slow)


class MeanOfValues(Plain):
    """Pulls every entry towards the mean of the parameter: other values matter, other gradients do not."""

    def move(self, p, g, kept, group):
        super().move(p, g, kept, group)
        p.add_(p.mean() - p, alpha=0.01)


class ClippedByNorm(Plain):
    def move(self, p, g, kept, group):
        super().move(p, g / max(1.0, float(g.norm())), kept, group)


class DecaysWithoutGradient(Plain):
    """Decays parameters whose gradient is None, and only those."""

    def step(self, closure=None):
        with torch.no_grad():
            for p in (p for group in self.param_groups for p in group["params"] if p.grad is None):
                p.mul_(0.9)
        super().step()


class NoisyEvaluation(Plain):
    """Evaluates the gradient at a point with noise, and puts the parameters back."""

    def step(self, closure):
        kept = [(p, p.detach().clone()) for group in self.param_groups for p in group["params"]]
        with torch.no_grad():
            for p, _ in kept:
                p.add_(torch.randn_like(p), alpha=1e-3)
            closure()
            for p, old in kept:
                p.copy_(old)
        super().step()


class Sharpness(Plain):
    """Sharpness-aware: evaluates twice, the second time uphill."""

    def step(self, closure):
        closure()
        kept = [(p, p.detach().clone()) for group in self.param_groups for p in group["params"]]
        with torch.no_grad():
            for p, _ in kept:
                if p.grad is not None:
                    p.add_(p.grad / (p.grad.norm() + 1e-12), alpha=0.05)
            closure()
            for p, old in kept:
                p.copy_(old)
        super().step()


class NeedsHessian(Plain):
    """Divides by the diagonal of the Hessian, which it gets by differentiating the gradients."""

    def step(self, closure):
        closure()
        parameters = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        ones = [torch.ones_like(p) for p in parameters]
        hessians = torch.autograd.grad([p.grad for p in parameters], parameters, ones)
        with torch.no_grad():
            for p, h in zip(parameters, hessians, strict=True):
                p.sub_(p.grad / (h.abs() + 1), alpha=0.1)


class RaisesAtOnce(Plain):
    def __init__(self, params, lr=0.1):
        raise ValueError("needs a model\nand much more")


class RaisesInStep(Plain):
    def move(self, p, g, kept, group):
        raise RuntimeError("no kernel image is available")


class NeedsCuda(Plain):
    def move(self, p, g, kept, group):
        p.cuda()


class GivesNan(Plain):
    def move(self, p, g, kept, group):
        p.fill_(float("nan"))


class RaisesLater(Plain):
    def move(self, p, g, kept, group):
        if kept["step"] == 4:
            raise RuntimeError("too late")
        super().move(p, g, kept, group)
