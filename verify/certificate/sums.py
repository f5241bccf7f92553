"""Sums and products of terms, without what changes nothing."""

from __future__ import annotations

from typing import Any

__all__ = ["add", "mul"]

Json = Any


def add(*terms: Json) -> Json:
    """A sum, without zeros."""
    kept = [term for term in terms if term != "0"]
    return ["add", *kept] if len(kept) > 1 else kept[0] if kept else "0"


def mul(*factors: Json) -> Json:
    """A product, without ones."""
    if "0" in factors:
        return "0"
    kept = [factor for factor in factors if factor != "1"]
    return ["mul", *kept] if len(kept) > 1 else kept[0] if kept else "1"
