"""Cases: what a scored model wrote for each test study, beside the reference; a page at a time.

Predictions and per-example scores are read where they lie, by DuckDB, and no more rows than a page
shows leave it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal
from urllib.parse import urlencode

import pyarrow.parquet as pq

from evaluation.judged import CATEGORIES
from infra.tables import connect
from sources.record import OBSERVATIONS
from tasks.ground.work import SENTENCES_FILE
from tasks.pages.library import Kept, Library
from tasks.predict.work import PREDICTIONS_FILE
from tasks.score.work import EXAMPLES_FILE, JUDGED_FILE
from tasks.serve.refused import Refused, bad

PAGE_ROWS: Final = 24
"""Cases on a page (our choice: three screens, and films load at once)."""
MAPS_FILE: Final = "maps.parquet"
Kind = Literal["report", "answers", "films"]
ORDERS: Final = {
    "worst": "worst first",
    "best": "best first",
    "errors": "most judged errors",
    "study": "by study",
}
SHOWN: Final = {
    "all": "all",
    "wrong": "something missed or added",
    "missed": "something missed",
    "added": "something added",
    "perfect": "nothing missed or added",
    "attention": "with attention",
}
_BY_KIND: Final[Mapping[Kind, Mapping[str, str]]] = {
    "report": {
        "worst": "rule14_f1 NULLS LAST, significant_errors DESC NULLS LAST, rouge_l NULLS LAST",
        "best": "rule14_f1 DESC NULLS LAST, significant_errors NULLS LAST, rouge_l DESC NULLS LAST",
        "errors": "significant_errors DESC NULLS LAST, insignificant_errors DESC NULLS LAST",
        "study": "",
    },
    "answers": {
        "worst": "rght NULLS LAST",
        "best": "rght DESC NULLS LAST",
        "errors": "rght NULLS LAST",
        "study": "",
    },
    "films": dict.fromkeys(ORDERS, ""),
}
_LAST_ORDER: Final = "source, study_id, example_id"  # so that no case is on two pages
_SHOWN_SQL: Final[Mapping[str, str]] = {
    "wrong": "missed + false_positive > 0",
    "missed": "missed > 0",
    "added": "false_positive > 0",
    "perfect": "missed + false_positive = 0",
}


@dataclass(frozen=True)
class Filter:
    """What a person wants to see; ``page`` counts from 1."""

    source: str = ""
    finding: str = ""
    show: str = "all"
    order: str = "worst"
    page: int = 1

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Filter:
        """From a page's address.

        Raises:
            Refused: 400, a value that no link or form of ours has.
        """
        found = cls(
            query.get("source", ""),
            query.get("finding", ""),
            query.get("show") or "all",
            query.get("order") or "worst",
            whole(query.get("page") or "1", "page"),
        )
        if found.finding not in ("", *OBSERVATIONS):
            raise bad("another finding", ", ".join(OBSERVATIONS), "choose one", "finding")
        if found.show not in SHOWN or found.order not in ORDERS:
            raise bad("another choice", "one of the form's", "choose one", "show")
        return found

    def address(self, **changes: object) -> str:
        """The query of the same with changes; what says nothing is left out."""
        told = {**vars(self), **changes}
        plain = vars(Filter())
        return urlencode(
            {name: str(value) for name, value in told.items() if value != plain.get(name)}
        )


def whole(text: str, name: str) -> int:
    """A whole number from 1 of an address.

    Raises:
        Refused: 400.
    """
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 8 and int(text) > 0):
        raise bad("no number", "a whole number from 1", "follow a link of the page", name)
    return int(text)


@dataclass(frozen=True)
class CasePage:
    """Some cases of a set; ``total`` counts all that the filter lets through."""

    rows: list[dict[str, Any]]
    total: int
    filter: Filter

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // PAGE_ROWS))


@dataclass(frozen=True)
class CaseSet:
    """The cases of one scores artifact."""

    library: Library
    scores: Kept
    predictions: Kept
    grounding: tuple[Kept, ...] = field(default=())

    @classmethod
    def of(cls, library: Library, folder: str) -> CaseSet:
        """The cases behind the scores of a folder's name.

        Raises:
            Refused: 404, there are none.
        """
        scores = library.get(f"scores/{folder}")
        place = scores.input_of("predictions")
        if place is None:
            raise Refused(404, "no_cases", "these scores are of no predictions of this data root")
        predictions = library.get(place)
        behind = predictions.input_of("stages")
        maps = [kept for kept in library.of("grounding") if kept.input_of("stages") == behind]
        return cls(library, scores, predictions, tuple(maps))

    @cached_property
    def _predicted(self) -> list[str]:
        return [str(path) for path in self.library.files(self.predictions, PREDICTIONS_FILE)]

    @cached_property
    def _measured(self) -> list[str]:
        return [str(path) for path in self.library.files(self.scores, EXAMPLES_FILE)]

    @cached_property
    def kind(self) -> Kind:
        """What was predicted: a report, an answer, or a film."""
        if not self._predicted:
            raise Refused(404, "no_cases", "nothing was predicted here")
        columns = pq.read_schema(self._predicted[0]).names
        if "prediction" not in columns:
            return "films"
        measured = pq.read_schema(self._measured[0]).names if self._measured else []
        return "report" if "rule14_f1" in measured else "answers"

    def _cases(self) -> tuple[str, dict[str, Any]]:
        """SQL of the model's own cases with their numbers, without pixels; and its parameters."""
        names: dict[str, Any] = {"predicted": self._predicted}
        if self.kind == "films":
            columns = pq.read_schema(self._predicted[0]).names
            left = ", ".join(name for name in ("pixels", "width", "height") if name in columns)
            own = f"SELECT * EXCLUDE ({left})" if left else "SELECT *"
            where = "WHERE control = 'none'" if "control" in columns else ""
            return f"{own} FROM read_parquet($predicted) {where}", names
        own = "SELECT * FROM read_parquet($predicted) WHERE control = 'none'"
        if not self._measured:
            return own, names
        names["measured"] = self._measured
        if self.kind == "report":
            numbers = (
                "example_id, rouge_l, rule14_f1, true_positive, false_positive, missed, "
                "reference_labels, prediction_labels, judge, significant_errors, "
                "insignificant_errors"
            )
        else:
            numbers = 'example_id, "right" AS rght'
        return (
            f"SELECT * FROM ({own}) LEFT JOIN (SELECT {numbers} FROM read_parquet($measured) "
            "WHERE control = 'none') USING (example_id)",
            names,
        )

    def sources(self) -> list[str]:
        """Whose studies there are."""
        sql, names = self._cases()
        rows = _rows(f"SELECT DISTINCT source FROM ({sql}) ORDER BY 1", names)
        return [row["source"] for row in rows]

    def page(self, wanted: Filter) -> CasePage:
        """One page of cases.

        Raises:
            Refused: 400, a choice that these cases do not have.
        """
        sql, names = self._cases()
        where, more = self._where(wanted)
        counted = _rows(f"SELECT count(*) AS n FROM ({sql}) WHERE {where}", {**names, **more})
        rows = self._some(wanted, PAGE_ROWS * (wanted.page - 1), PAGE_ROWS)
        return CasePage(rows, int(counted[0]["n"]), wanted)

    def around(self, wanted: Filter, at: int) -> tuple[str, str]:
        """Addresses' queries of the cases before and after place ``at`` (from 1) of a list; empty
        where it ends."""
        first = max(1, at - 1)
        rows = self._some(wanted, first - 1, at + 2 - first)
        found = {first + place: row["example_id"] for place, row in enumerate(rows)}
        before, after = (
            f"{urlencode({'example': found[place]})}&{wanted.address(at=place, page=1)}"
            if place in found
            else ""
            for place in (at - 1, at + 1)
        )
        return before, after

    def _some(self, wanted: Filter, offset: int, limit: int) -> list[dict[str, Any]]:
        sql, names = self._cases()
        where, more = self._where(wanted)
        order = ", ".join(filter(None, (_BY_KIND[self.kind][wanted.order], _LAST_ORDER)))
        return _rows(
            f"SELECT * FROM ({sql}) WHERE {where} ORDER BY {order} LIMIT {limit} OFFSET {offset}",
            {**names, **more},
        )

    def _where(self, wanted: Filter) -> tuple[str, dict[str, Any]]:
        parts, names = ["true"], dict[str, Any]()
        if wanted.source:
            parts.append("source = $source")
            names["source"] = wanted.source
        if wanted.show == "attention":
            parts.append("list_contains($mapped, example_id)")
            names["mapped"] = sorted(self.mapped())
        if self.kind == "answers" and wanted.show in ("wrong", "perfect"):
            parts.append("rght" if wanted.show == "perfect" else "NOT rght")
        if self.kind != "report":
            return " AND ".join(parts), names
        if wanted.finding:
            said = "list_contains({}, {{'observation': $finding, 'value': 'positive'}})"
            both = [said.format(f"{side}_labels") for side in ("reference", "prediction")]
            parts.append(f"({' OR '.join(both)})")
            names["finding"] = wanted.finding
        if wanted.show in _SHOWN_SQL:
            parts.append(_SHOWN_SQL[wanted.show])
        return " AND ".join(parts), names

    def case(self, example_id: str) -> dict[str, Any]:
        """One case.

        Raises:
            Refused: 404.
        """
        sql, names = self._cases()
        found = _rows(f"SELECT * FROM ({sql}) WHERE example_id = $wanted LIMIT 1",
                      {**names, "wanted": example_id})  # fmt: skip
        if not found:
            raise Refused(404, "no_case", "no case of these scores has that id")
        return found[0]

    def others(self, example_id: str) -> list[dict[str, Any]]:
        """What the same model wrote without looking, by control."""
        if self.kind == "films":
            return []
        return _rows(
            "SELECT control, image_study_id, prediction FROM read_parquet($predicted) "
            "WHERE example_id = $wanted AND control <> 'none' ORDER BY control",
            {"predicted": self._predicted, "wanted": example_id},
        )

    def judged(self, example_id: str) -> list[dict[str, Any]]:
        """CheXprompt's counts by judge: six kinds, significant and not; or why there are none."""
        files = [str(path) for path in self.library.files(self.scores, JUDGED_FILE)]
        if not files:
            return []
        rows = _rows(
            "SELECT judge, judge_version, significant, insignificant, failure "
            "FROM read_parquet($judged) WHERE example_id = $wanted AND control = 'none' "
            "ORDER BY judge",
            {"judged": files, "wanted": example_id},
        )
        return [{**row, "kinds": _kinds(row)} for row in rows]

    def mapped(self) -> set[str]:
        """Examples of which attention maps were kept, of the reference or of the prediction."""
        return {
            row["example_id"].removesuffix("/own")
            for kept in self.grounding
            for row in _rows(
                "SELECT DISTINCT example_id FROM read_parquet($sentences)",
                {"sentences": self._sentences(kept)},
            )
        }

    def _sentences(self, kept: Kept) -> list[str]:
        return [str(path) for path in self.library.files(kept, SENTENCES_FILE)]

    def maps(self, example_id: str) -> dict[str, dict[str, int]]:
        """Numbers of maps by the sentence's words, of the reference and of the prediction."""
        found: dict[str, dict[str, int]] = {"reference": {}, "prediction": {}}
        for side, name in (("reference", example_id), ("prediction", f"{example_id}/own")):
            for kept in self.grounding:
                rows = _rows(
                    "SELECT words, sentence FROM read_parquet($sentences) WHERE example_id = $name",
                    {"sentences": self._sentences(kept), "name": name},
                )
                found[side] |= {row["words"]: row["sentence"] for row in rows}
        return found

    def question(self, example_id: str) -> str:
        """What was asked of the film; empty where the examples are not here."""
        place = self.predictions.input_of("examples")
        kept = self.library.all().get(place or "")
        files = [] if kept is None else self.library.files(kept, "test-*")
        if not files:
            return ""
        rows = _rows(
            "SELECT turns FROM read_parquet($shards) WHERE example_id = $wanted LIMIT 1",
            {"shards": [str(path) for path in files], "wanted": example_id},
        )
        return str(rows[0]["turns"][-1]["text"]) if rows and rows[0]["turns"] else ""


def _kinds(row: Mapping[str, Any]) -> list[tuple[str, int, int]]:
    if row["failure"] is not None:
        return []
    return list(zip(CATEGORIES, row["significant"], row["insignificant"], strict=True))


def _rows(sql: str, names: Mapping[str, Any]) -> list[dict[str, Any]]:
    with connect(threads=1) as connection:
        found = connection.sql(sql, params=dict(names)).to_arrow_table()
    rows: list[dict[str, Any]] = found.to_pylist()
    return rows
