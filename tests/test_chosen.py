"""`-k` imports the matching test files, and few others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.chosen import ROOT, may_hold

HERE = Path(__file__)
LEDGER = ROOT / "tests/ledger/test_ledger.py"
FAULTS = ROOT / "tests/faults/test_fault_table.py"


@pytest.mark.parametrize(
    ("path", "expression", "may"),
    [
        (HERE, "", True),
        (HERE, "test_chosen", True),
        (HERE, "what_is_named_is_run", True),
        (HERE, "WHAT_IS_NAMED", True),
        (LEDGER, "what_is_named_is_run", False),
        (LEDGER, "ledger and not postgres", True),
        (LEDGER, "(nothing_like_it)", True),
        (LEDGER, "nothing_like_it or ledger", True),
        (LEDGER, "nothing_like_it and ledger", False),
        (LEDGER, "postgres", True),  # a value of a fixture in a conftest
        (LEDGER, "notable_like_nothing", False),
        (FAULTS, "no_such_sweep", False),
        (ROOT / "tests/ledger", "nothing_like_it", True),  # a folder is looked into
    ],
)
def test_a_file_may_hold_what_is_named_in_it_or_in_what_it_imports(path: Path, expression: str, may: bool) -> None:
    assert may_hold(path, expression) is may


def test_what_is_named_is_run() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "--co", "-p", "no:cacheprovider", "-k", "may_hold_what_is_named"]
    told = subprocess.run([*command, str(HERE)], capture_output=True, text=True, cwd=ROOT, check=False)
    assert "13/14 tests collected" in told.stdout, told.stdout
