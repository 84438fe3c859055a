"""Pages that poll as watch.js does: one persistent connection each, at the interval that each response gives.

python -m tests.benchmarks.watchers URL COUNT
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from urllib.parse import urlsplit

from tests.benchmarks.stored import token_of


async def watch(host: str, port: int, token: str) -> None:
    """Poll for ever."""
    reader, writer = await asyncio.open_connection(host, port)
    question = (
        f"GET /gradio_api/hunyuan/jobs HTTP/1.1\r\nHost: {host}:{port}\r\nx-hunyuan-visitor: {token}\r\n"
        "Accept-Language: en-US,en;q=0.9\r\nAccept-Encoding: gzip, deflate, br\r\n"
        "Sec-Fetch-Site: same-origin\r\n\r\n"
    ).encode()
    while True:
        writer.write(question)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        answer = json.loads(await reader.readexactly(length))
        if not answer["jobs"]:
            raise RuntimeError("a watched job is not there")
        await asyncio.sleep(answer["next_poll_s"])


async def main(url: str, count: int) -> None:
    """Open all pages within two seconds."""
    parts = urlsplit(url)
    print(url, flush=True)

    async def begin(number: int) -> None:
        await asyncio.sleep(2 * random.random())
        await watch(parts.hostname or "", parts.port or 80, token_of(number))

    await asyncio.gather(*map(begin, range(count)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
