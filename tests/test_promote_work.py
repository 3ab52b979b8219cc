"""Promotion from scored artifacts to alias and evidence, on a real registry and by the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from cli_world import Said, Say

from infra.errors import InputError
from infra.facts.files import read_facts
from infra.licences import Use
from infra.promotions import CHAMPION, Promotions
from infra.registry import EVIDENCE
from infra.settings.environment import load_environment
from infra.tracking_database import make_database
from tasks.metrics.serve import metrics_text
from tasks.promote.evidence import MARKDOWN_FILE, OUTCOME_FILE, PAGE_FILE
from tasks.promote.work import Order, judge, promote
from tests.promote_world import PromoteWorld, Told, always, mostly, never, rarely, write_model
from tests.promote_world import write_scores as more_scores
from tests.registry_world import MODEL, add_version

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # MLflow's own tables
ORDER = Order(MODEL)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An empty registry's database: making one takes seconds."""
    place = tmp_path_factory.mktemp("tables") / "mlflow.db"
    make_database(f"sqlite:///{place}")
    return place.read_bytes()


@pytest.fixture
def world(tables: bytes, tmp_path: Path) -> PromoteWorld:
    place = tmp_path / "data" / ".state" / "mlflow"
    place.mkdir(parents=True)
    (place / "mlflow.db").write_bytes(tables)
    return PromoteWorld(tmp_path / "data")


def failed(world: PromoteWorld, order: Order = ORDER) -> dict[str, str]:
    """Reason by title of the checks that failed."""
    outcome = judge(world.store, world.registry, order)
    return {check.title: check.reason for check in outcome.failed}


def alias(world: PromoteWorld) -> int:
    return world.registry.alias(MODEL, CHAMPION)


# Promotions.


def test_the_first_champion_must_beat_its_controls_and_no_other_model(world: PromoteWorld) -> None:
    number = world.register(Told())
    done = promote(world.store, world.registry, ORDER)
    assert done.outcome.passed
    assert [check.title for check in done.outcome.checks] == [
        "scored",
        "llava_rad: test set is large enough",
        "llava_rad: beats the control shuffled",
        "llava_rad: beats the control blank",
        "llava_rad: no leakage into the candidate",
        "licences of data admit research use",
        "licences of base weights admit research use",
    ]
    assert done.entry is not None
    assert (done.entry.version, done.entry.outcome) == (number, done.outcome.digest)
    assert alias(world) == number


def half(number: int) -> bool:
    return number % 10 < 5


def other_half(number: int) -> bool:
    return not half(number)


@pytest.mark.slow
def test_an_equal_model_is_refused_whatever_intervals_its_recipe_asked_for(
    world: PromoteWorld,
) -> None:
    """Of ten resamples' intervals, those of one seed in three exclude zero."""
    found = []
    for seed in range(6):
        world.register(Told(half, shuffled=other_half, resamples=10, seed=seed))
        outcome = judge(world.store, world.registry, ORDER)
        [check] = [each for each in outcome.checks if each.title.endswith("control shuffled")]
        found.append(check)
    assert not found[0].passed
    assert found == [found[0]] * 6


def test_a_better_model_replaces_the_champion_and_a_worse_one_is_refused(
    world: PromoteWorld,
) -> None:
    world.register(Told())
    promote(world.store, world.registry, ORDER)
    better = world.register(Told(always))
    assert promote(world.store, world.registry, ORDER).outcome.passed
    assert alias(world) == better
    worse = world.register(Told(rarely))
    done = promote(world.store, world.registry, ORDER)
    assert done.entry is None
    [check] = done.outcome.failed
    assert check.title == "llava_rad: rule14-micro-F1 is not worse"
    assert "worse, and by up to" in check.reason
    assert alias(world) == better
    assert len(Promotions(world.registry, MODEL).history().entries) == 2
    tags = world.registry.version(MODEL, str(worse)).tags
    assert tags["cxrflow.gate"] == "refused"
    assert tags["cxrflow.gate.failed"] == check.title
    assert tags["cxrflow.gate.against"] == str(better)


