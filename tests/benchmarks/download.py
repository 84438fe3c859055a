"""Download of the largest allowed result, compared with curl; both write to a memory file system if there is one."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from statistics import median

from hunyuan_ui.endpoint.download import SaveLimits
from tests.benchmarks.clip import clip_bytes, clip_in
from tests.benchmarks.processes import answer_of, child
from tests.benchmarks.table import Row, alternate, bound, rate

MEMORY = Path("/dev/shm")  # excludes the disk's own speed, which affects both alike
SIZE = SaveLimits().max_bytes


def measure(is_short: bool) -> list[Row]:
    """Download it alternately, each time in a new process."""
    growths: list[float] = []
    stalls: list[float] = []
    place = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="bench-", dir=place) as name:
        folder = Path(name)
        clip_in(folder).write_bytes(clip_bytes())
        big = folder / "big.mp4"
        _write_big(big)
        with child("service", str(clip_in(folder)), str(big)) as url:

            def ours() -> float:
                seen = answer_of("download_once", f"{url}/big.mp4", str(folder / "got.mp4"))
                growths.append(seen["growth_bytes"])
                stalls.append(seen["stall_s"])
                return seen["seconds"]

            here, there = alternate(3 if is_short else 9, ours, lambda: _curl(f"{url}/big.mp4", folder / "got.mp4"))
    size = SIZE / 1e6
    return [
        rate("download of 256 MiB", size / here, size / there, "MB/s", at_least=0.2),
        bound("memory it takes", median(growths) / 2**20, "MiB", at_most=16),
        bound("longest stop of the event loop", 1000 * median(stalls), "ms", at_most=100),
    ]


def _write_big(path: Path) -> None:
    """Write a complete MP4 of that size: the clip, followed by a box that players skip."""
    clip = clip_bytes()
    rest = SIZE - len(clip)
    with path.open("wb") as file:
        file.write(clip)
        file.write(rest.to_bytes(4, "big") + b"free")
        file.truncate(SIZE)


def _curl(url: str, path: Path) -> float:
    path.unlink(missing_ok=True)
    command = ["curl", "-sf", "-o", str(path), "-w", "%{time_total}", url]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
