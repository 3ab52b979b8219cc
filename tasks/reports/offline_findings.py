"""The findings of an English report as tuples, for the offline judge alone.

A clause parser: the text is cut into clauses, each clause is walked word by word, and what has
been said so far (a denial, a doubt, a side, a grade) colours the finding that comes next; places
and grades after it are added to it. It shares no code, word list or method with ``rule14``, so
that a score by the judge and one by the labeler are two measurements.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache

HEADS = """
pneumothorax: pneumothorax pneumothoraces hydropneumothorax ptx
effusion: effusion effusions hydrothorax hydropneumothorax empyema hemothorax
    pleural-fluid
blunting: blunting blunted
edema: edema oedema congestion congestive failure chf overload kerley cephalization engorgement
consolidation: consolidation consolidations consolidative consolidated
pneumonia: pneumonia pneumonias bronchopneumonia infection
infiltrate: infiltrate infiltrates infiltration airspace
opacity: opacity opacities opacification haziness density densities
atelectasis: atelectasis atelectases atelectatic collapse volume-loss
nodule: nodule nodules nodular granuloma granulomas granulomata
mass: mass masses tumor tumors neoplasm lesion lesions metastases metastasis malignancy
cavity: cavity cavitary cavitation
cardiomegaly: cardiomegaly heart-enlarged
mediastinum: mediastinum-enlarged
hilum: hilum-enlarged lymphadenopathy adenopathy adenopathies
fracture: fracture fractures fractured
device: pacemaker catheter catheters tube tubes line lines port wires clips stent defibrillator
    icd leads lead electrodes hardware prosthesis valve device devices drain sutures staples
    picc
foreign object: object objects foreign coin button buttons ring pin necklace jewelry zipper chain
thickening: thickening scarring scar plaque plaques
emphysema: emphysema emphysematous hyperinflation hyperinflated hyperexpanded copd hyperlucency
fibrosis: fibrosis fibrotic interstitial reticulation reticular
hernia: hernia hernias
calcification: calcification calcifications calcified atherosclerosis atherosclerotic
    atheromatosis
aorta: tortuous tortuosity ectasia aneurysm elongation unfolded uncoiled
spine: scoliosis kyphosis degenerative spondylosis osteophytes osteophyte dextroscoliosis spurring
diaphragm: elevation elevated eventration
free air: pneumoperitoneum pneumomediastinum
"""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


CARRIERS = {
    "heart": "heart-enlarged",
    "cardiac": "heart-enlarged",
    "cardiopericardial": "heart-enlarged",
    "mediastinum": "mediastinum-enlarged",
    "mediastinal": "mediastinum-enlarged",
    "cardiomediastinal": "mediastinum-enlarged",
    "hilum": "hilum-enlarged",
    "hila": "hilum-enlarged",
    "hilar": "hilum-enlarged",
    "aorta": "tortuous",
}
"""Anatomy that becomes a finding by a word such as ``enlarged`` in the same clause."""

ENLARGED = _set("""
    enlarged enlargement widened widening wide prominent prominence large bigger dilated
""")
DENY = _set("""
    no without not nor neither absent negative resolved free unlikely
""")
DOUBT = _set("""
    possible possibly may might could questionable question suspected suspicious suggest
    suggests suggesting suggestive probable probably likely equivocal concerning versus
    represent
