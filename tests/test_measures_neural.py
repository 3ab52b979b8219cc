"""Which neural metrics are signed, and what the others lack, for any set of encoders that ran."""

from __future__ import annotations

import pytest

from evaluation.encoded import Encoded
from evaluation.encoders import CHEXBERT, ENCODERS, RADCLIQ_BERTSCORE, RADGRAPH
from evaluation.measures_neural import (
    BASELINES,
    available_measures,
    slots,
    still_unavailable,
)
from evaluation.meteor import METEOR_PROFILES, meteor_name

ABOUT = {
    name: {"version": "1", "weights": f"{place:064x}", "tokenizer": f"tokens of {name}"}
    for place, name in enumerate(ENCODERS)
}
METEORS = tuple(meteor_name(profile) for profile in METEOR_PROFILES)
ABOUT |= {
    name: {
        "version": "1, Java 17",
        "weights": f"{place:064x} {place + 9:064x}",
        "tokenizer": "-norm",
    }
    for place, name in enumerate(METEORS)
}
MISSING = {name: f"needs the files of {name}" for name in (*ENCODERS, *METEORS)}


def encoded(*names: str) -> Encoded:
    return Encoded(
        about={name: ABOUT[name] for name in names},
        unavailable={name: why for name, why in MISSING.items() if name not in names},
    )


@pytest.mark.parametrize("names", [(), (CHEXBERT,), (RADGRAPH, CHEXBERT), ENCODERS, METEORS])
def test_each_metric_is_either_measured_or_unavailable(names: tuple[str, ...]) -> None:
    measured = {measure.name for measure in available_measures(encoded(*names))}
    absent = set(still_unavailable(encoded(*names)))
    assert measured | absent >= {slot.measure.name for slot in slots()}
    assert not measured & absent
    assert "GREEN" in absent
    assert "METEOR" not in absent, "it is told by profile"
    assert measured & set(METEORS) == set(METEORS) & set(names)


def test_radcliq_waits_for_all_that_it_is_made_of() -> None:
    told = still_unavailable(encoded(CHEXBERT))["RadCliQ-v0"]
    assert told == f"{MISSING[RADGRAPH]}; {MISSING[RADCLIQ_BERTSCORE]}"
    ready = available_measures(encoded(CHEXBERT, RADGRAPH, RADCLIQ_BERTSCORE))
    own = next(measure for measure in ready if measure.name == "RadCliQ-v1")
    assert not own.higher_is_better
    digests = [ABOUT[name]["weights"] for name in (RADGRAPH, RADCLIQ_BERTSCORE, CHEXBERT)]
    assert own.about["weights"] == " ".join(f"sha256:{one}" for one in digests)


def test_a_signature_has_the_encoders_own_fields() -> None:
    for measure in available_measures(encoded(*ENCODERS)):
        assert measure.about["weights"].startswith("sha256:"), measure.name
        assert measure.about["tokenizer"].startswith("tokens of "), measure.name
        assert measure.about["version"], measure.name


def test_where_no_encoder_is_run_the_general_need_is_told() -> None:
    told = still_unavailable(Encoded())
    assert told["RadGraph-F1[xl,partial]"] == "needs RadGraph's weights"
    assert told["SembScore"].startswith("needs CheXbert's checkpoint")


def test_meteor_is_signed_by_jar_table_and_java() -> None:
    ready = {measure.name: measure for measure in available_measures(encoded(*METEORS))}
    assert list(ready) == list(METEORS)
    own = ready["METEOR[coco-ptb]"]
    assert own.about["version"] == "1, Java 17"
    assert own.about["weights"] == f"sha256:{0:064x} {9:064x}"
    assert (own.about["level"], own.higher_is_better, own.is_detail) == ("corpus", True, False)
    assert ready["METEOR[r2gen]"].is_detail
    told = still_unavailable(Encoded())
    assert told["METEOR[coco]"] == "needs Java and METEOR 1.5 with its table of paraphrases"


def test_names_are_unique_and_families_too_but_for_labels() -> None:
    names = [slot.measure.name for slot in slots()]
    assert len(set(names)) == len(names)
    means = [slot.measure.family for slot in slots() if "CheXbert" not in slot.measure.name]
    assert len(set(means)) == len(means)


def test_versions_tell_code_and_weights() -> None:
    assert encoded(CHEXBERT).versions == {CHEXBERT: f"1 {ABOUT[CHEXBERT]['weights']}"}


def test_baselines_are_those_of_the_published_tables() -> None:
    assert BASELINES == {
        "distilbert-base-uncased": 0.66620487,
        "distilroberta-base": 0.8473319,
    }
