"""Judge a registered version against the champion; promote it if it passes; or go back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from infra.errors import InputError
from infra.licences import Use
from infra.promotion_log import NOBODY, Entry
from infra.promotions import CHAMPION, Decision, Promotions, this_person
from infra.registry import Registry, Version
from infra.settings.environment import Environment
from infra.settings.gates import Gate, Gates, load_gates
from infra.store import Store
from infra.tracking_database import require_database
from sources.record import Split
from tasks.monitor.tracked import book_at
from tasks.one_set.fair_studies import learned_from
from tasks.promote.evidence import record
from tasks.promote.lineage import Model, films_of, find_model, inputs_of, kind_of, shards
from tasks.promote.scored import Asked, together

if TYPE_CHECKING:
    from evaluation.gate_outcome import Check, Outcome

EXPERIMENT: Final = "promotions"
"""The MLflow experiment that holds the evidence."""
RESAMPLES: Final = 2000
SEED: Final = 3
"""Of the intervals that decide. Our choice: at 2,000 an end moves by less than a tenth of the
interval's half from seed to seed, and none can look for a seed that passes."""


@dataclass(frozen=True)
class Order:
    """What is judged.

    Args:
        version: a number, or ``@alias``.
        against: the same of what it is held against; NOBODY's place is taken by an alias not set.
        use: what is wanted of it; None is what the gates say.
        allowed: sources and weights whose use the operator answers for.
        gates: a file of gates; None is the one that is shipped.
    """

    model: str
    version: str = "@candidate"
    against: str = f"@{CHAMPION}"
    use: Use | None = None
    allowed: tuple[str, ...] = ()
    gates: Path | None = None


def open_registry(environment: Environment) -> Registry:
    """The registry of a place.

    Raises:
        InputError: nothing was registered there.
    """
    require_database(environment.tracking_uri)
    return Registry(book_at(environment, EXPERIMENT))


def judge(store: Store, registry: Registry, order: Order) -> Outcome:
    """Every check of the gate; nothing is written.

    Raises:
        InputError: a version, its artifacts or a gate is not there.
    """
    from evaluation.gate_outcome import Outcome

    gates = load_gates(order.gates)
    candidate = find_model(store, registry.version(order.model, order.version))
    champion = _champion(store, registry, order)
    wanted = order.use or gates.use
    held = {name: _gate(gates, candidate, champion, name) for name in candidate.scores}
    judged: dict[str, list[str]] = {name: [] for name in held}
    checks = [
        *_required(candidate, champion),
        *(each for name in held for each in _ability(candidate, champion, name, held, judged)),
        *_licences(candidate, wanted, order.allowed),
    ]
    settings = {name: gate.model_dump(mode="json") for name, gate in held.items()}
    return Outcome(
        order.model,
        candidate.version.number,
        NOBODY if champion is None else champion.version.number,
        wanted,
        tuple(checks),
        settings,
        judged,
    )


def _champion(store: Store, registry: Registry, order: Order) -> Model | None:
    name = order.against
    if name.startswith("@") and registry.alias(order.model, name[1:]) == NOBODY:
        return None
    return find_model(store, registry.version(order.model, name))


def _gate(gates: Gates, candidate: Model, champion: Model | None, ability: str) -> Gate:
    """By the champion's scale, for a demo's wide gate is none to a real champion's place."""
    kind, scale = kind_of(candidate.scores[ability]), (champion or candidate).scale
    return gates.gate(kind, candidate.version.name, scale)


def _required(candidate: Model, champion: Model | None) -> Iterator[Check]:
    """It was scored, and it can do all that the champion can."""
    from evaluation.gate_outcome import Check

    names = ", ".join(candidate.scores)
    yield Check("scored", bool(names), names or "no scores: run 'cxr evaluate' and register again")
    if champion is not None:
        lost = [name for name in champion.scores if name not in candidate.scores]
        reason = f"without {', '.join(lost)}" if lost else "all of them"
        yield Check("does what the champion does", not lost, reason)


