"""One METEOR child for a whole evaluation: it is asked on its stdin and answers on its stdout.

    with TemporaryFile() as errors, MeteorChild(program, errors) as child:
        child.statistics("heart is enlarged", "enlarged heart")     (23,)

It reads its 60 MB of paraphrases once, which takes most of its time; it is started when the first
pair is asked, so that counts that are all in a cache cost no Java. Whatever goes wrong (it hangs,
dies, or answers something else) ends in ``MeteorFailed`` and a killed child, never in waiting for
ever. When this process dies, however it dies, the child's stdin is closed, at which the program
ends.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Final

import numpy as np

from evaluation.meteor import WIDTH, corpus_meteor, summable
from evaluation.meteor_program import JAR, PARAPHRASES, MeteorProgram
from evaluation.statistics import Floats
from infra.errors import CxrError

LONGEST_ANSWER = 1 << 16
"""Bytes; an answer has about 120. Our choice: what is longer is no answer."""
TOLERANCE = 1e-6
"""Between the program's scores and those made here of the same counts; they differ by rounding."""
KNOWN_PAIRS: Final = (("enlarged heart", "enlarged heart"), ("stable enlarged heart", "heart"))
"""Asked at the start: of them a program with other arithmetic than METEOR 1.5's is told."""
_KEPT_BYTES = 20_000
_SECRET = ("CXR_LLM_API_KEY",)
"""What a stranger's program has no use for."""
_THROWN = re.compile(
    r"^(?:Exception in thread \"[^\"]*\" |Caused by: )?([\w.$]+(?:Error|Exception))\b"
)


@dataclass(frozen=True)
class Patience:
    """Seconds to wait, our choice: reading the table took 5 to 30 s on two busy cores, a pair of
    reports a few hundredths."""

    start: float = 600.0
    answer: float = 120.0
    end: float = 10.0


class MeteorFailed(CxrError):
    """The METEOR program hung, died or answered something else; no text is in the message."""


