from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hunyuan_ui.errors import HunyuanUIError, RateLimitError
from hunyuan_ui.job import Job, JobProblem, JobStatus, Visitor, is_id, new_id
from hunyuan_ui.request import VideoRequest

JOB = Job(
    id="a" * 32,
    visitor=Visitor.from_token("b" * 32).id,
    status=JobStatus.QUEUED,
    request=VideoRequest.parse({"prompt": "a fox"}),
    dialect="v2",
    payer="owner",
    created_at=0,
    updated_at=0,
    reserved_microusd=2_000_000,
    predicted_s=211,
)


def job(**changes: Any) -> Job:
    return dataclasses.replace(JOB, **changes)


@pytest.mark.parametrize("status", JobStatus)
@pytest.mark.parametrize("payer", ["owner", "visitor", "nobody"])
@pytest.mark.parametrize("cost", [None, 0, 1_460_000, 9_000_000])
def test_money_counts_as_the_design_says(status: JobStatus, payer: Any, cost: int | None) -> None:
    counted = job(status=status, payer=payer, cost_microusd=cost).counted_microusd
    if payer != "owner" or status.value in ("failed", "cancelled"):
        assert counted == 0
    elif status.value in ("queued", "submitting", "running"):
        assert counted == max(2_000_000, cost or 0), "what is named before the end may not be all of it"
    elif cost is None:
        assert counted == 2_000_000
    else:
        assert counted == cost


@pytest.mark.parametrize("status", JobStatus)
def test_the_runner_cares_for_active_jobs_only(status: JobStatus) -> None:
    assert job(status=status).is_active == (status.value in ("queued", "submitting", "running", "downloading"))


@pytest.mark.parametrize("status", JobStatus)
def test_a_cost_may_be_put_right_once_a_job_was_sent_and_has_ended(status: JobStatus) -> None:
    has_ended = status.value in ("done", "lost", "unknown", "failed")
    assert job(status=status, sent_at=1.0).has_correctable_cost == has_ended
    assert not job(status=status).has_correctable_cost


@pytest.mark.parametrize(("payer", "code"), [("nobody", "preview_gone"), ("owner", "interrupted")])
def test_an_interrupted_preview_is_gone_and_a_paid_job_may_be_charged(payer: Any, code: str) -> None:
    assert job(payer=payer).if_interrupted.code == code


def test_a_visitor_sees_own_jobs_only_and_the_owner_sees_all() -> None:
    assert Visitor.from_token("b" * 32).may_see(JOB)
    assert not Visitor.from_token("c" * 32).may_see(JOB)
    assert Visitor.from_token("c" * 32, is_owner=True).may_see(JOB)


def test_a_visitor_is_not_known_by_the_token_itself() -> None:
    token = new_id()
    visitor = Visitor.from_token(token)
    assert token not in repr(visitor)
    assert is_id(visitor.id)
    assert visitor == Visitor.from_token(token)


def test_ids_are_128_random_bits() -> None:
    drawn = {new_id() for _ in range(100)}
    assert len(drawn) == 100
    assert all(is_id(text) for text in drawn)


@pytest.mark.parametrize(
    "text", ["", "a" * 31, "a" * 33, "A" * 32, "g" * 32, "a" * 32 + "\n", "../" + "a" * 29, None, 5, b"a" * 32]
)
def test_what_is_not_32_hex_digits_is_no_id(text: object) -> None:
    assert not is_id(text)


@given(st.text("0123456789abcdef", min_size=30, max_size=34), st.sampled_from(["A", "g", "\n", "é", "٣", "-"]))
def test_no_text_but_hex_is_an_id(digits: str, other: str) -> None:
    assert is_id(digits) == (len(digits) == 32)
    assert not is_id(digits[:31].rjust(31, "0") + other)


def test_a_problem_keeps_code_and_facts_of_its_error() -> None:
    problem = JobProblem.of(RateLimitError(30))
    assert (problem.code, problem.facts) == ("rate_limited", {"seconds": 30})


@pytest.mark.parametrize(
    "problem",
    [
        JobProblem.of(HunyuanUIError("job_failed", detail=ValueError("no"))),
        JobProblem.from_code("job_failed", detail=ValueError("no")),
    ],
)
def test_a_problem_can_be_stored_whatever_its_facts_are(problem: JobProblem) -> None:
    assert json.loads(json.dumps(problem.facts)) == {"detail": "no"}
