"""The screen before anything else: what may identify a person in a source's texts and films.

It sits where a source's reading becomes studies, and where its files become pictures; nothing later
reads raw data, so no language model and no shard sees what is stopped here. A rejected row names
kinds and places, never words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import pyarrow as pa

from infra.settings.screen import ScreenPolicy
from infra.settings.sections import ImageSettings
from sources.burned_in import LOOKED_AT_PX, Place, find_writing, hide
from sources.film_headers import read_claims
from sources.identifying import Found, Kind, find_identifying, masked, told
from sources.pixels import read_grey
from sources.pixels_grey import Grey, PixelError
from sources.record import SECTIONS, STUDY_SCHEMA, Level, Rejected, rejected_to_table
from sources.visible_text import place_in, visible

TEXT_REASON: Final = "identifying-text"
FILM_REASON: Final = "burned-in-text"
HEADER_REASON: Final = "header-names-person"
_ADVICE: Final = "docs/screen.md"
_ROUNDS: Final = 4
"""How often a film is searched again after masking. Our choice: the second finds what stood behind
the first; what is left after the last is rejected."""
_FREE_COLUMNS: Final = ("raw_report", "manufacturer", "site")
_SHORTEST_NAME: Final = 4
"""Letters of a name's word that is looked for elsewhere in the study: shorter ones are parts of
other words."""
Row = dict[str, Any]


def screen_studies(
    studies: pa.Table, rejected: pa.Table, policy: ScreenPolicy
) -> tuple[pa.Table, pa.Table]:
    """One piece's studies and rejected rows after the screen; as many rows in all as before.

    With a rejected study go its images and dialogues, a row each.
    """
    if policy.texts == "allow" or not studies.num_rows:
        return studies, rejected
    kept: list[Row] = []
    lost: list[Rejected] = []
    for row in studies.to_pylist():
        found = _found_in(row, policy)
        if not found:
            kept.append(row)
        elif policy.texts == "mask":
            kept.append(_masked_row(row, found))
        else:
            lost += _lost(row, found)
    if len(kept) == studies.num_rows and policy.texts == "reject":
        return studies, rejected
    fresh = pa.Table.from_pylist(kept, schema=STUDY_SCHEMA)
    more = rejected_to_table(lost) if lost else rejected.slice(0, 0)
    return fresh, pa.concat_tables([rejected, more]).combine_chunks()


Texts = dict[str, list[Found]]
"""By a text's place in the study what was found in it."""


def _found_in(row: Row, policy: ScreenPolicy) -> Texts:
    """What identifies in any text of a study; a name that one text has is one in all others."""
    texts = dict(_texts(row))
    found = {place: find_identifying(text, policy.dates) for place, text in texts.items()}
    words = {
        word
        for place, spans in found.items()
        for one in spans
        if one.kind is Kind.NAME
        for word in re.findall(r"[^\W\d_]+", visible(texts[place][one.start : one.end])[0])
        if len(word) >= _SHORTEST_NAME and word[0].isupper()
    }
    if words:
        pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(words)))})\b")
        for place, text in texts.items():
            found[place] = _with_names(text, found[place], pattern)
    return {place: spans for place, spans in found.items() if spans}


def _with_names(text: str, spans: list[Found], pattern: re.Pattern[str]) -> list[Found]:
    seen, places = visible(text)
    named = [place_in(places, match.span()) for match in pattern.finditer(seen)]
    more = [
        Found(start, end, Kind.NAME)
        for start, end in named
        if not any(one.start < end and start < one.end for one in spans)
    ]
    return sorted([*spans, *more])


def _texts(row: Row) -> Iterator[tuple[str, str]]:
    """Every text of a study that a person wrote, with its place."""
    for name in _FREE_COLUMNS:
        if row[name]:
            yield name, row[name]
    for number, text in enumerate(row["texts"] or ()):
        yield from ((f"texts.{number}.{name}", text[name]) for name in SECTIONS if text[name])
    for number, one in enumerate(row["dialogues"] or ()):
        for turn, said in enumerate(one["turns"] or ()):
            if said["text"]:
                yield f"dialogues.{number}.turns.{turn}", said["text"]
        for place, answer in enumerate(one["answers"] or ()):
            if answer:
                yield f"dialogues.{number}.answers.{place}", answer