""")
GRADES = {
    "trace": 1, "tiny": 1, "minimal": 1, "minimally": 1, "minor": 1,
    "small": 2, "mild": 2, "mildly": 2, "slight": 2, "slightly": 2, "borderline": 2,
    "moderate": 3, "moderately": 3,
    "large": 4, "severe": 4, "severely": 4, "marked": 4, "markedly": 4, "massive": 4,
    "extensive": 4, "massively": 4,
}  # fmt: skip
SIDES = {"left": "L", "right": "R", "bilateral": "LR", "bilaterally": "LR", "both": "LR",
         "biapical": "LR", "bibasilar": "LR", "bibasal": "LR", "left-sided": "L",
         "right-sided": "R", "bases": "LR", "apices": "LR"}  # fmt: skip
REGIONS = {
    "upper": "upper", "apical": "upper", "apex": "upper", "apices": "upper",
    "middle": "middle", "mid": "middle", "lingula": "middle", "perihilar": "middle",
    "lower": "lower", "base": "lower", "bases": "lower", "basal": "lower", "basilar": "lower",
    "bibasilar": "lower", "bibasal": "lower", "retrocardiac": "lower", "biapical": "upper",
}  # fmt: skip
CHANGES = {
    "new": "new", "newly": "new", "developed": "new",
    "increased": "worse", "increasing": "worse", "worsened": "worse", "worsening": "worse",
    "worse": "worse", "progressed": "worse", "progression": "worse",
    "decreased": "better", "decreasing": "better", "improved": "better", "improving": "better",
    "improvement": "better", "resolved": "better", "resolving": "better", "cleared": "better",
    "unchanged": "same", "stable": "same", "persistent": "same", "persists": "same",
    "again": "same", "similar": "same", "remains": "same",
}  # fmt: skip
LINKS = {**dict.fromkeys(("in", "at", "on", "of", "over", "within", "along", "near",
                          "through"), True),
         **dict.fromkeys(("and", "or", "with", ",", "possible", "compatible"), False)}  # fmt: skip
"""Whether a place that comes next belongs to the finding before it."""
STATES = _set("""
    markings lucency volumes diameter attenuation interstitial ap
