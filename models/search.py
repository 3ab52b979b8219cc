"""Which token comes next: greedy, and beam search as Hugging Face's ``generate`` does it.

One object searches one answer; ``choose`` feeds all live ones from one step's logits. Scores are
float32, as there. Shapes: R rows of logits, K beams, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch


@dataclass(frozen=True)
class SearchRule:
    """How an answer is searched.

    Args:
        end: the end token's id.
        beams: 1 is greedy.
        length_penalty: a finished beam's score is its summed log-probability over its tokens to
            this power (1 in Hugging Face: the mean).
        stop_early: true ends as soon as ``beams`` answers are finished; false (Hugging Face's
            default) ends when the best unfinished one, taken at its present length, no longer
            beats the worst of them.
        least: tokens before the end token may be chosen (``min_new_tokens`` in Hugging Face).
        repetition_penalty: logits of tokens that stand in the prompt or the answer so far are
            divided by it where they are positive, else multiplied; with beams it is their
            log-probabilities, as in Hugging Face. 1 leaves them alone.
        never: ids that are never chosen (``suppress_tokens`` in Hugging Face). With beams their
            probability is not shared out among the others.
    """

    end: int
    beams: int = 1
    length_penalty: float = 1.0
    stop_early: bool = False
    least: int = 0
    repetition_penalty: float = 1.0
    never: tuple[int, ...] = ()

    @property
    def bends(self) -> bool:
        """Whether scores depend on what has been written."""
        return self.least > 0 or self.repetition_penalty != 1.0

    def bend(self, scores: torch.Tensor, prompt: Sequence[int], ids: Sequence[int]) -> None:
        """Change one row of scores [V] in place by what has been written.

        Args:
            prompt: ids before the answer, ``ids`` those of the answer so far.
        """
        if self.repetition_penalty != 1.0:
            seen = torch.tensor(sorted({*prompt, *ids}), device=scores.device)
            held = scores[seen]
            scores[seen] = torch.where(
                held < 0, held * self.repetition_penalty, held / self.repetition_penalty
            )
        if len(ids) < self.least:
            scores[self.end] = float("-inf")


@dataclass
class Search:
    """The search of one answer of at most ``most`` tokens; holds ``beams`` rows of a batch.

    Attributes:
        prompt: the ids before the answer.
        tokens: the next token of each row, in the rows' order.
        copies: rows (source, target) whose past must be copied before the next step.
        ids: the answer with its end token, once ``done``.
    """

    rule: SearchRule
    most: int
    prompt: tuple[int, ...] = ()
    tokens: list[int] = field(default_factory=list)
    copies: list[tuple[int, int]] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    done: bool = False

    def take(self, token: int) -> None:
        """Greedy: the best token of the only row."""
        self.ids.append(token)
        self.tokens = [token]
        self.done = token == self.rule.end or len(self.ids) == self.most


@dataclass(frozen=True)
class _Beam:
    """An answer so far: summed log-probability, ids, and the row that holds its past."""

    score: np.float32
    ids: tuple[int, ...]
    row: int


class BeamSearch(Search):
    """K beams; beam 0 is the best. ``generate`` pads what we leave out: it has no rows to spare."""

    def __init__(self, rule: SearchRule, most: int, prompt: tuple[int, ...] = ()) -> None:
        super().__init__(rule, most, prompt)
        self.running = [_Beam(np.float32(0), (), 0)]
        self.finished: list[_Beam] = []

    @property
    def by_row(self) -> list[_Beam]:
        """The running beams in the rows' order."""
        return sorted(self.running, key=lambda beam: beam.row)

    def scores(self, device: torch.device) -> torch.Tensor:
        """Running scores [rows in use, 1], in the rows' order."""
        found = [float(beam.score) for beam in self.by_row]
        return torch.tensor(found, dtype=torch.float32, device=device)[:, None]

    def extend(self, candidates: Sequence[tuple[np.float32, int, int]]) -> None:
        """Go on from the 2K best (score, row, token), best first."""
        by_row = {beam.row: beam for beam in self.running}
        length = len(self.running[0].ids) + 1
        grown = [_Beam(score, (*by_row[row].ids, token), row) for score, row, token in candidates]
        ended = [length == self.most or beam.ids[-1] == self.rule.end for beam in grown]
        self._keep_finished(
            [beam for beam, end in zip(grown[: self.rule.beams], ended, strict=False) if end],
            length,
        )
        going = [beam for beam, end in zip(grown, ended, strict=True) if not end]
        self.running = going[: self.rule.beams]
        self.done = not self.running or self._cannot_improve(length)
        if self.done:
            self.ids = list(self.finished[0].ids)
        else:
            self._settle_rows()

    def _keep_finished(self, ended: Sequence[_Beam], length: int) -> None:
        """The K best of all that have ended; their scores are per token."""
        share = np.float32(length**self.rule.length_penalty)
        scored = [_Beam(beam.score / share, beam.ids, beam.row) for beam in ended]
        ranked = sorted([*self.finished, *scored], key=lambda beam: -beam.score)
        self.finished = ranked[: self.rule.beams]

    def _cannot_improve(self, length: int) -> bool:
        if len(self.finished) < self.rule.beams:
            return False
        best = self.running[0].score / np.float32(length**self.rule.length_penalty)
        return self.rule.stop_early or not best > self.finished[-1].score

    def _settle_rows(self) -> None:
        """A beam's first child keeps its row; further ones take rows of beams that ended."""
        free = sorted(set(range(self.rule.beams)) - {beam.row for beam in self.running})
        taken: set[int] = set()
        settled, self.copies = [], []
        for beam in self.running:
            row = beam.row if beam.row not in taken else free.pop(0)
            if row != beam.row:
                self.copies.append((beam.row, row))
            taken.add(row)
            settled.append(_Beam(beam.score, beam.ids, row))
        self.running = settled
        self.tokens = [beam.ids[-1] for beam in self.by_row]


