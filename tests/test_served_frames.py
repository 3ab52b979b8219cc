"""What passes between server and child: frames there and back, whole or not at all."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from infra.served import Ask, Busy, Cancel, Facts, Line, Message, Told, encode, read_frame

MESSAGES: list[Message | Cancel] = [
    Ask(3, "talk", (("user", "Is there “fluid”?"), ("assistant", "No.\n")), films=(b"\0\xff", b"")),
    Ask(4, "report", indication="Cough.", most_tokens=7, streams=True),
    Ask(5, "draw", prompt="PA view.", seed=9),
    Told(3, "text", "There"),
    Told(3, "done", "There is.", "stop", 60, 4),
    Told(5, "done", film=b"\x89PNG" * 1000),
    Told(6, "refused", "found nothing", "image"),
    Facts(False, "cpu", 16, True, 4),
    Busy(1, 2, 3, 4),
    Cancel(3),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda each: type(each).__name__)
def test_a_frame_comes_back_by_both_readers(message: Message | Cancel) -> None:
    async def read() -> object:
        reader = asyncio.StreamReader()
        reader.feed_data(encode(message))
        return await read_frame(reader)

    assert asyncio.run(read()) == message
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(encode(message))
        assert Line(theirs).hear() == message


def test_the_end_of_the_other_end_is_none_even_within_a_frame() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.sendall(encode(MESSAGES[0])[:-1])
        ours.close()
        assert Line(theirs).hear() is None

    async def read() -> object:
        reader = asyncio.StreamReader()
        reader.feed_data(encode(MESSAGES[0])[:3])
        reader.feed_eof()
        return await read_frame(reader)

    assert asyncio.run(read()) is None


def test_frames_of_several_threads_do_not_mix() -> None:
    ours, theirs = socket.socketpair()
    line, said = Line(ours), [Told(number, "done", "x" * 5000 * number) for number in range(8)]
    with ours, theirs:
        threads = [threading.Thread(target=line.say, args=(each,)) for each in said]
        for thread in threads:
            thread.start()
        heard = [Line(theirs).hear() for _ in said]
        for thread in threads:
            thread.join()
    assert sorted(heard, key=lambda told: told.number) == said  # type: ignore[union-attr]


def test_a_frame_that_is_no_frame_is_not_taken_for_one() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"\xff" * 64)
        with pytest.raises(AssertionError, match="a frame whose head has"):
            Line(theirs).hear()


def test_only_the_last_words_are_last() -> None:
    assert not Told(0, "text").is_last
    assert all(Told(0, event).is_last for event in ("done", "refused", "failed"))  # type: ignore[arg-type]