def _ability(
    candidate: Model,
    champion: Model | None,
    ability: str,
    gates: dict[str, Gate],
    judged: dict[str, list[str]],
) -> Iterator[Check]:
    """The checks of one ability; ``judged`` gets the names of the scores."""
    from evaluation import gate as arithmetic

    gate = gates[ability]
    both = None if champion is None else together(candidate, champion, ability)
    mine = both[0] if both else Asked(candidate.scores[ability])
    own = mine.read(gate.controls)
    judged[ability].append(own.name)
    yield arithmetic.check_size(ability, own, gate)
    yield from arithmetic.check_controls(ability, own, gate, RESAMPLES, SEED)
    yield _learned("candidate", candidate, ability, mine)
    if champion is None or both is None:
        return
    other = both[1].read()
    judged[ability].append(other.name)
    same = arithmetic.check_same_test(ability, own, other)
    yield same
    if same.passed:
        yield arithmetic.check_signatures(ability, own, other, gate)
        yield from arithmetic.check_metrics(ability, own, other, gate, RESAMPLES, SEED)
        yield _learned("champion", champion, ability, mine)


def _learned(who: str, model: Model, ability: str, asked: Asked) -> Check:
    """That a model learned from none of the test studies, their subjects or copies of their films.

    A champion that did would look better than it is; so it is looked at too.
    """
    from evaluation.gate_outcome import check_learned

    tested = shards(asked.examples, Split.TEST)
    if not tested:
        raise InputError(
            f"{asked.examples.folder} without test shards", "what was tested on", "pack it again"
        )
    films = [path for images in inputs_of(asked.examples, "images") for path in films_of(images)]
    studies, found = learned_from(tested, films, model.learned)
    return check_learned(who, ability, found, studies)


def _licences(candidate: Model, wanted: Use, allowed: tuple[str, ...]) -> Iterator[Check]:
    from evaluation.gate_outcome import check_licences

    data, weights = candidate.data_licences, candidate.weight_licences
    strangers = [name for name in allowed if name not in (*data, *weights)]
    if strangers:
        raise InputError(
            f"--allow-licence {strangers[0]}",
            f"a source or weights that the model was made of: {', '.join((*data, *weights))}",
            "correct it",
        )
    yield check_licences("data", wanted, data, allowed)
    yield check_licences("base weights", wanted, weights, allowed)


@dataclass(frozen=True)
class Promoted:
    """What came of a promotion: the outcome, and the entry where it passed and was new."""

    outcome: Outcome
    entry: Entry | None


def promote(
    store: Store, registry: Registry, order: Order, reason: str = "", person: str = ""
) -> Promoted:
    """Judge a version and, if it passes, make it champion; a refusal is recorded too.

    Args:
        person: who asks; this process's user unless it asks for another.

    Raises:
        InputError: a version, its artifacts or a gate is not there, or it is champion already.
        Overtaken: another promotion took effect meanwhile.
    """
    if order.against != f"@{CHAMPION}":
        raise InputError(
            f"--against {order.against}",
            "the champion, for a promotion is decided against no other",
            "add --dry-run to look at another comparison",
        )
    person = person or this_person()
    promotions = Promotions(registry, order.model)
    champion = promotions.settle(person).champion
    _require_other(registry.version(order.model, order.version), champion)
    outcome = judge(store, registry, order)
    run_id = record(registry, outcome, person)
    if not outcome.passed:
        return Promoted(outcome, None)
    decision = Decision(person, reason, outcome.digest, run_id)
    return Promoted(outcome, promotions.promote(outcome.version, outcome.against, decision))


def _require_other(candidate: Version, champion: int) -> None:
    if candidate.number == champion:
        raise InputError(
            f"{candidate.uri}, which is the champion already",
            "another version",
            "name it with --version, or point alias candidate at it",
        )


def rollback(
    registry: Registry, model: str, to: int | None, reason: str = "", person: str = ""
) -> Entry:
    """Make the champion before the present one champion again.

    Raises:
        InputError: there was none.
        Overtaken: another promotion or rollback was first.
    """
    return Promotions(registry, model).rollback(Decision(person or this_person(), reason), to)