def test_the_evidence_of_a_promotion_lies_in_its_run(world: PromoteWorld) -> None:
    number = world.register(Told())
    done = promote(world.store, world.registry, ORDER)
    tags = world.registry.version(MODEL, str(number)).tags
    assert tags["cxrflow.gate"] == "passed"
    assert tags["cxrflow.gate.digest"] == done.outcome.digest
    client, run_id = world.registry.book.client, tags["cxrflow.gate.run"]
    assert done.entry is not None
    assert done.entry.run_id == run_id
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["llava_rad: test set is large enough/units".replace(":", ".")] == 50
    files = {Path(one.path).name for one in client.list_artifacts(run_id, EVIDENCE)}
    assert files == {OUTCOME_FILE, MARKDOWN_FILE, PAGE_FILE}
    kept = Path(client.download_artifacts(run_id, f"{EVIDENCE}/{OUTCOME_FILE}"))
    assert json.loads(kept.read_text()) == json.loads(json.dumps(done.outcome.to_dict()))


def test_the_champion_itself_is_no_candidate(world: PromoteWorld) -> None:
    world.register(Told())
    promote(world.store, world.registry, ORDER)
    with pytest.raises(InputError, match="models:/llava_rad/1, which is the champion already"):
        promote(world.store, world.registry, ORDER)


def test_a_promotion_is_judged_against_the_champion_alone(world: PromoteWorld) -> None:
    world.register(Told())
    with pytest.raises(InputError, match="a promotion is decided against no other"):
        promote(world.store, world.registry, replace(ORDER, against="1"))


# Refusals.


def test_a_model_that_owes_nothing_to_films_is_refused(world: PromoteWorld) -> None:
    world.register(Told(never))
    found = failed(world)
    assert set(found) == {
        "llava_rad: beats the control shuffled",
        "llava_rad: beats the control blank",
    }


def test_the_champions_scale_chooses_the_gate(world: PromoteWorld) -> None:
    world.register(Told(scale="paper"), CHAMPION)
    world.register(Told(always, scale="tiny"))
    title = "llava_rad: test set is large enough"
    assert failed(world) == {title: "50 subjects or films, at least 200 are wanted"}


def test_a_small_test_set_is_refused(world: PromoteWorld) -> None:
    world.register(Told(studies=60))
    assert failed(world) == {
        "llava_rad: test set is large enough": "30 subjects or films, at least 40 are wanted"
    }


@pytest.mark.parametrize(
    ("learned", "reason"),
    [
        (("s0001", "q9", 300), "study-learned-from"),
        (("t9", "p0004", 300), "subject-learned-from"),
        (("t9", "q9", 7), "film-learned-from"),
    ],
)
def test_a_test_study_that_was_learned_from_is_refused(
    world: PromoteWorld, learned: tuple[str, str, int], reason: str
) -> None:
    world.register(Told(learned=(learned,)))
    found = failed(world)
    assert set(found) == {"llava_rad: no leakage into the candidate"}
    assert reason in found["llava_rad: no leakage into the candidate"]


def test_a_champion_that_learned_from_the_test_set_is_told(world: PromoteWorld) -> None:
    world.register(Told(learned=(("t9", "p0004", 300),)), CHAMPION)
    world.register(Told(always))
    assert set(failed(world)) == {"llava_rad: no leakage into the champion"}


def test_unknown_weights_are_refused_until_somebody_answers_for_them(world: PromoteWorld) -> None:
    world.register(Told(weights="who/knows"))
    title = "licences of base weights admit research use"
    assert set(failed(world)) == {title}
    assert failed(world, replace(ORDER, allowed=("who/knows",))) == {}
    with pytest.raises(InputError, match="--allow-licence nobody; expected a source or weights"):
        failed(world, replace(ORDER, allowed=("nobody",)))


def test_known_weights_admit_what_their_licence_does(world: PromoteWorld) -> None:
    world.register(Told(weights="openai/clip-vit-large-patch14"))
    assert failed(world) == {}
    found = failed(world, replace(ORDER, use=Use.COMMERCIAL))
    assert set(found) == {"licences of base weights admit commercial use"}


