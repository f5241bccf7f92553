"""Optimizers: the nine named rules as torch.optim classes, foreign classes, and what is known of them."""

from verify.optimizers.registry import NAMED, OptimizerSpec, ResolvedOptimizer, resolve

__all__ = ["NAMED", "OptimizerSpec", "ResolvedOptimizer", "resolve"]
