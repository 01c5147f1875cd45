"""The codec keeps what it is given and refuses what it does not know."""

from __future__ import annotations

import dataclasses
import struct
from typing import Any

import pytest

from trading_contract.tests import builders
from trading_contract.wire import (
    COMMAND_BYTES,
    HEADER_BYTES,
    REPLY_BYTES,
    Command,
    Depth,
    FrameDecoder,
    FrameType,
    WireError,
    frame,
    parse_replies,
)


def test_a_command_survives_the_wire() -> None:
    assert Command.unpack(builders.command().pack()) == builders.command()


def test_replies_survive_the_wire_with_their_fills() -> None:
    bare = dataclasses.replace(builders.reply(), fills=())
    replies = [builders.reply(), bare, builders.reply()]
    assert parse_replies(b"".join(reply.pack() for reply in replies)) == replies


def test_a_depth_survives_the_wire() -> None:
    assert Depth.unpack(builders.depth().pack()) == builders.depth()


@pytest.mark.parametrize("field", ["symbol", "client_id", "target_client_id"])
def test_a_text_too_long_for_its_field_is_refused_not_cut(field: str) -> None:
    changed: dict[str, Any] = {field: "X" * 37}
    long = dataclasses.replace(builders.command(), **changed)
    with pytest.raises(ValueError, match="longer than"):
        long.pack()


@pytest.mark.parametrize("cut", [1, REPLY_BYTES - 1, REPLY_BYTES, REPLY_BYTES + 33])
def test_replies_that_end_inside_a_record_are_refused(cut: int) -> None:
    with pytest.raises(WireError, match="ends inside"):
        parse_replies(builders.reply().pack()[:cut])


def test_unknown_values_are_a_wire_error() -> None:
    raw = bytearray(builders.command().pack())
    raw[COMMAND_BYTES - 24] = 99
    with pytest.raises(WireError, match="99"):
        Command.unpack(bytes(raw))
    with pytest.raises(WireError, match="bytes"):
        Command.unpack(bytes(raw[:-1]))


def test_a_depth_whose_counts_lie_is_refused() -> None:
    with pytest.raises(WireError, match="counts"):
        Depth.unpack(builders.depth().pack()[:-16])
    with pytest.raises(WireError, match="shorter"):
        Depth.unpack(b"1234")


@pytest.mark.parametrize("length", [0, HEADER_BYTES - 1, (4 << 20) + 1, 2**32 - 1])
def test_an_impossible_frame_length_is_refused_before_it_is_held(length: int) -> None:
    decoder = FrameDecoder()
    with pytest.raises(WireError, match="frame length"):
        decoder.feed(struct.pack("<IBBH", length, FrameType.PING, 0, 0))


def test_an_unknown_frame_type_is_refused() -> None:
    with pytest.raises(WireError, match="unknown frame type 77"):
        FrameDecoder().feed(struct.pack("<IBBH", HEADER_BYTES, 77, 0, 0))


def test_the_decoder_never_holds_more_than_one_unfinished_frame() -> None:
    decoder = FrameDecoder()
    whole = frame(FrameType.COMMANDS, b"x" * 100)
    assert len(decoder.feed(whole * 50 + whole[:-1])) == 50
    assert decoder.held_bytes == len(whole) - 1
    assert decoder.feed(whole[-1:]) == [(FrameType.COMMANDS, b"x" * 100)]
    assert decoder.held_bytes == 0


def test_a_frame_too_long_to_send_is_refused() -> None:
    with pytest.raises(WireError, match="longer than"):
        frame(FrameType.REPLIES, bytes(4 << 20))