def test_gated_data_make_no_commercial_model_and_their_replica_does(world: PromoteWorld) -> None:
    commercial = replace(ORDER, use=Use.COMMERCIAL)
    world.register(Told(replica=True))
    assert failed(world, commercial) == {}
    world.register(Told(always, replica=False))
    found = failed(world, replace(commercial, against="@nobody"))
    assert found == {
        "licences of data admit commercial use": "mimic_cxr admits research (PhysioNet "
        "Credentialed Health Data License 1.5.0 (DUA 1.5.0))"
    }


def test_data_of_an_unknown_licence_are_refused(world: PromoteWorld) -> None:
    world.register(Told(source="object_cxr", replica=False))
    [reason] = failed(world).values()
    assert reason.startswith("object_cxr: none stated")
    assert failed(world, replace(ORDER, allowed=("object_cxr",))) == {}


# Test sets.


def test_models_of_two_test_sets_are_not_held_together(world: PromoteWorld) -> None:
    world.register(Told(studies=120), CHAMPION)
    world.register(Told(always))
    [(title, reason)] = failed(world).items()
    assert title == "llava_rad: same test set as the champion"
    assert reason.startswith("other test examples: 100 of 120 and 100 are shared; evaluate both on")


@pytest.mark.slow
def test_a_later_scoring_of_both_on_one_test_set_holds_them_together(world: PromoteWorld) -> None:
    """What a comparison of recipes leaves: further scores of the same two stages."""
    large, small = Told(studies=120), Told(always)
    world.register(large, CHAMPION)
    world.register(small)
    _, _, examples = write_model(world.store, small)
    _, stage, _ = write_model(world.store, large)
    more_scores(world.store, replace(large, studies=100), "llava_rad-on-x", stage, examples)
    outcome = judge(world.store, world.registry, ORDER)
    assert outcome.passed
    assert [name.rpartition("-")[0] for name in outcome.judged[MODEL]] == [
        "llava_rad",
        "llava_rad-on-x",
    ]


def test_artifacts_of_another_data_root_are_one_line(world: PromoteWorld) -> None:
    tags = {"cxrflow.models.llava_rad": "f" * 16}
    world.registry.point(MODEL, "candidate", add_version(world.registry, MODEL, tags))
    with pytest.raises(InputError, match=r"found no models/…-ffff.* expected the data root that"):
        failed(world)
    world.registry.point(MODEL, "candidate", add_version(world.registry, MODEL))
    with pytest.raises(InputError, match=r"models:/llava_rad/2 without a tag cxrflow\.models"):
        failed(world)


# The command.


def say(cxr: Say, world: PromoteWorld, *words: object) -> Said:
    return cxr(*words, "--data-root", world.root)


def test_the_command_promotes_refuses_and_goes_back(cxr: Say, world: PromoteWorld) -> None:
    world.register(Told(mostly))
    said = say(cxr, world, "promote", MODEL, "--reason", "the first")
    assert (said.code, said.err) == (0, "")
    assert "models:/llava_rad@champion is version 1, the first (entry 1)" in said.out
    world.register(Told(always))
    assert say(cxr, world, "promote", MODEL).code == 0
    world.register(Told(rarely))
    said = say(cxr, world, "promote", MODEL)
    assert said.code == 2
    assert "llava_rad version 3 against version 2: refused" in said.out
    told = [line for line in said.out.splitlines() if line.startswith("failed: ")]
    assert len(told) == 1
    assert told[0].startswith("failed: llava_rad: rule14-micro-F1 is not worse: 1.000 to ")
    said = say(cxr, world, "rollback", MODEL, "--reason", "too many calls")
    assert (said.code, said.out) == (
        0,
        "models:/llava_rad@champion is version 1, in place of version 2 (entry 3)\n",
    )
    assert alias(world) == 1
    said = say(cxr, world, "promotions", MODEL)
    assert [line.split()[2:5] for line in said.out.splitlines()[1:4]] == [
        ["rollback", "1", "2"],
        ["promote", "2", "1"],
        ["promote", "1", "none"],
    ]
    assert "too many calls" in said.out and "champion of llava_rad: version 1" in said.out


