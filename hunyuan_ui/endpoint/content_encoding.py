"""Decodes an unrequested `Content-Encoding` in pieces of bounded size.

Every request asks for `identity`, yet content networks compress all the same; 64 KiB can unpack to 200 MB
(docs/facts/faults-and-security.md, row 27), so no step yields more than `PIECE_BYTES`.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from typing import Any, Final, TypeAlias, cast

from hunyuan_ui.errors import Reason, reason
from hunyuan_ui.file_type import video_type

PIECE_BYTES: Final = 256 * 1024
_PLAIN: Final = ("", "identity")
_MOST_LAYERS: Final = 3
SNIFFED: Final = 12  # bytes that distinguish a video from JSON, HTML and its compressed form
_JSON_OR_HTML: Final = (b'{"', b"[{", b"{}", b"[]", b"<!", b"<h")


class EncodingError(OSError):
    """The body does not match its `Content-Encoding`, or the encoding is unknown.

    Args:
        why: Reason for the error message.
    """

    def __init__(self, why: Reason) -> None:
        super().__init__()
        self.why = why


def encodings(headers: Mapping[str, str]) -> list[str]:
    """Return the encodings of a body in the order in which they were applied; none for a plain body."""
    names = headers.get("content-encoding", "").lower().split(",")
    return [name.strip() for name in names if name.strip() not in _PLAIN]


async def decoded(chunks: AsyncIterator[bytes], headers: Mapping[str, str]) -> AsyncGenerator[bytes, None]:
    """Yield a decoded body, in pieces of at most `PIECE_BYTES`.

    A body that does not begin as its header says is passed through unchanged: such headers are often simply wrong.

    Args:
        headers: Of the response, with case-insensitive lookup.

    Raises:
        EncodingError: The body is damaged or truncated, or its encoding is unknown.
    """
    names = encodings(headers) or ["gzip"]  # some programs compress and do not say so
    if len(names) > _MOST_LAYERS:
        raise EncodingError(reason("too_many_encodings"))
    for name in reversed(names):
        chunks = _without(name, chunks)
    async with aclosing(cast("AsyncGenerator[bytes, None]", chunks)) as body:
        async for chunk in body:
            yield chunk


async def _without(name: str, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    decoder: _Decoder | None = None
    start = b""
    async with aclosing(cast("AsyncGenerator[bytes, None]", chunks)) as body:
        async for chunk in body:
            if decoder is None:
                start += chunk
                if len(start) < SNIFFED:
                    continue
                decoder, chunk = _decoder(name, start), start
            for piece in decoder.feed(chunk):
                yield piece
    if decoder is None and start:
        decoder = _decoder(name, start)
        for piece in decoder.feed(start):
            yield piece
    if decoder is not None:
        decoder.check_end()


def _decoder(name: str, start: bytes) -> _Decoder:
    if video_type(start) is not None or start.startswith(_JSON_OR_HTML):
        return _Plain()
    if name in ("gzip", "x-gzip"):
        return _Zlib(zlib.MAX_WBITS | 16) if start[:2] == b"\x1f\x8b" else _Plain()
    if name == "deflate":
        # Two forms are in use: with zlib's header, whose first two bytes are a multiple of 31, and raw deflate.
        has_header = len(start) > 1 and start[0] & 15 == 8 and (start[0] << 8 | start[1]) % 31 == 0
        return _Zlib(zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS)
    if name == "br":
        return _Brotli()
    raise EncodingError(reason("encoding_unknown", encoding=name[:20]))


class _Plain:
    def feed(self, data: bytes) -> Iterator[bytes]:
        yield data

    def check_end(self) -> None:
        return


class _Zlib:
    def __init__(self, window_bits: int) -> None:
        self._bits = window_bits
        self._inflate = zlib.decompressobj(window_bits)

    def feed(self, data: bytes) -> Iterator[bytes]:
        is_full = False  # then there may be more inside although all of `data` was read
        try:
            while data or is_full:
                if self._inflate.eof:
                    data = data.lstrip(b"\0")
                    if not data or self._bits <= zlib.MAX_WBITS:
                        return  # padding; zlib streams have no further members
                    self._inflate = zlib.decompressobj(self._bits)  # gzip members may be concatenated
                if piece := self._inflate.decompress(data, PIECE_BYTES):
                    yield piece
                is_full = len(piece) == PIECE_BYTES
                data = self._inflate.unconsumed_tail or self._inflate.unused_data
        except zlib.error:
            raise EncodingError(reason("compression_damaged")) from None

    def check_end(self) -> None:
        if not self._inflate.eof:
            raise EncodingError(reason("compression_cut_short"))


class _Brotli:
    def __init__(self) -> None:
        import brotli  # pyright: ignore[reportMissingTypeStubs] - comes with Gradio

        self._library: Any = brotli
        self._inflate: Any = self._library.Decompressor()

    def feed(self, data: bytes) -> Iterator[bytes]:
        try:
            # The limit may be exceeded by one of the library's blocks; the rest waits for the next call.
            while piece := self._inflate.process(data, output_buffer_limit=PIECE_BYTES // 2):
                for at in range(0, len(piece), PIECE_BYTES):
                    yield piece[at : at + PIECE_BYTES]
                data = b""
        except self._library.error:
            raise EncodingError(reason("compression_damaged")) from None

    def check_end(self) -> None:
        if not self._inflate.is_finished():
            raise EncodingError(reason("compression_cut_short"))


_Decoder: TypeAlias = _Plain | _Zlib | _Brotli
