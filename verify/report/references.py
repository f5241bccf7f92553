"""What the reports cite, as BibTeX."""

from __future__ import annotations

from dataclasses import dataclass

from verify.inference import Interval
from verify.results import Results

__all__ = ["REFERENCES", "Reference", "bibtex", "cited"]


@dataclass(frozen=True)
class Reference:
    """A BibTeX entry. interval: cited only by audits with this kind of confidence limits, None: by all."""

    kind: str
    key: str
    fields: tuple[tuple[str, str], ...]
    interval: Interval | None = None

    def __str__(self) -> str:
        lines = [f"  {name} = {{{value}}}," for name, value in self.fields]
        return "\n".join([f"@{self.kind}{{{self.key},", *lines, "}"])


def _preprint(key: str, author: str, title: str, number: str, year: str) -> Reference:
    return Reference(
        "misc",
        key,
        (
            *(("author", author), ("title", title), ("year", year)),
            *(("eprint", number), ("archiveprefix", "arXiv"), ("url", f"https://arxiv.org/abs/{number}")),
        ),
    )


REFERENCES = (
    _preprint(
        "do2024nonconvergence",
        "Do, Thang and Hannibal, Sonja and Jentzen, Arnulf",
        "Non-convergence to global minimizers in data driven supervised deep learning: {Adam} and stochastic gradient "
        "descent optimization provably fail to converge to global minimizers in the training of deep neural networks "
        "with {ReLU} activation",
        "2410.10533",
        "2024",
    ),
    _preprint(
        "lu2019dying",
        "Lu, Lu and Shin, Yeonjong and Su, Yanhui and Karniadakis, George Em",
        "Dying {ReLU} and Initialization: Theory and Numerical Examples",
        "1903.06733",
        "2019",
    ),
    _preprint(
        "cheridito2020nonconvergence",
        "Cheridito, Patrick and Jentzen, Arnulf and Rossmannek, Florian",
        "Non-convergence of stochastic gradient descent in the training of deep neural networks",
        "2006.07075",
        "2020",
    ),
    _preprint(
        "jentzen2024nonconvergence",
        "Jentzen, Arnulf and Riekert, Adrian",
        "Non-convergence to global minimizers for {Adam} and stochastic gradient descent optimization and "
        "constructions of local minimizers in the training of artificial neural networks",
        "2402.05155",
        "2024",
    ),
    Reference(
        "article",
        "clopper1934use",
        (
            ("author", "Clopper, C. J. and Pearson, E. S."),
            ("title", "The use of confidence or fiducial limits illustrated in the case of the binomial"),
            *(("journal", "Biometrika"), ("volume", "26"), ("number", "4"), ("pages", "404--413"), ("year", "1934")),
        ),
        Interval.CLOPPER_PEARSON,
    ),
    Reference(
        "article",
        "robbins1970statistical",
        (
            ("author", "Robbins, Herbert"),
            ("title", "Statistical methods related to the law of the iterated logarithm"),
            ("journal", "The Annals of Mathematical Statistics"),
            *(("volume", "41"), ("number", "5"), ("pages", "1397--1409"), ("year", "1970")),
        ),
        Interval.CONFIDENCE_SEQUENCE,
    ),
)


def cited(results: Results) -> list[Reference]:
    """What an audit cites: the audited paper, related work, and the source of its confidence limits."""
    used = {t.frequency.interval for case in results.cases for t in case.theorems if t.frequency is not None}
    return [each for each in REFERENCES if each.interval is None or each.interval.value in used]


def bibtex(results: Results) -> str:
    """The entries as a BibTeX file."""
    return "\n\n".join(str(each) for each in cited(results)) + "\n"
