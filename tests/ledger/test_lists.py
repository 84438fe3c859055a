from __future__ import annotations

import re
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hunyuan_ui.estimate import Outcome
from hunyuan_ui.job import InList, JobStatus
from hunyuan_ui.ledger import Ledger, open_ledger
from hunyuan_ui.ledger.search_text import folded
from hunyuan_ui.request import VideoRequest
from tests.stored_jobs import ALICE, BOB, Clock, added, anything_goes, finished, in_status, job, opened_ledger

pytestmark = pytest.mark.usefixtures("database")  # every test on SQLite and on PostgreSQL

QUEUED, SUBMITTING, RUNNING, DOWNLOADING = (
    JobStatus.QUEUED,
    JobStatus.SUBMITTING,
    JobStatus.RUNNING,
    JobStatus.DOWNLOADING,
)
_WORDS = st.sampled_from(["fox", "Fox", "FOXES", "fo", "ΣΑΣ", "σας", "σα", "É", "é", "ΑΣ", "Σ", "a_b", "a%b", "-"])
DONE, UNKNOWN, LOST = JobStatus.DONE, JobStatus.UNKNOWN, JobStatus.LOST


def test_jobs_come_newest_first_and_only_those_asked_for(ledger: Ledger, clock: Clock) -> None:
    first = in_status(ledger, DONE, created_at=clock.at - 3)
    second = in_status(ledger, LOST, created_at=clock.at - 2)
    third = in_status(ledger, DONE, created_at=clock.at - 1, visitor=BOB)
    assert [found.id for found in ledger.jobs(None)] == [third.id, second.id, first.id]
    assert [found.id for found in ledger.jobs(ALICE)] == [second.id, first.id]
    assert [found.id for found in ledger.jobs(None, statuses=frozenset({DONE}))] == [third.id, first.id]
    assert ledger.jobs(None, statuses=frozenset()) == []


def test_pages_show_every_job_once_even_when_all_have_the_same_time(ledger: Ledger) -> None:
    stored = {added(ledger).id for _ in range(23)}
    seen: list[str] = []
    before: tuple[float, str] | None = None
    while page := ledger.jobs(ALICE, before=before, limit=5):
        seen += [found.id for found in page]
        before = (page[-1].created_at, page[-1].id)
    assert len(seen) == 23
    assert set(seen) == stored


def test_active_jobs_come_in_the_order_of_their_clicks(ledger: Ledger) -> None:
    clicked = [added(ledger).id for _ in range(10)]
    in_status(ledger, DONE)
    in_status(ledger, UNKNOWN)
    assert [found.id for found in ledger.active()] == clicked


@pytest.mark.parametrize(
    ("search", "hits"),
    [
        ("fox", {"a red fox", "A FOX_1", "100% fox"}),
        ("a fox", {"A FOX_1", "a red fox"}),
        ("fox a", {"A FOX_1", "a red fox"}),
        ("%", {"100% fox"}),
        ("_", {"A FOX_1"}),
        ("\\", {"back\\slash"}),
        ("!", set[str]()),
        ("!%", set[str]()),
        ("x!", set[str]()),
        ("%f_x", set[str]()),
        ("café", {"café"}),
        ("cafe\u0301", {"café"}),
        ("'; --", set[str]()),
        ("\ud800\0", {"a red fox", "A FOX_1", "100% fox", "back\\slash", "café"}),
        ("  ", {"a red fox", "A FOX_1", "100% fox", "back\\slash", "café"}),
        ("%" * 100_000, set[str]()),
        ("x" * 100_000, set[str]()),
    ],
    ids=lambda value: repr(value)[:20] if isinstance(value, str) else str(len(value)),
)
def test_search_takes_every_character_as_itself(ledger: Ledger, search: str, hits: set[str]) -> None:
    for prompt in ("a red fox", "A FOX_1", "100% fox", "back\\slash", "café"):
        added(ledger, prompt)
    assert {found.request.prompt for found in ledger.jobs(ALICE, search=search)} == hits


@pytest.mark.parametrize(
    ("prompt", "search"),
    [
        ("Café à la crème", "CAFE creme"),
        ("cafe", "CAFÉ"),
        ("ÉCOLE", "école"),
        ("НОЧНАЯ МОСКВА, ёлки", "москва Елки"),
        ("ΑΘΗΝΑ", "αθήνα"),
        ("Straße", "STRASSE"),
        ("STRASSE", "straße"),
        ("Ｔｏｋｙｏ １００％", "tokyo 100%"),
        ("ﾄﾞﾗﾏ", "ドラマ"),
        ("İstanbul", "istanbul"),
        ("ﬁreﬂy", "firefly"),
        ("Đà Nẵng", "đa nang"),
    ],
)
def test_a_search_minds_neither_case_nor_accents_nor_width(ledger: Ledger, prompt: str, search: str) -> None:
    added(ledger, prompt)
    added(ledger, "a red fox")
    assert [found.request.prompt for found in ledger.jobs(ALICE, search=search)] == [prompt]


