"""The page: whole, self-contained, safe, accessible, the same for the same data."""

from __future__ import annotations

import base64
import html
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pyarrow as pa
import pytest
from scores_world import (
    EDEMA,
    EFFUSION,
    NORMAL,
    SETTINGS,
    judged_table,
    prediction_row,
    predictions_table,
)

from evaluation.interval_text import ends_text, number_text
from evaluation.report import ReportPage, ShownExample, choose_examples, render_report
from evaluation.report_views import funnel_groups, mark_findings
from evaluation.scores import Scores, score_predictions
from sources.funnel import FunnelRow

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
FUNNEL = (
    FunnelRow("mimic_cxr", "ingest", "images", 100, 88, (("image-truncated", 9), ("too-small", 3))),
    FunnelRow("mimic_cxr", "examples", "rows", 88, 80, (("findings-missing", 8),)),
    FunnelRow("openi", "ingest", "studies", 3955, 3955),
)


@pytest.fixture(scope="module")
def scores() -> Scores:
    predictions = predictions_table(60)
    return score_predictions(predictions, judged_table(predictions), SETTINGS)


def shown(reference: str | None, prediction: str | None, **changes: object) -> ShownExample:
    example = ShownExample(
        source="mimic_cxr",
        study_id="s1",
        view="PA",
        is_replica=True,
        image_png=PIXEL,
        reference=reference,
        prediction=prediction,
        rule14_f1=0.5,
        significant_errors=1,
    )
    return replace(example, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def page(scores: Scores) -> ReportPage:
    return ReportPage(
        recipe="llava_rad",
        scale="tiny",
        made_on="22 November 2026",
        fingerprints={"git commit": "0123abcd", "predictions": "predictions/llava_rad-77aa"},
        funnel=FUNNEL,
        losses={"align": [(1, 3.0), (2, 2.5)], "finetune": [(i, 2.0 - i / 100) for i in range(60)]},
        scores=scores,
        best=[shown(EDEMA, EDEMA)],
        worst=[shown(EFFUSION, EDEMA)],
        replicas=frozenset({"mimic_cxr"}),
        kept={"finetune": "step 45 of 60: 1.600 on validate, the best of 4 looks"},
    )


@pytest.fixture(scope="module")
def bare(page: ReportPage) -> ReportPage:
    """The page without loss curves, which take long to draw."""
    return replace(page, losses={})


@pytest.fixture(scope="module")
def text(page: ReportPage) -> str:
    return render_report(page)


class Outline(HTMLParser):
    """Open elements must close in order; addresses and ids are kept."""

    VOID = frozenset({"meta", "img", "br", "path", "use", "rect"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.headings: list[int] = []
        self.without_text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids += [found["id"] or ""] if "id" in found else []
        self.addresses += [found[n] or "" for n in ("src", "href", "srcset") if n in found]
        if tag == "img" and not found.get("alt"):
            self.without_text.append(tag)
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """``<path/>`` opens and closes at once."""

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag, f"</{tag}> closes something else"


def outline(text: str) -> Outline:
    found = Outline()
    found.feed(text)
    found.close()
    return found


def test_the_page_is_well_formed(text: str) -> None:
    found = outline(text)
    assert found.open == []
    sections = [name for name in found.ids if not re.fullmatch(r"[a-z]+[0-9a-f]{8,}", name)]
    assert len(sections) == len(set(sections))
    assert {
        "pixels",
        "scores",
        "blocks",
        "labels",
        "examples",
        "losses",
        "funnel",
        "provenance",
    } <= set(sections)


def test_nothing_is_fetched(text: str) -> None:
    for address in outline(text).addresses:
        assert address.startswith(("#", "data:image/png;base64,")), address
    assert "http" not in text
    assert "<script" not in text
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)


def test_links_inside_the_page_lead_somewhere(text: str) -> None:
    found = outline(text)
    links = {address[1:] for address in found.addresses if address.startswith("#")}
    assert links <= set(found.ids)


def test_headings_go_down_one_level_at_a_time(text: str) -> None:
    headings = outline(text).headings
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(headings))


def test_pictures_and_plots_have_a_text(text: str) -> None:
    assert outline(text).without_text == []
    assert text.count('<svg role="img" aria-label="') == 2
    assert 'alt="PA chest image of study s1"' in text


def test_the_page_says_what_it_is(text: str) -> None:
    assert "<h1>llava_rad <span>at scale tiny</span></h1>" in text
    assert "<strong>Not a medical device.</strong>" in text
    assert "22 November 2026" in text
    assert "60 test studies" in text
    assert "<code>0123abcd</code>" in text
    assert "mimic_cxr is a replica:" in " ".join(text.split())


def test_every_score_has_its_interval_and_signature(text: str, scores: Scores) -> None:
    plain = html.unescape(text)
    for score in scores.scores:
        if score.control == "none" and not score.is_detail:
            assert str(score.signature) in plain
    interval = scores.score("rule14-micro-F1").interval
    assert f"<b>{number_text(interval.value)}</b>" in text
    assert f"<small>{ends_text(interval)}</small>" in text


def test_verdicts_say_whether_the_model_reads_pixels(text: str, bare: ReportPage) -> None:
    assert text.count('<article class="verdict yes">') == 4
    rows = [prediction_row(i, c, NORMAL) for i in range(20) for c in ("none", "blank")]
    blind = score_predictions(pa.Table.from_pylist(rows), None, SETTINGS)
    other = render_report(replace(bare, scores=blind))
    assert other.count('<article class="verdict no">') == 1
    assert "Does not beat the control" in " ".join(other.split())


def test_without_controls_the_page_says_that_it_cannot_tell(bare: ReportPage) -> None:
    alone = score_predictions(predictions_table(8, ("none",)), None, SETTINGS)
    text = render_report(replace(bare, scores=alone))
    assert "No image-blind control was generated" in text
    assert 'class="verdict' not in text


def test_unavailable_metrics_are_listed_with_the_reason(text: str) -> None:
    assert "unavailable: needs RadGraph&#39;s weights" in text


def test_the_funnel_shows_counts_and_reasons(text: str) -> None:
    assert '<span class="chip"><b>9</b> image-truncated</span>' in text
    assert "3,955" in text
    lines = funnel_groups(FUNNEL)
    assert list(lines) == ["mimic_cxr", "openi"]
    assert lines["mimic_cxr"][0].kept_percent == 88.0
    assert lines["mimic_cxr"][0].reasons == [("image-truncated", 9), ("too-small", 3)]


def test_an_empty_stage_keeps_nothing_of_nothing() -> None:
    (line,) = funnel_groups([FunnelRow("brax", "ingest", "images", 0, 0)])["brax"]
    assert line.kept_percent == 0.0


def test_findings_are_marked_on_both_sides() -> None:
    reference, prediction = mark_findings(
        "Small left effusion. Heart is enlarged. No nodule.",
        "No effusion. Cardiomegaly. A nodule.",
    )
    assert [(s.text, s.note) for s in reference if s.kind] == [
        ("effusion", "missed: Pleural Effusion"),
        ("Heart is enlarged", "agrees: Cardiomegaly"),
    ]
    assert [(s.text, s.kind, s.note) for s in prediction if s.kind] == [
        ("effusion", "missed", "denied: Pleural Effusion"),
        ("Cardiomegaly", "agrees", "agrees: Cardiomegaly"),
        ("nodule", "false", "false: Lung Lesion"),
    ]


def test_marking_loses_no_word() -> None:
    for one, two in ((EFFUSION, EDEMA), (NORMAL, EFFUSION), ("", EDEMA)):
        reference, prediction = mark_findings(one, two)
        assert "".join(segment.text for segment in reference) == one
        assert "".join(segment.text for segment in prediction) == two


def test_marks_do_not_rely_on_colour_alone(text: str) -> None:
    assert '<span class="sr"> (missed: Pleural Effusion)</span>' in text
    assert '<span class="sr"> (false: Edema)</span>' in text


def test_text_of_the_data_is_escaped(bare: ReportPage) -> None:
    bad = '<script>alert("x")</script> effusion & <b>nodule</b>'
    example = shown(bad, bad, study_id='"><img src=x>', source="<i>")
    text = render_report(replace(bare, best=[example], recipe="<u>x</u>"))
    assert "<script" not in text
    assert "<img src=x>" not in text
    assert "<u>" not in text
    assert "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;" in text


def test_what_may_not_be_shown_is_not_there(bare: ReportPage) -> None:
    hidden = shown(None, None, image_png=None, is_replica=False)
    text = render_report(replace(bare, best=[hidden], worst=[]))
    assert "Image not shown: its source does not allow it" in text
    assert "Text not shown: its source does not allow it" in text
    assert "data:image/png" not in text
    for words in (EFFUSION, EDEMA, NORMAL):
        assert words not in html.unescape(re.sub(r"<[^>]*>", "", text))


def test_replicas_are_marked_and_others_are_not(bare: ReportPage) -> None:
    badge = '<span class="badge">synthetic replica</span>'
    unmarked = replace(bare, replicas=frozenset(), funnel=())
    assert badge in render_report(unmarked)
    real = [shown(EDEMA, EDEMA, is_replica=False)]
    assert badge not in render_report(replace(unmarked, best=real, worst=[]))


def test_the_kept_weights_stand_under_the_losses(text: str) -> None:
    losses = text.index('id="losses"')
    kept = text.index("step 45 of 60: 1.600 on validate, the best of 4 looks")
    assert losses < kept < text.index('id="funnel"')


def test_sections_without_data_are_left_out(bare: ReportPage) -> None:
    text = render_report(replace(bare, funnel=(), best=(), worst=()))
    for name in ("losses", "funnel", "examples"):
        assert f'id="{name}"' not in text
        assert f'href="#{name}"' not in text


def test_equal_data_give_equal_bytes(page: ReportPage, text: str) -> None:
    assert render_report(page) == text


def test_plots_take_the_colours_of_the_page(text: str) -> None:
    plots = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    for plot in plots:
        colours = {
            value for value in re.findall(r"(?:fill|stroke): ([^;\"]+)", plot) if value != "none"
        }
        assert colours
        assert all(colour.startswith(("var(--", "url(#")) for colour in colours), colours
    assert "finetune" in plots[1]


def test_dark_light_and_print_have_their_styles(text: str) -> None:
    assert "@media (prefers-color-scheme: dark)" in text
    assert "@media print" in text


def test_best_and_worst_examples_are_chosen_by_errors_then_f1(scores: Scores) -> None:
    best, worst = choose_examples(scores.examples, 4)
    rows = {r["example_id"]: r for r in scores.examples.to_pylist() if r["control"] == "none"}
    assert [rows[name]["significant_errors"] for name in best] == [0, 0, 0, 0]
    assert [rows[name]["significant_errors"] for name in worst] == [1, 1, 1, 1]
    assert not set(best) & set(worst)
    findings = {label["observation"] for name in best for label in rows[name]["reference_labels"]
                if label["value"] == "positive"}  # fmt: skip
    assert findings - {"No Finding"}


@pytest.mark.parametrize(
    ("count", "expected"), [(0, (0, 0)), (1, (0, 1)), (3, (1, 2)), (9, (3, 3))]
)
def test_few_examples_are_shown_once(count: int, expected: tuple[int, int]) -> None:
    if not count:
        empty = score_predictions(predictions_table(4), None, SETTINGS).examples.slice(0, 0)
        assert choose_examples(empty, 3) == ([], [])
        return
    table = score_predictions(predictions_table(count, ("none",)), None, SETTINGS).examples
    best, worst = choose_examples(table, 3)
    assert (len(best), len(worst)) == expected
    assert not set(best) & set(worst)


def test_there_is_one_table_for_each_block(page: ReportPage, text: str) -> None:
    for table in page.scores.blocks:
        assert text.count(f'aria-label="Block {table.block.name}"') == 1
        assert table.block.title in html.unescape(text)
    assert text.count("Median of 500 draws of studies") == 1
    first = page.scores.blocks[0].rows[0]
    assert first.paper is not None
    assert f"<b>{first.paper.centre:.1f}</b>" in text
    assert "unavailable: needs RadGraph" in text
    assert "RRG24-overall" in text


def test_a_page_without_scores_has_no_block(page: ReportPage) -> None:
    bare = render_report(replace(page, losses={}, scores=replace(page.scores, blocks=())))
    assert 'id="blocks"' not in bare
    assert "#blocks" not in bare


def test_signatures_of_the_blocks_own_metrics_are_there(text: str) -> None:
    assert "<dt>BLEU-4[coco-split-cased]</dt>" in html.unescape(text)
