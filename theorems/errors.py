"""The one exception for input that a user can mend."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["InvalidInput", "did_you_mean"]


class InvalidInput(ValueError):
    """Input that cannot be used: its message is one sentence with the value and what was expected.

    The command line prints the message and exits with status 2. Programming errors never use this class.
    """


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" for the nearest known word, in upper or lower case, or an empty string."""
    spelled = {each.lower(): each for each in known}
    near = difflib.get_close_matches(word.lower(), spelled, n=1)
    return f" (did you mean {spelled[near[0]]!r}?)" if near else ""
