from __future__ import annotations

import gzip
import zlib
from collections.abc import AsyncIterator, Callable

import brotli  # pyright: ignore[reportMissingTypeStubs]
import pytest

from hunyuan_ui.endpoint.content_encoding import PIECE_BYTES, EncodingError, decoded, encodings
from tests.videos import mp4_bytes

pytestmark = pytest.mark.anyio
DATA = b"a film of hoarfrost " * 50_000


def bare(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(data) + deflate.flush()


async def in_pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def whole(data: bytes, encoding: str, size: int = 1000) -> tuple[bytes, int]:
    pieces = [piece async for piece in decoded(in_pieces(data, size), {"content-encoding": encoding})]
    return b"".join(pieces), max(map(len, pieces), default=0)


@pytest.mark.parametrize("size", [1, 7, 1000, 10**9])
@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("X-GZIP", gzip.compress),
        ("", gzip.compress),
        ("identity", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", bare),
        ("br", brotli.compress),
        ("gzip, br", lambda data: brotli.compress(gzip.compress(data))),
        ("identity, gzip", gzip.compress),
        ("gzip", lambda data: gzip.compress(data[:100]) + gzip.compress(data[100:])),
        ("gzip", lambda data: gzip.compress(data) + bytes(512)),
    ],
)
async def test_what_was_packed_is_unpacked_in_pieces_that_are_bounded(
    encoding: str, pack: Callable[[bytes], bytes], size: int
) -> None:
    data = DATA if size > 7 else DATA[:5000]
    unpacked, largest = await whole(pack(data), encoding, size)
    assert unpacked == data
    assert largest <= PIECE_BYTES


@pytest.mark.parametrize("more", [0, 1, 22, 57, 64, 258, 259, PIECE_BYTES + 64])
@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("deflate", bare), ("deflate", zlib.compress), ("gzip", gzip.compress), ("br", brotli.compress)],
)
async def test_the_last_bytes_are_not_lost_where_a_piece_ends_before_them(
    encoding: str, pack: Callable[[bytes], bytes], more: int
) -> None:
    data = bytes(PIECE_BYTES + more)
    unpacked, largest = await whole(pack(data), encoding, 10**9)
    assert unpacked == data
    assert largest <= PIECE_BYTES


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
async def test_a_body_that_is_only_called_packed_is_passed_on(encoding: str) -> None:
    for data in (mp4_bytes(), b'{"status": "COMPLETED"}', b"\x1a\x45\xdf\xa3webm"):
        assert (await whole(data, encoding, 4096))[0] == data


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("gzip", gzip.compress(DATA)[:-9]),
        ("br", brotli.compress(DATA)[:-3]),
        ("deflate", zlib.compress(DATA)[:-6]),
        ("gzip", gzip.compress(DATA)[:200] + b"garbage" * 100),
        ("zstd", b"\x28\xb5\x2f\xfd" + bytes(20)),
        ("gzip, gzip, gzip, gzip", b"x"),
    ],
)
async def test_what_is_damaged_or_unknown_is_refused(encoding: str, data: bytes) -> None:
    with pytest.raises(EncodingError):
        await whole(data, encoding)


@pytest.mark.parametrize(
    ("text", "names"), [("", []), ("identity", []), ("gzip", ["gzip"]), (" GZip , br", ["gzip", "br"])]
)
def test_encodings_are_read_in_their_order(text: str, names: list[str]) -> None:
    assert encodings({"content-encoding": text}) == names