@pytest.mark.parametrize(("prompt", "search"), [("が", "か"), ("각", "가"), ("हिन्दी", "हन्दी"), ("猫", "犬")])
def test_a_search_keeps_marks_that_make_another_letter(ledger: Ledger, prompt: str, search: str) -> None:
    added(ledger, prompt)
    assert not ledger.jobs(ALICE, search=search)
    assert ledger.jobs(ALICE, search=prompt)


@pytest.mark.parametrize("search", ["hill fox", "fox hill", "HILL the a", "hill hill", "ill ox", "hillfox", "fox hole"])
def test_a_search_finds_prompts_that_hold_all_its_words_in_any_order(ledger: Ledger, search: str) -> None:
    added(ledger, "A fox on the hill")
    added(ledger, "A fox on the heath")
    found = [found.request.prompt for found in ledger.jobs(ALICE, search=search)]
    assert found == ([] if search in ("hillfox", "fox hole") else ["A fox on the hill"])


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(_WORDS, min_size=1, max_size=4), max_size=20), st.lists(_WORDS, min_size=1, max_size=3))
def test_a_search_finds_what_holds_each_of_its_words(prompts: list[list[str]], search: list[str]) -> None:
    patterns = [re.compile(re.escape(folded(word))) for word in search]
    with tempfile.TemporaryDirectory() as folder, closing(opened_ledger(Path(folder))) as ledger:
        stored = [added(ledger, " ".join(words)) for words in prompts]
        hits = [made.id for made in stored if all(pattern.search(folded(made.request.prompt)) for pattern in patterns)]
        assert sorted(made.id for made in ledger.jobs(ALICE, search=" ".join(search))) == sorted(hits)


def test_a_search_as_long_as_may_be_is_answered(ledger: Ledger) -> None:
    added(ledger, "a b")
    assert len(ledger.jobs(ALICE, search="a b " * 10_000)) == 1


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_deleted_job_is_in_no_list_and_its_words_are_gone_but_its_money_counts(
    tmp_path: Path, ledger: Ledger
) -> None:
    words = {"prompt": "a secret fox", "negative_prompt": "a secret crow"}
    gone = finished(ledger, request=VideoRequest.parse(words))
    before = ledger.totals(ALICE)
    ledger.hide(gone.id)
    assert ledger.get(gone.id) is None
    assert ledger.jobs(None) == []
    assert ledger.ids() == {gone.id}
    assert ledger.totals(ALICE) == before
    with closing(open_ledger(tmp_path, can_write=False).database) as opened:
        row = opened.connection.execute("SELECT * FROM jobs").fetchone()
    assert "secret" not in " ".join(map(str, tuple(row)))


@pytest.mark.parametrize("status", [QUEUED, SUBMITTING, RUNNING, DOWNLOADING])
def test_a_job_under_way_cannot_be_deleted(ledger: Ledger, status: JobStatus) -> None:
    under_way = in_status(ledger, status)
    ledger.hide(under_way.id)
    assert ledger.get(under_way.id) is not None


def test_a_deleted_unknown_job_still_asks_its_owner(ledger: Ledger) -> None:
    stored = in_status(ledger, UNKNOWN)
    ledger.hide(stored.id)
    assert [found.id for found in ledger.unknown()] == [stored.id]


def test_outcomes_are_the_newest_finished_jobs_of_the_same_service(ledger: Ledger, clock: Clock) -> None:
    for age in range(30):
        in_status(ledger, DONE, ended_at=clock.at - age, inference_s=100.0 + age, cost_microusd=700_000)
    in_status(ledger, DONE, ended_at=clock.at, inference_s=6.0, payer="nobody")
    in_status(ledger, DONE, ended_at=clock.at + 1, inference_s=None)
    in_status(ledger, LOST, ended_at=clock.at, inference_s=5.0)
    in_status(ledger, DONE, ended_at=clock.at - 0.5, inference_s=50.0, payer="visitor")
    outcomes = ledger.outcomes("owner")
    assert len(outcomes) == 20
    assert outcomes[:3] == [Outcome(200, 100.0, 0.7), Outcome(200, 50.0, None), Outcome(200, 101.0, 0.7)]
    assert ledger.outcomes("nobody") == [Outcome(200, 6.0, None)]


@pytest.mark.parametrize("wait", [None, 30.0])
@pytest.mark.parametrize("budget_usd", [0.5, 50.0])
def test_a_row_that_comes_back_from_being_sent_has_the_budget_that_was_set_meanwhile(
    ledger: Ledger, budget_usd: float, wait: float | None
) -> None:
    row = job(notes={"estimate_usd": 1.46})
    InList("ab" * 16, 10.0, 1, 2).note(row)
    ledger.add(row, anything_goes, "ab" * 16)
    ledger.claim(row.id, key="of this one")
    ledger.join_list("ab" * 16, [], budget_usd)
    back = ledger.requeue(row.id, wait, None, {"attempts": 1})
    assert back.list_budget_usd == budget_usd
    assert back == ledger.get(row.id)
    assert (back.notes["attempts"], back.notes["key"], back.notes["estimate_usd"]) == (1, "of this one", 1.46)
