"""Download one file as a job does and print the cost: python -m tests.benchmarks.download_once URL PATH."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from hunyuan_ui import media
from hunyuan_ui.endpoint.download import fetch
from tests.benchmarks.processes import forget_peak, peak_bytes

_LOOK_S = 0.002


async def longest_stop() -> float:
    """Return the longest delay of a ready task on the event loop, until cancelled."""
    longest = 0.0
    try:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(_LOOK_S)
            longest = max(longest, time.perf_counter() - began - _LOOK_S)
    except asyncio.CancelledError:
        return longest


async def main(url: str, path: Path) -> dict[str, float]:
    """Download while measuring the loop's delays."""
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
    get = partial(fetch, own_origin=origin, check=media.check_mp4)
    await get(f"{origin}/clip.mp4", path)  # warm-up: excludes the first download's one-time costs
    pid = os.getpid()
    forget_peak(pid)
    before = peak_bytes(pid)
    watching = asyncio.create_task(longest_stop())
    await asyncio.sleep(0.05)
    began = time.perf_counter()
    await get(url, path)
    seconds = time.perf_counter() - began
    watching.cancel()
    return {"seconds": seconds, "growth_bytes": peak_bytes(pid) - before, "stall_s": await watching}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], Path(sys.argv[2])))))
