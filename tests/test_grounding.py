"""The grounding score: planted maps with known values, the choice, intervals and what is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from evaluation.grounding import METRICS, Grounding, nothing_grounded, score_grounding
from evaluation.grounding_choice import Choice, Grounded, Measured, candidates, choose, measure
from evaluation.grounding_page import (
    GroundingPage,
    ShownSentence,
    render_grounding,
    score_rows,
)
from evaluation.overlay import draw_overlay, seen_film, wrapped
from sources.crop import Rectangle
from sources.heat_map import MAP_SCHEMA, ShownFilm, map_rows

BOX = Rectangle(0.0, 0.0, 0.5, 0.5)
FILM_OF_SX = ShownFilm("mimic_cxr", "sx", "ex")
CHOICE = Choice("occlusion", 2.0, 0.4, 6, "planted")
PLAIN = replace(CHOICE, sharpness=1.0)


def sentence(number: int, **changes: object) -> Grounded:
    made = Grounded(
        f"e{number}", 0, "reference", "mimic_cxr", f"s{number}", f"p{number // 2}",
        "There is a left effusion.", ("pleural effusion",), (BOX,), True,
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


SENTENCES = [sentence(number, is_focal_sided=number < 4) for number in range(6)]


def heat(inside: float, cells: int = 4) -> np.ndarray:
    """[1, C, C]: that share of the mass in the box's quarter, evenly, the rest evenly outside."""
    values = np.full((1, cells, cells), (1 - inside) / (cells**2 * 3 / 4), np.float32)
    values[0, : cells // 2, : cells // 2] = inside / (cells**2 / 4)
    return values


def tables(own: float, other: float, method: str = "occlusion") -> list[pa.Table]:
    return [
        map_rows(one.example_id, control, FILM_OF_SX, [(method, heat(value)), ("", heat(0.5))])
        for one in SENTENCES
        for control, value in (("none", own), ("shuffled", other))
    ]


def scored(measured: Measured, choice: Choice = CHOICE) -> Grounding:
    return score_grounding(
        measured, [], choice, resamples=50, seed=1,
        outcomes={"reference of mimic_cxr": {"grounded": 6, "no-box": 2}},
        unavailable={"phrase": "no boxes"},
    )  # fmt: skip


def value(grounding: Grounding, **wanted: str) -> float:
    found = [
        one.interval.value
        for one in grounding.scores
        if all(getattr(one, name) == word for name, word in wanted.items())
    ]
    assert len(found) == 1, wanted
    assert found[0] is not None
    return found[0]


def test_energy_of_planted_maps_by_sharpness() -> None:
    """0.7 in a quarter: cells hold 0.7 / 4 and 0.3 / 12, a ratio of 7; squared 49."""
    measured = measure(SENTENCES, tables(0.7, 0.25), (1.0, 2.0))
    assert measured.keys == [("occlusion", 1.0), ("occlusion", 2.0)]
    plain = measured.get(("occlusion", 1.0), "none", "energy")
    assert plain.tolist() == pytest.approx([0.7] * 6, abs=2e-3)
    squared = measured.get(("occlusion", 2.0), "none", "energy")
    assert squared.tolist() == pytest.approx([4 * 49 / (4 * 49 + 12)] * 6, abs=2e-3)
    flat = measured.get(("occlusion", 2.0), "shuffled", "energy")
    assert flat.tolist() == pytest.approx([0.25] * 6, abs=2e-3)


def test_scores_differences_and_baselines_add_up() -> None:
    grounding = scored(measure(SENTENCES, tables(0.7, 0.25), (1.0, 2.0)))
    place = {"group": "focal, sided", "metric": "energy", "method": "occlusion ^1"}
    assert value(grounding, control="none", **place) == pytest.approx(0.7, abs=2e-3)
    assert value(grounding, control="shuffled", **place) == pytest.approx(0.25, abs=2e-3)
    chosen = {**place, "method": "occlusion ^2"}
    assert value(grounding, control="uniform", **chosen) == pytest.approx(0.25)
    gains = {
        (one.group, one.control): one
        for one in grounding.differences
        if one.method == "occlusion ^2" and one.metric == "energy"
    }
    assert set(gains) == {
        (group, control)
        for group in ("all", "focal, sided")
        for control in ("shuffled", "uniform", "centre")
    }
    gain = gains["focal, sided", "shuffled"]
    assert gain.sentences == 4
    assert gain.difference.excludes(0.0)
    assert gain.difference.value == pytest.approx(196 / 208 - 0.25, abs=4e-3)
    assert gains["all", "shuffled"].sentences == 6


def test_equal_maps_have_no_gain() -> None:
    grounding = scored(measure(SENTENCES, tables(0.4, 0.4), (2.0,)))
    for one in grounding.differences:
        if one.control == "shuffled":
            assert one.difference.value == pytest.approx(0.0)
            assert not one.difference.excludes(0.0)


def test_the_signature_says_how_it_was_made() -> None:
    grounding = scored(measure(SENTENCES, tables(0.7, 0.25), (2.0,)))
    one = next(s for s in grounding.scores if s.metric == "pointing" and s.group == "all")
    assert str(one.signature).startswith("grounding-pointing[occlusion ^2]|implementation:cxrflow")
    assert "maximum within 0.067 of the side" in one.signature.implementation
    assert (one.signature.examples, one.signature.subjects, one.signature.studies) == (6, 3, 6)
    assert one.signature.unit == "subject"


def test_the_best_gain_is_chosen_on_focal_sentences() -> None:
    """A map that is high with any image loses to one that falls with another's."""
    mixed = [*tables(0.9, 0.9, "attention mean"), *tables(0.5, 0.2, "attention gradient")]
    ranked = candidates(measure(SENTENCES, mixed, (1.0, 2.0)))
    assert [one.method for one in ranked[:2]] == ["attention gradient"] * 2
    assert ranked[0].gain > ranked[-1].gain
    chosen = choose(ranked, ("attention mean",))
    assert (chosen.method, chosen.sharpness) == ("attention gradient", 2.0)
    assert chosen.reason.startswith("of 4 ways the highest energy above another study's image")
    assert chosen.reason.endswith("on 4 focal, sided validate sentences")
    assert chosen.sentences == ranked[0].sentences == 4


def test_the_choice_counts_all_sentences_where_none_is_focal() -> None:
    sentences = [replace(one, is_focal_sided=False) for one in SENTENCES]
    ranked = candidates(measure(sentences, tables(0.7, 0.25), (1.0,)))
    chosen = choose(ranked, ("occlusion",))
    assert chosen.reason.endswith("on 6 validate sentences")
    assert (chosen.sentences, ranked[0].group) == (6, "all")


def test_without_validate_sentences_the_plainest_map_is_taken() -> None:
    assert candidates(measure([], [], (1.0,))) == []
    chosen = choose([], ("occlusion", "attention mean"))
    assert (chosen.method, chosen.sharpness, chosen.gain) == ("attention mean", 1.0, None)
    assert choose([], ("occlusion",)).method == "occlusion"
    assert "no validate sentence has a box" in chosen.reason


def test_a_sentence_without_its_map_stops_scoring() -> None:
    with pytest.raises(AssertionError, match="a sentence without its map"):
        scored(measure(SENTENCES, tables(0.7, 0.2)[:-2], (2.0,)))


def test_unknown_subjects_stand_alone() -> None:
    assert sentence(1, subject_id=None).subject != sentence(2, subject_id=None).subject
    assert sentence(2).subject == sentence(3).subject
    assert sentence(1).subject != sentence(1, source="vindr_cxr").subject


def test_the_document_and_the_numbers_hold_everything() -> None:
    grounding = scored(measure(SENTENCES, tables(0.7, 0.25), (1.0, 2.0)))
    document = grounding.to_dict()
    assert document["choice"]["name"] == "occlusion ^2"
    assert (document["sentences"], document["subjects"]) == (6, 3)
    assert document["outcomes"] == {"reference of mimic_cxr": {"grounded": 6, "no-box": 2}}
    assert document["unavailable"] == {"phrase": "no boxes"}
    row = document["differences"][0]
    assert {"text", "group", "metric", "control", "low", "excludes_zero"} <= set(row)
    tracked = grounding.tracked()
    name = "grounding/mimic_cxr/reference/focal, sided/energy"
    assert tracked[f"{name}/none"] == pytest.approx(196 / 208, abs=4e-3)
    assert {key.rpartition("/")[2] for key in tracked} == {"none", "shuffled", "uniform", "centre"}


def test_nothing_to_ground_says_why() -> None:
    document = nothing_grounded("no boxes here", CHOICE).to_dict()
    assert document["sentences"] == 0
    assert document["unavailable"] == {"grounding": "no boxes here"}
    assert nothing_grounded("x", CHOICE).tracked() == {}


def test_maps_keep_their_scale() -> None:
    table = map_rows("e", "none", None, [("occlusion", 5 * heat(0.7)), ("", heat(0.7) * -2)])
    assert table.schema.equals(MAP_SCHEMA)
    first, second = table.to_pylist()
    assert max(first["values"]) == 1.0
    assert first["scale"] == pytest.approx(5 * 0.7 / 4)
    assert second["scale"] == pytest.approx(-2.0)
    assert first["image_example_id"] is None
    own = map_rows("e", "none", FILM_OF_SX, [("occlusion", heat(0.7))]).to_pylist()[0]
    image = (own["image_source"], own["image_study_id"], own["image_example_id"])
    assert image == FILM_OF_SX
    flat = map_rows("e", "none", None, [("occlusion", 0 * heat(0.7))]).to_pylist()[0]
    assert (flat["scale"], set(flat["values"])) == (0.0, {0.0})


FILM = np.tile(np.arange(336, dtype=np.uint16).astype(np.uint8), (336, 1))


def test_an_overlay_colours_the_map_and_outlines_the_box() -> None:
    from io import BytesIO

    from PIL import Image

    hill, box = heat(1.0)[0].astype(float), Rectangle(0.6, 0.6, 0.8, 0.8)
    png = draw_overlay(FILM, hill, [box], "Left.")
    with Image.open(BytesIO(png)) as picture:
        pixels = np.asarray(picture).astype(int)
    assert pixels.shape == (380, 336, 3)
    hot, cold = pixels[84, 84], pixels[300, 84]
    assert hot[0] - hot[2] > 60, "yellow where the map is"
    assert cold.tolist() == [84, 84, 84], "the film alone elsewhere"
    assert pixels[202, 240].tolist() == [255, 255, 255]
    assert (pixels[336:] > 200).any(), "the caption"
    assert png == draw_overlay(FILM, hill, [box], "Left.")


def test_a_film_is_cropped_as_the_model_sees_it() -> None:
    from io import BytesIO

    from PIL import Image

    with BytesIO() as sink:
        Image.fromarray(np.repeat(np.arange(200, dtype=np.uint8)[None], 100, axis=0)).save(
            sink, "PNG"
        )
        film = seen_film(sink.getvalue(), 100)
    assert film.shape == (100, 100)
    assert (int(film[50, 0]), int(film[50, 99])) == (50, 149)


def test_captions_are_two_lines_at_the_most() -> None:
    assert wrapped("Short.") == "Short."
    assert wrapped("word " * 40).count("\n") == 1
    assert wrapped("word " * 40).endswith(" …")


def page(**changes: object) -> GroundingPage:
    grounding = scored(measure(SENTENCES, tables(0.7, 0.25), (1.0, 2.0)))
    one = ShownSentence(
        "mimic_cxr", "s1", "reference", "A <b>left</b> effusion.", ("pleural effusion",), True,
        b"png", None, 0.7, 0.25, 1.0,
    )  # fmt: skip
    made = GroundingPage("llava_rad", "tiny", "f" * 16, grounding, [one], frozenset({"mimic_cxr"}))
    return replace(made, **changes)  # type: ignore[arg-type]


def test_the_page_is_one_file_with_every_number_escaped() -> None:
    shown = render_grounding(page())
    assert "A &lt;b&gt;left&lt;/b&gt; effusion." in shown
    assert "synthetic replica" in shown
    assert "Not a medical device" in shown
    assert "0.942" in shown
    assert "phrase: unavailable: no boxes" in shown
    assert "http" not in shown.replace("http-equiv", "")


def test_the_page_explains_the_choice_its_boxes_and_its_ticks() -> None:
    shown = " ".join(render_grounding(page()).split())
    assert "<b>occlusion ^2</b>: ^2 says that" in shown
    assert "raised to the power 2" in shown
    assert "The line <i>unsharpened</i>" in shown
    assert "on both films that of the study on the left" in shown
    assert "✓" in shown
    assert (
        "<small>energy, 4 sentences, 2 subjects</small>" in shown
    )  # four focal sentences of two persons
    plain = page(grounding=scored(measure(SENTENCES, tables(0.7, 0.25), (1.0,)), PLAIN))
    assert "unsharpened" not in render_grounding(plain)


def test_the_page_without_a_sentence_says_why() -> None:
    empty = nothing_grounded("no boxes here", choose([], ("attention mean",)))
    shown = render_grounding(page(grounding=empty, shown=[], replicas=frozenset()))
    assert "unavailable: no boxes here" in shown
    assert "<img" not in shown


def test_rows_of_the_page_are_the_chosen_method_or_the_others() -> None:
    grounding = page().grounding
    chosen, others = (score_rows(grounding, chosen=choice) for choice in (True, False))
    own, focal = "mimic_cxr · reference · all", "mimic_cxr · reference · focal, sided"
    assert [row.title for row in chosen] == [
        title
        for group in (own, focal)
        for _ in METRICS
        for title in (group, f"{group} · unsharpened")
    ]  # fmt: skip
    assert [row.metric for row in chosen[:4]] == ["energy", "energy", "pointing", "pointing"]
    assert chosen[1].gains["shuffled"].startswith("+0.45")
    assert others == []
    assert set(chosen[0].cells) == {"none", "shuffled", "uniform", "centre"}
    assert chosen[0].excludes["shuffled"]