def _masked_row(row: Row, found: Texts) -> Row:
    """The study with placeholders; made of fresh objects."""

    def mask(place: str, text: str | None) -> str | None:
        return masked(text, found[place]) if text and place in found else text

    free = {name: mask(name, row[name]) for name in _FREE_COLUMNS}
    texts = [
        {**text, **{name: mask(f"texts.{number}.{name}", text[name]) for name in SECTIONS}}
        for number, text in enumerate(row["texts"] or ())
    ]
    dialogues = [
        _masked_dialogue(one, f"dialogues.{number}", mask)
        for number, one in enumerate(row["dialogues"] or ())
    ]
    lists = {"texts": texts, "dialogues": dialogues}
    return {**row, **free, **{key: value for key, value in lists.items() if row[key] is not None}}


def _masked_dialogue(one: Row, place: str, mask: Callable[[str, str | None], str | None]) -> Row:
    turns = [
        {**said, "text": mask(f"{place}.turns.{turn}", said["text"])}
        for turn, said in enumerate(one["turns"] or ())
    ]
    answers = [
        mask(f"{place}.answers.{number}", answer)
        for number, answer in enumerate(one["answers"] or ())
    ]
    return {**one, "turns": turns, "answers": answers}


def _lost(row: Row, found: Texts) -> Iterator[Rejected]:
    """A study's rows, first its own, with what was found where first."""
    place, spans = next(iter(found.items()))
    others = f" and in {len(found) - 1} more texts" if len(found) > 1 else ""
    detail = f"found {told(spans)} of {place}{others}; expected none; {_ADVICE}"
    source, study = row["source"], row["study_id"]
    yield Rejected(source, Level.STUDY, study, study, TEXT_REASON, detail)
    for image in row["images"] or ():
        yield Rejected(source, Level.IMAGE, image["image_id"], study, TEXT_REASON, detail)
    for one in row["dialogues"] or ():
        yield Rejected(source, Level.DIALOGUE, one["dialogue_id"], study, TEXT_REASON, detail)


def screen_film(data: bytes, settings: ImageSettings, policy: ScreenPolicy) -> tuple[Place, ...]:
    """The places of a published film that are to be masked.

    Raises:
        PixelError: ``burned-in-text`` or ``header-names-person`` where the policy rejects it, or
            what is wrong with the file (see ``sources.pixels``).
    """
    claims = read_claims(data)
    if _is_refused(policy, claims.identity_removed) and claims.personal:
        said = "said to be de-identified, " if claims.identity_removed else ""
        raise PixelError(
            HEADER_REASON,
            f"{said}with {', '.join(claims.personal[:3])}; expected none; {_ADVICE}",
        )
    if policy.films == "allow":
        return ()
    looked_at = settings.model_copy(update={"short_side_px": LOOKED_AT_PX, "resample": "area"})
    places = _all_writing(read_grey(data, looked_at).grey)
    if places and policy.films == "reject":
        first = places[0]
        where = f"{first.x_min:.0%} from the left, {first.y_min:.0%} from the top"
        raise PixelError(
            FILM_REASON, f"{len(places)} lines, the first {where}; expected none; {_ADVICE}"
        )
    if claims.burned_in and not places:
        raise PixelError(
            FILM_REASON, f"BurnedInAnnotation is YES, and no line was found; {_ADVICE}"
        )
    return places


def _is_refused(policy: ScreenPolicy, identity_removed: bool) -> bool:
    wanted = {"contradiction": identity_removed, "reject": True, "allow": False}
    return wanted[policy.headers]


def _all_writing(grey: Grey) -> tuple[Place, ...]:
    """Lines of writing, those that stand behind others too.

    Raises:
        PixelError: masking does not come to an end.
    """
    places: tuple[Place, ...] = ()
    for _ in range(_ROUNDS):
        found = find_writing(hide(grey, places))
        if not found:
            return places
        places += found
    raise PixelError(FILM_REASON, f"more than {len(places)} lines; expected none; {_ADVICE}")
