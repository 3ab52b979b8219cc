"""What a teacher is asked for, and beside what its text is set."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from llm_world import QUICK, Script, completion, scripted_server
from pydantic import SecretStr

from infra.egress import Guarantee
from infra.errors import EgressRefused
from infra.llm import Client, Endpoint
from infra.settings.sections import ReportSettings
from sources.record import (
    Label,
    LabelValue,
    Origin,
    SectionedBy,
    SectionedText,
    SourceLabel,
    Study,
    studies_to_table,
)
from sources.split import hash_split
from tasks.quality.pairs import TASKS, Task, TeacherTexts, teacher_texts
from tasks.reports.offline_server import offline_server

SETTINGS = ReportSettings(model="offline-rules")
SETTINGS_KEY = SecretStr("k")
FINDINGS = (
    "Small left pleural effusion. Heart size is normal.",
    "The heart is enlarged. No effusion.",
    "Right pneumothorax.",
    "Patchy opacity in the right lower lobe.",
)
OBSERVED = ("Pleural Effusion", "Cardiomegaly", "Pneumothorax", "Lung Opacity")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with offline_server() as place, Client(place, tmp_path_factory.mktemp("state")) as made:
        yield made


def study(number: int, source: str = "openi", **changes: Any) -> Study:
    """A study with findings, an impression and one label."""
    place = number % len(FINDINGS)
    text = SectionedText(
        Origin.RADIOLOGIST,
        SectionedBy.PUBLISHER,
        "en",
        findings=FINDINGS[place],
        impression="As above.",
    )
    given: dict[str, Any] = {
        "source": source,
        "study_id": f"s{number}",
        "subject_id": f"p{number}",
        "split": hash_split(f"s{number}"),
        "images": (),
        "raw_report": f"FINDINGS: {FINDINGS[place]}\nIMPRESSION: As above.",
        "texts": (text,),
        "labels": (Label(OBSERVED[place], LabelValue.POSITIVE),),
        "source_labels": (SourceLabel(OBSERVED[place], LabelValue.POSITIVE),),
    }
    return Study(**{**given, **changes})


def spanish(number: int, stems: str) -> Study:
    text = SectionedText(Origin.RADIOLOGIST, SectionedBy.PUBLISHER, "es", findings=stems)
    return study(number, "padchest", texts=(text,), raw_report=stems)


def ask(
    studies: list[Study], task: Task, client: Client, most: int | None = None, **english: str
) -> TeacherTexts:
    return teacher_texts(
        studies_to_table(studies), task, SETTINGS, client, english=english, most=most, seed=3
    )


def rows(found: TeacherTexts, control: str) -> dict[str, dict[str, Any]]:
    return {row["study_id"]: row for row in found.pairs.to_pylist() if row["control"] == control}


def test_synthesized_findings_stand_beside_the_radiologists(client: Client) -> None:
    found = ask([study(n) for n in range(4)], "synthesize", client)
    assert (found.usable, found.asked, found.kept, found.rejected) == (4, 4, 4, {})
    assert found.models == ("offline-rules",)
    own = rows(found, "none")
    assert {name: row["reference"] for name, row in own.items()} == {
        f"s{n}": FINDINGS[n] for n in range(4)
    }
    assert "effusion" in own["s0"]["prediction"]
    assert "left" not in own["s0"]["prediction"], "a label tells no side: the report is not shown"
    assert own["s0"]["subject_id"] == "p0"


def test_the_control_is_another_studys_text(client: Client) -> None:
    found = ask([study(n) for n in range(4)], "synthesize", client)
    own, other = rows(found, "none"), rows(found, "shuffled")
    assert own.keys() == other.keys()
    for name, row in other.items():
        assert row["image_study_id"] != name
        assert row["prediction"] == own[row["image_study_id"]]["prediction"]
        assert row["reference"] == own[name]["reference"]
    assert {row["image_study_id"] for row in other.values()} == set(own), "each text is used once"


def test_one_study_has_no_control(client: Client) -> None:
    found = ask([study(0)], "synthesize", client)
    assert (found.kept, rows(found, "shuffled")) == (1, {})


def test_studies_that_cannot_be_used_are_not_asked(client: Client) -> None:
    no_labels = study(1, labels=(), source_labels=())
    no_findings = study(2, texts=(), raw_report=None)
    by_model = SectionedText(Origin.RADIOLOGIST, SectionedBy.LLM, "en", findings="Edema.")
    cut_by_model = study(3, texts=(by_model,))
    found = ask([study(0), no_labels, no_findings, cut_by_model], "synthesize", client)
    assert set(rows(found, "none")) == {"s0"}
    assert (found.usable, found.asked) == (1, 1)
    structured = ask([study(0), no_labels, no_findings, cut_by_model], "structure", client)
    assert set(rows(structured, "none")) == {"s0", "s1"}


def test_a_limit_draws_studies_by_seed(client: Client) -> None:
    studies = [study(n) for n in range(12)]
    found = ask(studies, "synthesize", client, most=5)
    assert (found.usable, found.asked, len(rows(found, "none"))) == (12, 5, 5)
    again = ask(studies[::-1], "synthesize", client, most=5)
    assert rows(again, "none").keys() == rows(found, "none").keys()


def test_structured_findings_stand_beside_the_publishers(client: Client) -> None:
    found = ask([study(0), study(1)], "structure", client)
    for row in rows(found, "none").values():
        assert row["prediction"] == row["reference"]


def test_translations_stand_beside_the_known_english(client: Client) -> None:
    studies = [spanish(0, " derram pleural izquierd ."), spanish(1, " sin hallazg signific .")]
    found = ask(studies, "translate", client, s0="Left pleural effusion.")
    (row,) = rows(found, "none").values()
    assert (row["study_id"], row["reference"]) == ("s0", "Left pleural effusion.")
    assert "left pleural effusion" in row["prediction"].lower()
    assert ask(studies, "translate", client).usable == 0
    labels = ask(studies, "synthesize", client, s0="Left pleural effusion.")
    assert set(rows(labels, "none")) == {"s0"}, "labels of a replica have known English too"
    assert ask(studies, "structure", client, s0="Left pleural effusion.").usable == 0


def test_answers_that_fail_their_checks_are_counted(tmp_path: Path) -> None:
    def reply(_: int, body: dict[str, Any]) -> tuple[int, Any]:
        question = json.loads(body["messages"][-1]["content"])
        if question["facts"][0]["name"] == "Cardiomegaly":
            return 200, completion(None, refusal="no")
        wrong = {"findings": "Large right pneumothorax.", "impression": None}
        return 200, completion(json.dumps(wrong))

    with scripted_server(Script(reply)) as place, Client(place, tmp_path, QUICK) as client:
        found = ask([study(0), study(1), study(2)], "synthesize", client)
    assert found.asked == 3 == found.kept + sum(found.rejected.values())
    assert found.rejected["refused"] == 1
    assert len(rows(found, "none")) == found.kept


@pytest.mark.parametrize("task", TASKS)
def test_a_source_that_has_nothing_for_a_task_has_no_pairs(client: Client, task: Task) -> None:
    empty = study(0, texts=(), raw_report=None, labels=(), source_labels=())
    for studies in ([empty], []):
        found = ask(studies, task, client)
        assert (found.usable, found.asked, found.kept, found.pairs.num_rows) == (0, 0, 0, 0)
        assert isinstance(found.pairs, pa.Table)


def test_gated_text_does_not_leave(tmp_path: Path) -> None:
    far = Endpoint("http://llm.example/v1", SETTINGS_KEY, Guarantee.NONE)
    with Client(far, tmp_path, QUICK) as client, pytest.raises(EgressRefused, match="mimic_cxr"):
        ask([study(0, "mimic_cxr")], "structure", client)