class MeteorChild:
    """The program as a child process; one question at a time, none after a failure.

    Args:
        errors: an empty file that gets its stderr.
    """

    def __init__(
        self, program: MeteorProgram, errors: IO[bytes], patience: Patience | None = None
    ) -> None:
        self._program, self._errors = program, errors
        self._patience = patience or Patience()
        self._child: subprocess.Popen[bytes] | None = None
        self._gave_up, self._is_known = False, False

    def __enter__(self) -> MeteorChild:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        del error, trace
        self._end(kindly=kind is None)

    @property
    def pid(self) -> int | None:
        """Process id of the child while it runs."""
        return None if self._child is None else self._child.pid

    def statistics(self, reference: str, prediction: str) -> Floats:
        """(23,) the program's statistics of one pair of texts that ``meteor_text`` has cleaned.

        Raises:
            MeteorFailed: the program hung, died or answered something else.
        """
        if self._child is None:
            self._start()
        return self._score(reference, prediction, self._patience.answer)

    def _start(self) -> None:
        try:
            self._child = subprocess.Popen(
                self._program.command,
                cwd=self._program.folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                start_new_session=True,
                env={name: own for name, own in os.environ.items() if name not in _SECRET},
            )
        except OSError as error:
            raise MeteorFailed(
                f"METEOR cannot be started: {self._program.java}: {error.strerror}"
            ) from None
        self._check()

    def _check(self) -> None:
        """Hold the program to known pairs before a report is shown to it.

        A damaged table of paraphrases stops no METEOR: it tells that on stderr and goes on with the
        part that it has read, to other scores.
        """
        known = [self._score(*pair, self._patience.start) for pair in KNOWN_PAIRS]
        told = self._thrown()
        if told is not None:
            raise self._failed(f"told {told} as it read {PARAPHRASES}, which is damaged")
        counts = summable(np.array(known))
        expected = [*corpus_meteor(counts), corpus_meteor(counts.sum(axis=0))]
        shown = " ||| ".join(" ".join(map(str, row)) for row in known)
        first = self._ask(f"EVAL ||| {shown}", self._patience.answer)
        answers = [first, *(self._ask(None, self._patience.answer) for _ in KNOWN_PAIRS)]
        scores = np.array([self._numbers(answer, 1)[0] for answer in answers])
        if not np.allclose(scores, expected, rtol=0.0, atol=TOLERANCE):
            raise self._failed(f"scores known pairs otherwise: {JAR} is another METEOR than 1.5")
        self._is_known = True

    def _score(self, reference: str, prediction: str, seconds: float) -> Floats:
        return self._numbers(self._ask(f"SCORE ||| {reference} ||| {prediction}", seconds), WIDTH)

    def _numbers(self, answer: bytes, count: int) -> Floats:
        """The answer itself may repeat a text, so that no message repeats the answer."""
        words = answer.split()
        try:
            numbers = np.array([float(word) for word in words])
        except ValueError:
            raise self._failed(f"answered words where {count} numbers belong") from None
        if len(numbers) != count or not np.isfinite(numbers).all():
            raise self._failed(f"answered {len(numbers)} numbers where {count} finite ones belong")
        return numbers

    def _ask(self, line: str | None, seconds: float) -> bytes:
        """The next line of its stdout, after a line to its stdin if there is one."""
        assert self._child is not None and self._child.stdin and self._child.stdout
        watch = threading.Timer(seconds, self._give_up)
        watch.daemon = True
        watch.start()
        answer = b""
        try:
            with suppress(BrokenPipeError):  # it is dead, which the empty answer tells
                if line is not None:
                    self._child.stdin.write(f"{line}\n".encode("utf-8", "replace"))
                    self._child.stdin.flush()
                answer = self._child.stdout.readline(LONGEST_ANSWER)
        finally:
            watch.cancel()
        if self._gave_up:
            raise self._failed(f"gave no answer within {seconds:.0f} s")
        if not answer:
            raise self._failed(self._how_it_ended())
        return answer

    def _give_up(self) -> None:
        self._gave_up = True
        self._kill()

    def _kill(self) -> None:
        """The whole group: ``java`` may be a script that starts another process."""
        if self._child is not None and self._child.returncode is None:
            with suppress(ProcessLookupError):  # it ended this very moment
                os.killpg(self._child.pid, signal.SIGKILL)

    def _failed(self, what: str) -> MeteorFailed:
        self._end(kindly=False)
        return MeteorFailed(f"METEOR {what}; see docs/metrics.md")

    def _how_it_ended(self) -> str:
        assert self._child is not None
        try:
            code = self._child.wait(self._patience.end)
        except subprocess.TimeoutExpired:
            return "closed its output"
        if code < 0:
            return f"was killed by {signal.Signals(-code).name} (perhaps for want of memory)"
        told = self._thrown() or ("no error told" if self._is_known else self._first_line())
        return f"ended with {code} ({told})"

    def _thrown(self) -> str | None:
        """The first error on its stderr by its class alone: what follows may repeat a text."""
        lines = self._stderr().splitlines()
        return next((match[1] for match in map(_THROWN.match, lines) if match), None)

    def _first_line(self) -> str:
        """What Java says that cannot even start; it has been shown no text then."""
        lines = [line for line in self._stderr().splitlines() if line.strip()]
        told = [line for line in lines if not line.startswith("Picked up ")]
        return told[0] if told else "no message"

    def _stderr(self) -> str:
        read = os.pread(self._errors.fileno(), _KEPT_BYTES, 0)
        return read.decode("utf-8", "replace")

    def _end(self, *, kindly: bool) -> None:
        """End of stdin ends the program; what does not end by that, or failed, is killed."""
        child = self._child
        if child is None:
            return
        assert child.stdin and child.stdout
        if not kindly:
            self._kill()
        with suppress(BrokenPipeError):  # it is dead already
            child.stdin.close()
        try:
            child.wait(self._patience.end)
        except subprocess.TimeoutExpired:
            self._kill()
            child.wait()
        child.stdout.close()
