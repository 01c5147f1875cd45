"""Python and C++ read the same bytes the same way: wire.py against wire.hpp, by the compiler."""

from __future__ import annotations

import dataclasses
import enum
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from trading_contract import wire
from trading_contract.tests import builders

ROOT = Path(__file__).parents[4]
INCLUDE = ROOT / "engine" / "wire" / "include"
HEADER = (INCLUDE / "trading" / "wire.hpp").read_text()
CODE = re.sub(r"//.*", "", HEADER)
STRUCTS = {
    name: re.findall(r"(\w+)(?:\[\w+\])?;", body)
    for name, body in re.findall(r"struct (\w+) \{(.*?)\n\};", CODE, re.DOTALL)
}
ENUMS = {
    name: {entry: int(value) for entry, value in re.findall(r"k(\w+) = (\d+)", body)}
    for name, body in re.findall(r"enum class (\w+) : \S+ \{(.*?)\};", CODE, re.DOTALL)
}


def snake(name: str) -> str:
    """`PostOnlyWouldTake` -> `POST_ONLY_WOULD_TAKE`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()


@pytest.mark.parametrize("name", sorted(ENUMS))
def test_an_enum_has_the_same_names_and_values(name: str) -> None:
    ours = getattr(wire, name)
    assert issubclass(ours, enum.IntEnum)
    assert {e.name: e.value for e in ours} == {snake(k): v for k, v in ENUMS[name].items()}


def program() -> str:
    """Reads a struct's name from argv and its bytes from stdin; prints `field value` lines."""
    show = []
    for struct, fields in STRUCTS.items():
        lines = "".join(f'show("{f}", value.{f});' for f in fields)
        show.append(
            f'if (name == "{struct}") {{ W::{struct} value; '
            f'if (!read(value)) return 2; std::printf("sizeof %zu\\n", sizeof value); {lines} }}'
        )
    return f"""
#include <cstdio>
#include <string>
#include <type_traits>
#include <trading/wire.hpp>
namespace W = trading::wire;
template <class T> bool read(T& value) {{
  return std::fread(&value, sizeof value, 1, stdin) == 1 && std::getchar() == EOF;
}}
template <class T> void show(const char* field, const T& value) {{
  if constexpr (std::is_array_v<T>) std::printf("%s '%.*s'\\n", field, (int)sizeof value, value);
  else if constexpr (std::is_signed_v<T>) std::printf("%s %lld\\n", field, (long long)value);
  else std::printf("%s %llu\\n", field, (unsigned long long)value);
}}
int main(int, char** argv) {{
  const std::string name = argv[1];
  if (name == "limits") std::printf("%u %u %zu %zu", W::kProtocolVersion, W::kFrameBytesMax,
                                    W::kSymbolBytes, W::kClientIdBytes);
  {" ".join(show)}
}}
"""


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled program."""
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler: run `make setup`")
    folder = tmp_path_factory.mktemp("wire")
    (folder / "reader.cpp").write_text(program())
    subprocess.run(
        [compiler, "-std=c++20", f"-I{INCLUDE}", "-o", folder / "reader", folder / "reader.cpp"],
        check=True,
    )
    return folder / "reader"


def read_by_cpp(reader: Path, struct: str, raw: bytes) -> dict[str, object]:
    """Field -> value as C++ sees the bytes."""
    out = subprocess.run([reader, struct], input=raw, capture_output=True, check=True).stdout
    pairs = (line.split(" ", 1) for line in out.decode().splitlines())
    return {k: v.strip("'") if v.startswith("'") else int(v) for k, v in pairs}


def fields_of(message: object) -> dict[str, object]:
    """Field -> value of a dataclass, enums as numbers."""
    assert dataclasses.is_dataclass(message)
    return {
        f.name: int(value) if isinstance(value, enum.IntEnum) else value
        for f in dataclasses.fields(message)
        if not isinstance(value := getattr(message, f.name), tuple)
    }


def test_the_limits_are_the_same(reader: Path) -> None:
    out = subprocess.run([reader, "limits"], capture_output=True, check=True).stdout
    ours = wire.PROTOCOL_VERSION, wire.FRAME_BYTES_MAX, wire.SYMBOL_BYTES, wire.CLIENT_ID_BYTES
    assert tuple(map(int, out.split())) == ours


def test_cpp_reads_every_field_of_a_command_that_python_wrote(reader: Path) -> None:
    seen = read_by_cpp(reader, "Command", builders.command().pack())
    ours = fields_of(builders.command())
    own_to_the_partition = {"time_us", "connection", "reserved0", "reserved1"}
    assert seen.pop("sizeof") == wire.COMMAND_BYTES
    assert {seen.pop(name) for name in own_to_the_partition} == {0}
    assert seen == ours


def test_cpp_reads_every_field_of_a_reply_that_python_wrote(reader: Path) -> None:
    reply = builders.reply()
    raw = reply.pack()
    seen = read_by_cpp(reader, "Reply", raw[: wire.REPLY_BYTES])
    assert seen.pop("sizeof") == wire.REPLY_BYTES
    assert seen.pop("fill_count") == len(reply.fills)
    assert seen.pop("reserved0") == 0
    assert seen == fields_of(reply)
    for at, fill in enumerate(reply.fills):
        start = wire.REPLY_BYTES + at * wire.FILL_BYTES
        seen = read_by_cpp(reader, "Fill", raw[start : start + wire.FILL_BYTES])
        assert seen == {"sizeof": wire.FILL_BYTES, **fields_of(fill)}


def test_cpp_reads_every_field_of_a_depth_that_python_wrote(reader: Path) -> None:
    depth = builders.depth()
    raw = depth.pack()
    seen = read_by_cpp(reader, "DepthHeader", raw[: wire.DEPTH_BYTES])
    assert (seen.pop("sizeof"), seen.pop("reserved"), seen.pop("reserved1")) == (64, 0, 0)
    assert (seen.pop("bid_count"), seen.pop("ask_count")) == (len(depth.bids), len(depth.asks))
    assert seen == fields_of(depth)
    levels = [
        read_by_cpp(reader, "Level", raw[at : at + wire.LEVEL_BYTES])
        for at in range(wire.DEPTH_BYTES, len(raw), wire.LEVEL_BYTES)
    ]
    assert [(one["price"], one["quantity"]) for one in levels] == [*depth.bids, *depth.asks]


def test_cpp_reads_the_header_of_a_frame(reader: Path) -> None:
    framed = wire.frame(wire.FrameType.PING, b"12345")
    seen = read_by_cpp(reader, "FrameHeader", framed[: wire.HEADER_BYTES])
    assert seen == {
        "sizeof": wire.HEADER_BYTES,
        "length": len(framed),
        "type": wire.FrameType.PING,
        "flags": 0,
        "reserved": 0,
    }
