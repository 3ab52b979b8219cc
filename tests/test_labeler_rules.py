"""The tables of rule14 hold together: fragments compile, capture nothing, name observations."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from evaluation import labeler_rules as rules
from sources.record import OBSERVATIONS

CUES = (
    "POST_NEGATIVE", "POST_UNCERTAIN", "NOT_CUES", "BREAKERS", "NOT_ASSERTED", "EITHER_NEGATIVE",
    "EITHER_UNCERTAIN", "PRE_UNCERTAIN", "PRE_SUGGESTED", "PRE_NEGATIVE", "NORMALITY",
    "AFFIRMED_START",
)  # fmt: skip


def fragments() -> Iterator[tuple[str, str]]:
    for name, terms in rules.TERMS.items():
        yield from ((name, term) for term in terms)
    yield from (("not a term", term) for term in rules.NOT_TERMS)
    yield from (("other", term) for term in rules.OTHER_ABNORMALITY)
    yield from (("both", both[0]) for both in rules.BOTH_TERMS)
    yield from (("implies", words) for words, _ in rules.IMPLIES_UNCERTAIN)
    for carrier in rules.CARRIERS:
        parts = (carrier.carriers, carrier.abnormal, carrier.normal, carrier.borderline)
        yield from ((carrier.observation, part) for part in parts)
    yield from ((name, getattr(rules, name)) for name in CUES)


@pytest.mark.parametrize(("name", "fragment"), list(fragments()))
def test_a_fragment_compiles_and_captures_nothing(name: str, fragment: str) -> None:
    assert re.compile(fragment).groups == 0, name


@pytest.mark.parametrize(("name", "fragment"), list(fragments()))
def test_a_fragment_can_match_lower_case_text(name: str, fragment: str) -> None:
    letters = re.sub(r"\\[a-zA-Z]", "", fragment)
    assert letters == letters.lower(), name


def test_every_observation_but_no_finding_has_terms() -> None:
    assert tuple(rules.TERMS) == OBSERVATIONS[:-1]
    assert all(rules.TERMS.values())


def test_rules_name_only_known_observations() -> None:
    named = {carrier.observation for carrier in rules.CARRIERS}
    named |= {name for both in rules.BOTH_TERMS for name in both[1:]}
    named |= {name for _, name in rules.IMPLIES_UNCERTAIN}
    assert named <= set(OBSERVATIONS)


def test_no_term_is_hidden_by_the_words_that_are_read_first() -> None:
    """A phrase that is no term must not swallow the bare name of an observation."""
    skipped = re.compile("|".join(rules.NOT_TERMS))
    for word in ("effusion", "mass", "edema", "lesion", "pneumonia", "infection", "collapse"):
        assert skipped.fullmatch(word) is None
