"""Cases: filters, order and pages; films through a window; attention; differences by finding."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from evaluation.labeler import squeeze
from tasks.pages.cases import PAGE_ROWS, CaseSet, Filter
from tasks.pages.films import Films, attention, uploaded, veil, windowed
from tasks.pages.library import Library
from tasks.pages.marks import findings_of, mark, with_maps
from tasks.serve.refused import Refused
from tests.pages_world import (
    CELLS,
    HEIGHT,
    HOSTILE,
    STUDIES,
    WIDTH,
    House,
    Room,
    film,
    open_room,
    shared_house,
    texts,
)
from tests.pixel_samples import dicom
from tests.scores_world import EDEMA, EFFUSION, NORMAL


@pytest.fixture(scope="module")
def house() -> House:
    return shared_house()


@pytest.fixture(scope="module")
def library(house: House) -> Library:
    return Library(house.store)


@pytest.fixture(scope="module")
def cases(house: House, library: Library) -> CaseSet:
    return CaseSet.of(library, house.scores)


@pytest.fixture(scope="module")
def room(house: House) -> Iterator[Room]:
    with open_room(house.root) as found:
        yield found


def ids(cases: CaseSet, **wanted: str) -> list[str]:
    return [row["example_id"] for row in cases.page(Filter.read(wanted)).rows]


def grey(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("L"))


# Lists.


def test_the_worst_come_first_and_the_best_last(cases: CaseSet) -> None:
    rows = cases.page(Filter()).rows
    values = [row["rule14_f1"] for row in rows]
    assert values == sorted(values) and values[0] < 1.0
    best = [row["rule14_f1"] for row in cases.page(Filter(order="best")).rows]
    assert best == sorted(best, reverse=True)
    judged = [row["significant_errors"] for row in cases.page(Filter(order="errors")).rows]
    assert judged == sorted(judged, reverse=True) and judged[0] == 1
    assert ids(cases, order="study") == sorted(ids(cases, order="study"), key=_by_source)


def _by_source(name: str) -> tuple[str, str]:
    return ("mimic_cxr" if int(name[1:]) % 2 else "openi"), name


def test_pages_hold_every_case_once(cases: CaseSet) -> None:
    first, second = (cases.page(Filter(page=number)) for number in (1, 2))
    assert (len(first.rows), len(second.rows)) == (PAGE_ROWS, STUDIES - PAGE_ROWS)
    assert first.total == second.total == STUDIES and first.pages == 2
    assert len({row["example_id"] for row in [*first.rows, *second.rows]}) == STUDIES
    assert cases.page(Filter(page=9)).rows == []


def test_filters_let_through_what_they_say(cases: CaseSet) -> None:
    assert cases.sources() == ["mimic_cxr", "openi"]
    assert cases.page(Filter(source="openi")).total == STUDIES // 2
    assert cases.page(Filter(source="nobody")).total == 0
    effusion = {f"e{n:04}" for n in range(STUDIES) if n % 4 == 1}
    assert set(ids(cases, finding="Pleural Effusion")) == effusion
    missed = ids(cases, show="missed")
    assert missed and all(int(name[1:]) % 3 == 0 or int(name[1:]) == HOSTILE for name in missed)
    assert set(missed) <= set(ids(cases, show="wrong"))
    total = sum(cases.page(Filter(show=each)).total for each in ("wrong", "perfect"))
    assert total == STUDIES
    assert set(ids(cases, show="attention")) == {"e0001", "e0002"}


@pytest.mark.parametrize(
    "query",
    [{"page": "0"}, {"page": "-1"}, {"page": "x"}, {"page": "1" * 9}, {"order": "x"}, {"show": "x"},
     {"finding": "Pneumonia; DROP TABLE"}],
)  # fmt: skip
def test_addresses_that_no_link_has_are_refused(query: dict[str, str]) -> None:
    with pytest.raises(Refused) as refused:
        Filter.read(query)
    assert refused.value.status == 400


@given(
    st.builds(
        Filter,
        st.text(max_size=9),
        st.sampled_from(["", "Edema"]),
        st.sampled_from(["all", "wrong"]),
        st.sampled_from(["worst", "best"]),
        st.integers(1, 999),
    )
)
@settings(max_examples=50, deadline=None)
def test_a_filter_is_read_from_its_own_address(wanted: Filter) -> None:
    from urllib.parse import parse_qsl

    assert Filter.read(dict(parse_qsl(wanted.address(), keep_blank_values=True))) == wanted


def test_one_goes_from_case_to_case_as_the_list_has_them(
    cases: CaseSet, room: Room, house: House
) -> None:
    order = ids(cases, order="best")
    before, after = cases.around(Filter(order="best"), 3)
    assert before.startswith(f"example={order[1]}&") and after.startswith(f"example={order[3]}&")
    assert cases.around(Filter(order="best"), 1)[0] == ""
    assert cases.around(Filter(order="best", source="nobody"), 1) == ("", "")
    shown = room.ask(f"/cases/{house.scores}/case?{after}").text
    assert f"example={order[2]}&amp;order=best&amp;at=3" in shown
    assert f"example={order[4]}&amp;order=best&amp;at=5" in shown


# One case.


def test_a_case_shows_both_texts_with_their_differences(room: Room, house: House) -> None:
    reference, prediction = texts(9)
    assert (reference, prediction) == (EFFUSION, NORMAL)
    told = room.ask(f"/cases/{house.scores}/case?example=e0009").text
    assert '<mark class="missed" title="missed: Pleural Effusion">' in told
    assert "<b>missed</b> Pleural Effusion" in told
    assert "offline-rules" in told and "missing finding" in told  # CheXprompt's kinds
    words = " ".join(re.sub(r"<span class=\"hidden\">.*?</span>|<[^>]+>", "", told).split())
    assert EFFUSION in words and NORMAL in words
    assert "shown study s0010" in words  # what it writes of another's film


def test_attention_is_offered_where_it_was_kept(room: Room, house: House) -> None:
    base = f"/cases/{house.scores}/case?example=e0001"
    told = room.ask(base).text
    assert told.count('class="sentence mapped') == 2  # of the reference and of the prediction
    assert room.ask(f"/cases/{house.scores}/case?example=e0004").text.count("mapped") == 0
    chosen = room.ask(f"{base}&side=prediction&sentence=0").text
    assert 'class="veil on"' in chosen and "mapped shown" in chosen
    for query in (
        "side=other&sentence=0",
        "side=reference&sentence=x",
        "side=reference&sentence=9",
    ):
        assert room.ask(f"/cases/{house.scores}/attention.png?example=e0001&{query}").status in (
            400,
            404,
        )


def test_a_film_is_the_stored_one_through_a_window(room: Room, house: House) -> None:
    base = f"/cases/{house.scores}/film.png?example=e0003"
    plain = room.ask(base)
    assert plain.headers["Content-Type"] == "image/png"
    assert np.array_equal(grey(plain.body), grey(film(3)))
    narrow = grey(room.ask(f"{base}&center=100&width=20").body)
    stored = grey(film(3)).astype(float)
    assert np.array_equal(narrow == 0, stored <= 90) and np.array_equal(
        narrow == 255, stored >= 110
    )
    for query in ("center=0", "center=999", "width=513", "width=x", "number=2"):
        assert room.ask(f"{base}&{query}").status in (400, 404), query
    assert room.ask(f"/cases/{house.scores}/film.png?example=nobody").status == 404
    assert room.ask(f"/cases/{house.scores}/drawn.png?example=e0003").status == 404


def test_the_window_needs_no_script(room: Room, house: House) -> None:
    told = room.ask(
        f"/cases/{house.scores}/case?example=e0003&center=90&width=60&order=best&at=2"
    ).text
    assert "film.png?example=e0003&amp;center=90&amp;width=60" in told
    form = told.split('class="window"')[1].split("</form>")[0]
    for name, value in (("example", "e0003"), ("order", "best"), ("at", "2")):
        assert f'name="{name}" value="{value}"' in form
    assert 'value="90"' in form and "without-script" in form


@given(st.integers(1, 255), st.integers(1, 512))
@settings(max_examples=30, deadline=None)
def test_a_window_is_monotone_and_keeps_its_ends(center: int, width: int) -> None:
    ramp = np.arange(256, dtype=np.uint8)[None, :].repeat(2, 0)
    done, data = cv2.imencode(".png", ramp)
    assert done
    seen = grey(windowed(data.tobytes(), center, width))[0].astype(int)
    assert (np.diff(seen) >= 0).all()
    if center - width / 2 > 0 and center + width / 2 < 255:
        assert (seen[0], seen[-1]) == (0, 255)


def test_attention_lies_over_the_middle_square_of_the_film(
    cases: CaseSet, library: Library
) -> None:
    heat = attention(cases, "e0001", "reference", 0)
    assert heat["values"].index(1.0) == 1 % CELLS  # of the method that grounding chose
    assert attention(cases, "e0001", "prediction", 0)["values"].index(1.0) == 3
    picture = cv2.imdecode(
        np.frombuffer(veil(heat, (WIDTH, HEIGHT)), np.uint8), cv2.IMREAD_UNCHANGED
    )
    assert picture.shape == (HEIGHT, WIDTH, 4)
    seen = np.argwhere(picture[..., 3] > 0)
    margin, cell = (WIDTH - HEIGHT) // 2, HEIGHT // CELLS
    assert seen.min(0).tolist() == [0, margin + cell]
    assert seen.max(0).tolist() == [cell - 1, margin + 2 * cell - 1]
    with pytest.raises(Refused, match="no attention"):
        attention(cases, "e0004", "reference", 0)
    assert Films(library).count(cases, "e0001") == 1
    assert Films(library).count(cases, "nobody") == 0


def test_an_uploaded_film_of_any_type_is_shown_as_png() -> None:
    picture = grey(film(2))
    for data in (film(2), dicom(picture.astype(np.uint16) * 16, bits=12)):
        seen = grey(uploaded(data))
        assert seen.shape[1] / seen.shape[0] == pytest.approx(WIDTH / HEIGHT, rel=0.02)
        small = cv2.resize(seen, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(float)
        assert np.corrcoef(small.ravel(), picture.ravel())[0, 1] > 0.98
    with pytest.raises(Refused, match="a film that is not-an-image"):
        uploaded(b"text")


# Marks.


def test_findings_agree_are_missed_or_are_added() -> None:
    found = mark(f"{EFFUSION} {EDEMA}", f"{EDEMA} A nodule in the right upper lobe.")
    assert [one.observation for one in found.of("missed")] == ["Pleural Effusion"]
    assert [one.observation for one in found.of("false")] == ["Lung Lesion"]
    assert {one.observation for one in found.of("agrees")} == {"Cardiomegaly", "Edema"}
    quiet = {one.observation: (one.reference, one.prediction) for one in found.of("quiet")}
    assert quiet["Pneumothorax"] == ("negative", "negative")
    assert dict(findings_of(EFFUSION))["Pleural Effusion"] == "positive"


_REPORT = st.lists(
    st.sampled_from([*EFFUSION.split(". "), *EDEMA.split(". "), "No change", "A.B. <b>"]),
    max_size=6,
)


@given(_REPORT, _REPORT)
@settings(max_examples=60, deadline=None)
def test_marking_loses_no_letter(one: list[str], other: list[str]) -> None:
    reference, prediction = (". ".join(parts) + ("." if parts else "") for parts in (one, other))
    found = mark(reference, prediction)
    assert "".join(each.text for each in found.reference) == squeeze(reference)
    assert "".join(each.text for each in found.prediction) == squeeze(prediction)


def test_maps_find_their_sentence_by_its_words() -> None:
    found = mark(EFFUSION, NORMAL)
    first, *rest = with_maps(found.reference, {"Small  left pleural effusion.": 7})
    assert first.map == 7 and all(each.map is None for each in rest)
    assert len(rest) == 2
