"""Run the benchmarks: python -m tests.benchmarks [--short] [--only NAME ...] [--peers]."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks import (
    api,
    click,
    download,
    fleet,
    in_flight,
    ledger,
    library,
    lists,
    media,
    page,
    peers,
    preview,
    start,
    watching,
)
from tests.benchmarks.processes import clean_environment
from tests.benchmarks.table import Row, as_markdown

RESULTS = Path(__file__).parents[2] / "test-artifacts" / "bench.json"

Measure = Callable[[bool], list[Row]]
GROUPS: dict[str, Measure] = {
    "start": start.measure,
    "page": page.measure,
    "click": click.measure,
    "api": api.measure,
    "in_flight": in_flight.measure,
    "fleet": fleet.measure,
    "watching": watching.measure,
    "download": download.measure,
    "ledger": ledger.measure,
    "restart": start.measure_restart,
    "library": library.measure,
    "lists": lists.measure,
    "preview": preview.measure,
    "media": media.measure,
}
CROWDS = ("in_flight", "fleet", "watching")  # watched for as long as all others together take


def main() -> int:
    """Print the table, write the JSON, and return 1 if a row fails; the short form allows large deviations."""
    parser = argparse.ArgumentParser(prog="make bench", description="What Hunyuan UI costs beside the bare way.")
    parser.add_argument("--short", action="store_true", help="without crowds; fails only beyond twice a limit")
    parser.add_argument("--only", action="append", choices=GROUPS, help="one group; may be given again")
    parser.add_argument("--peers", action="store_true", help="what is paid, shown and lost, beside what people write")
    options = parser.parse_args()
    clean_environment()
    if options.peers:
        print(peers.as_markdown(peers.measure()))
        return 0
    rows: list[tuple[str, Row]] = []
    for name in options.only or (name for name in GROUPS if not (options.short and name in CROWDS)):
        began = time.monotonic()
        rows += [(name, row) for row in GROUPS[name](options.short)]
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    _write(rows, is_short=options.short)
    print(as_markdown([row for _, row in rows]))
    failed = [row for _, row in rows if (row.is_far_off if options.short else not row.is_ok)]
    for row in failed:
        print(f"{'far ' if options.short else ''}over its limit: {row.what}", file=sys.stderr)
    return 1 if failed else 0


def _write(rows: list[tuple[str, Row]], *, is_short: bool) -> None:
    machine = {"cores": os.cpu_count(), "memory_gib": _memory_gib(), "python": platform.python_version()}
    found = [{"group": name, **asdict(row), "is_ok": row.is_ok} for name, row in rows]
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"machine": machine, "is_short": is_short, "rows": found}, indent=1) + "\n", "utf-8")


def _memory_gib() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


if __name__ == "__main__":
    sys.exit(main())
