"""However the bytes of frames arrive, the same frames come out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trading_contract.wire import FrameDecoder, FrameType, WireError, frame, parse_replies

FRAMES = st.lists(st.tuples(st.sampled_from(FrameType), st.binary(max_size=64)), max_size=8)


@given(frames=FRAMES, cuts=st.lists(st.integers(min_value=1, max_value=40), min_size=1))
def test_frames_come_out_whole_whatever_the_chunks(
    frames: list[tuple[FrameType, bytes]], cuts: list[int]
) -> None:
    stream = b"".join(frame(kind, payload) for kind, payload in frames)
    decoder, seen, at, turn = FrameDecoder(), [], 0, 0
    while at < len(stream):
        size = cuts[turn % len(cuts)]
        seen += decoder.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    assert seen == frames
    assert decoder.held_bytes == 0


@given(st.binary(max_size=600))
def test_random_bytes_are_a_wire_error_or_replies_and_nothing_else(raw: bytes) -> None:
    for read in (parse_replies, FrameDecoder().feed):
        try:
            read(raw)
        except WireError:
            continue
