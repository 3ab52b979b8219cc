"""Persons of the RRG24 replica who are on both sides of its split, as docs/rrg24.md tells them."""

from __future__ import annotations

from pathlib import Path

from infra.settings import load_settings
from sources.replicas.rrg24_plan import plan_replica
from sources.replicas.truth import ReplicaSpec
from sources.rrg24_mimic import MEMBER as MIMIC

HOUSE = Path(__file__).parent.parent
SIDE = {name: name for name in ("train", "validate", "test", "test-hidden")} | {
    "validation": "validate",
    "test-public": "test",
}


def _on_both(sides: dict[int, set[tuple[str, str]]], held: str) -> list[set[tuple[str, str]]]:
    """Of each person with a study held out there and one in training, where all studies are."""
    return [own for own in sides.values() if {held, "train"} <= {side for side, _ in own}]


def test_the_docs_tell_who_is_on_both_sides_of_the_demos_split() -> None:
    told = load_settings("gla_rrg24", "tiny").replicas
    planned = plan_replica(ReplicaSpec(told.studies["rrg24"], told.seed))
    sides: dict[int, set[tuple[str, str]]] = {}
    for report in planned:
        sides.setdefault(report.truth.person.number, set()).add((SIDE[report.part], report.member))
    text = " ".join((HOUSE / "docs" / "rrg24.md").read_text().split())
    assert f"{len(planned):,} studies by {len(sides):,} persons" in text
    both = {side: _on_both(sides, side) for side in ("validate", "test", "test-hidden")}
    held = {side: sum(any(s == side for s, _ in own) for own in sides.values()) for side in both}
    test = sum(SIDE[report.part] == "test" for report in planned)
    assert (
        f"{test} are test studies of {held['test']} persons; {len(both['test'])} of these have a "
        f"study in training too, as have {len(both['validate'])} of the {held['validate']} behind "
        f"validation and {len(both['test-hidden'])} of the {held['test-hidden']} behind the hidden"
    ) in text
    known = sum(
        any(("train", member) in own and ("test", member) in own for member in (MIMIC, "CheXpert"))
        for own in both["test"]
    )
    assert f"{known} of the {len(both['test'])}. **The other {len(both['test']) - known}" in text