def new_search(rule: SearchRule, most: int, prompt: tuple[int, ...] = ()) -> Search:
    """The search that the rule asks for."""
    return (Search if rule.beams == 1 else BeamSearch)(rule, most, prompt)


def choose(logits: torch.Tensor, searches: Sequence[Search]) -> None:
    """Take every search one token further; all have as many beams, and the same ids that are never
    chosen.

    Args:
        logits: [R, V]; each search's rows follow each other, one row each before the first token.
            Overwritten.
    """
    if searches[0].rule.beams == 1:
        scores = logits.float()
        if any(search.rule.bends for search in searches):
            for row, search in zip(scores, searches, strict=True):
                search.rule.bend(row, search.prompt, search.ids)
        scores = _without(searches[0].rule.never, scores)
        for search, token in zip(searches, scores.argmax(-1).tolist(), strict=True):
            search.take(token)
        return
    start = 0
    for search in searches:
        assert isinstance(search, BeamSearch)
        rows = len(search.running)
        _extend(search, logits[start : start + rows])
        start += rows


def _extend(search: BeamSearch, logits: torch.Tensor) -> None:
    """One beam search's rows [K, V]: the 2K best continuations over all its beams."""
    logs = logits.float().log_softmax(-1)
    if search.rule.bends:
        for row, beam in zip(logs, search.by_row, strict=True):
            search.rule.bend(row, search.prompt, beam.ids)
    summed = _without(search.rule.never, logs) + search.scores(logits.device)
    kept = min(2 * search.rule.beams, summed.numel())
    scores, places = summed.flatten().topk(kept)
    rows, tokens = (places // logits.shape[-1]).tolist(), (places % logits.shape[-1]).tolist()
    search.extend(list(zip(scores.cpu().numpy(), rows, tokens, strict=True)))


def _without(never: Sequence[int], scores: torch.Tensor) -> torch.Tensor:
    """The scores [R, V], overwritten at those ids with minus infinity."""
    if never:
        scores[:, list(never)] = float("-inf")
    return scores