""")
"""What may be increased or decreased in one image."""

UNSEEN = _set("seen present identified visualized evident appreciated demonstrated absent")
BEFORE = _set("prior previous previously earlier")
"""What was not seen then is seen now."""
EDEMA = _set("edema oedema congestion engorgement")
"""What is interstitial and no fibrosis."""

_CLAUSE = re.compile(
    r"[.;:!?](?:\s|$)|\n|\bbut\b|\bhowever\b|\balthough\b|\bwhile\b|\bthere (?:is|are)\b"
    r"|, (?=(?:the |a |an )?(?:heart|lungs?|left|right|mild|moderate|small|large|cardiac|with)\b)"
)
_WORD = re.compile(r"[a-z]+(?:-[a-z]+)?|,")
_CHANGE_PHRASE = re.compile(
    r"no (?:significant |interval |acute |appreciable )*change|(?:prior|previous|earlier|last)"
    r" (?:\w+ )?(?:study|exam\w*|radiograph|film|image)|comparison|compared|interval"
)
_RIBS = re.compile(r"\b\d+(?:st|nd|rd|th)\b(?:(?:,| and| to| through)+ \d+(?:st|nd|rd|th)\b)*")
"""``5th and 6th``: counted, not linked."""
_TWO_WORDS = re.compile(r"\b(volume|pleural) (loss|fluid)\b")


@dataclass(frozen=True)
class Finding:
    """One thing that is said to be there; ``grade`` is 0 where none is given, else 1 to 4."""

    name: str
    sides: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()
    grade: int = 0
    doubted: bool = False


@dataclass(frozen=True)
class Reading:
    """What a report says: findings by name, and changes as (finding or ``-``, direction)."""

    findings: dict[str, Finding]
    changes: frozenset[tuple[str, str]]


@dataclass
class _Clause:
    """What has been said so far in a clause."""

    denied: bool = False
    doubted: bool = False
    sides: set[str] = field(default_factory=set)
    regions: set[str] = field(default_factory=set)
    grade: int = 0
    carrier: str | None = None
    found: list[Finding] = field(default_factory=list)
    is_after: bool = False
    mentioned: str | None = None
    changes: set[str] = field(default_factory=set)


@cache
def _names() -> dict[str, tuple[str, ...]]:
    """Word → the findings that it names."""
    found: dict[str, tuple[str, ...]] = {}
    for line in HEADS.replace("\n    ", " ").strip().splitlines():
        name, _, words = line.partition(":")
        for word in words.split():
            found[word] = (*found.get(word, ()), name)
    return found


@lru_cache(maxsize=1 << 13)
def read_report(text: str) -> Reading:
    """Findings and changes of one report; references recur, so readings are remembered."""
    findings: dict[str, Finding] = {}
    changes: set[tuple[str, str]] = set()
    text = _RIBS.sub(" ", text)
    lowered = _TWO_WORDS.sub(r"\1-\2", " ".join(text.lower().replace("_", " ").split()))
    for clause in _CLAUSE.split(lowered):
        state = _read_clause(clause)
        for finding in state.found:
            known = findings.get(finding.name)
            findings[finding.name] = _union(known, finding) if known else finding
        about = state.mentioned or "-"
        changes |= {(about, direction) for direction in state.changes}
        if not state.changes and _CHANGE_PHRASE.search(clause):
            changes.add((about, "same"))
    return Reading(findings, frozenset(changes))


def _union(one: Finding, other: Finding) -> Finding:
    return replace(
        one,
        sides=one.sides | other.sides,
        regions=one.regions | other.regions,
        grade=max(one.grade, other.grade),
        doubted=one.doubted and other.doubted,
    )


def _read_clause(clause: str) -> _Clause:
    state = _Clause()
    words = _WORD.findall(clause)
    for index, word in enumerate(words):
        following = words[index + 1 : index + 4]
        if word in DENY:
            state.denied = not (word == "no" and following[:1] in (["change"], ["longer"]))
            if word == "resolved" and state.found:
                state.found.pop()
        elif word in DOUBT:
            state.doubted = True
        if word in UNSEEN and index and _is_unseen(words, index) and not BEFORE & {*following}:
            state.found.clear()
        if word in CHANGES and not STATES & {*following, *words[max(0, index - 3) : index]}:
            state.changes.add(CHANGES[word])
        _place(state, word)
        if word in CARRIERS:
            state.carrier = CARRIERS[word]
        if word in ENLARGED and (carrier := state.carrier or _coming_carrier(words, index)):
            _name(state, carrier)
        elif word in _names() and not (word == "interstitial" and EDEMA & set(following)):
            _name(state, word)
    return state


def _is_unseen(words: list[str], index: int) -> bool:
    """``absent``, or ``not seen`` and the like, which deny what stands before them."""
    return words[index] == "absent" or words[index - 1] == "not"


def _coming_carrier(words: list[str], index: int) -> str | None:
    """The anatomy in ``enlargement of the cardiac silhouette``, after its word."""
    return next((CARRIERS[word] for word in words[index + 1 : index + 6] if word in CARRIERS), None)


def _place(state: _Clause, word: str) -> None:
    """A side, region or grade: after a preposition the last finding's, else the next one's."""
    if word in LINKS:
        state.is_after = LINKS[word] and bool(state.found)
    sides, regions = set(SIDES.get(word, "")), {REGIONS[word]} if word in REGIONS else set()
    if state.found and (state.is_after or word == "bilaterally"):
        last = state.found[-1]
        state.found[-1] = replace(last, sides=last.sides | sides, regions=last.regions | regions)
    else:
        state.sides |= sides
        state.regions |= regions
    state.grade = max(state.grade, GRADES.get(word, 0))


def _name(state: _Clause, word: str) -> None:
    """A finding is named: it takes what was said before it, and what was said is used up."""
    for name in _names()[word]:
        state.mentioned = state.mentioned or name
        if state.denied:
            continue
        sides, regions = frozenset(state.sides), frozenset(state.regions)
        state.found.append(Finding(name, sides, regions, state.grade, state.doubted))
    state.sides, state.regions, state.grade, state.is_after = set(), set(), 0, False