def register_with_scores(world: PromoteWorld, told: Told) -> None:
    """Tagged as a real run tags its version."""
    before = set(world.store.list_folder("scores"))
    number = world.register(told)
    [scores] = set(world.store.list_folder("scores")) - before
    ability, _, digest = scores.rpartition("-")
    client = world.registry.book.client
    client.set_model_version_tag(MODEL, str(number), f"cxrflow.scores.{ability}", digest)


@pytest.mark.slow
def test_the_command_tells_facts_of_aliases_and_of_scores_that_none_told(
    cxr: Say, world: PromoteWorld
) -> None:
    """These were scored without a flow, as before facts were kept."""
    register_with_scores(world, Told(mostly))
    assert say(cxr, world, "promote", MODEL).code == 0
    moves = [row for row in read_facts(world.store, "aliases") if row["alias"] == "champion"]
    assert [(row["version"], row["previous"]) for row in moves] == [(1, None)]
    told = read_facts(world.store, "scores")
    assert {row["fingerprint"] for row in told} == set(moves[0]["scores"].split(","))
    assert {row["model"] for row in told} == {MODEL}
    numbers = metrics_text(world.store, load_environment(data_root=str(world.root)))
    assert f'cxr_model_score{{ability="{told[0]["ability"]}",alias="champion"' in numbers
    register_with_scores(world, Told(always))
    assert say(cxr, world, "promote", MODEL).code == 0
    assert say(cxr, world, "rollback", MODEL).code == 0
    moves = [row for row in read_facts(world.store, "aliases") if row["alias"] == "champion"]
    assert [row["version"] for row in moves] == [1, 2, 1]
    again = read_facts(world.store, "scores")
    assert len({row["fingerprint"] for row in again}) == 2


def test_a_dry_run_writes_nothing(cxr: Say, world: PromoteWorld) -> None:
    world.register(Told())
    said = say(cxr, world, "promote", MODEL, "--dry-run", "--json")
    assert said.code == 0
    document = json.loads(said.out)
    assert document["passed"] is True
    assert document["entry"] is None
    assert document["version"] == 1
    assert "cxrflow.gate" not in world.registry.version(MODEL, "1").tags
    assert alias(world) == 0
    said = say(cxr, world, "promotions", MODEL, "--json")
    assert json.loads(said.out)["entries"] == []


def test_a_gate_of_ones_own_holds(cxr: Say, world: PromoteWorld, tmp_path: Path) -> None:
    world.register(Told())
    gates = tmp_path / "gates.toml"
    gates.write_text(
        '[[gates]]\nkind = "report"\nfewest_subjects = 51\nbeats_controls_in = "BLEU-4"\n'
        '[[gates.metrics]]\nmetric = "rule14-micro-F1"\nmargin = 0.1\n'
    )
    said = say(cxr, world, "promote", MODEL, "--gates", gates)
    assert said.code == 2
    assert "50 subjects or films, at least 51 are wanted" in said.out
    gates.write_text("gates = 3")
    said = say(cxr, world, "promote", MODEL, "--gates", gates)
    assert said.code == 2
    assert said.err.startswith("error: found 'gates' of gates.toml; expected a list")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["promote", "nobody"], "found no version '@candidate' of model 'nobody' in the registry"),
        (["promote", MODEL, "--version", "9"], "found no version '9' of model 'llava_rad'"),
        (["promote", MODEL, "--use", "war"], "found --use war; expected one of research, internal"),
        (["promote", MODEL, "--against", "1"], "found --against 1; expected the champion"),
        (["rollback", MODEL], "found no earlier champion of llava_rad"),
        (["promotions", f"{MODEL}.promotions"], "which is a log of promotions"),
    ],
)
def test_what_is_wrong_is_one_line(
    cxr: Say, world: PromoteWorld, words: list[str], told: str
) -> None:
    add_version(world.registry)
    said = say(cxr, world, *words)
    assert said.code == 2
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert told in said.err


def test_without_a_registry_nothing_is_made(cxr: Say, tmp_path: Path) -> None:
    said = cxr("promote", MODEL, "--data-root", tmp_path / "empty")
    assert said.code == 2
    assert said.err.startswith("error: found no registry at sqlite:")
    assert not (tmp_path / "empty").exists()
