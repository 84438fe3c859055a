"""Prompt lists of which rows were previewed: a preview stands for no paid video."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from hunyuan_ui.job import JobStatus
from hunyuan_ui.jobs import Order
from hunyuan_ui.prompt_list import job_id, read_list
from tests.fake_service import FakeService
from tests.jobs.test_batch import ALICE, billed, ended, lines, running, sent
from tests.jobs.test_batch import impatient as impatient
from tests.jobs.test_batch import service as service
from tests.stored_jobs import job

pytestmark = pytest.mark.anyio


async def test_a_row_that_was_only_previewed_is_made_once_somebody_pays(tmp_path: Path, service: FakeService) -> None:
    async with running(tmp_path, service) as runner:
        prompts = read_list(lines(3), "campaign")
        list_id, ledger = runner.batches.id_of("campaign", ALICE), runner._services.ledger
        for row, status in zip(prompts.rows, (JobStatus.DONE, JobStatus.FAILED), strict=False):
            previewed = job(id=job_id(list_id, row), status=status, visitor=ALICE.id, payer="nobody", cost_microusd=0)
            assert ledger.adopt(previewed)
        assert list((await runner.batches.plan(prompts, Order(ALICE))).prices) == [1, 2, 3]
        assert (await ended(runner, await sent(runner, lines(3)))).done == 3
        view = await ended(runner, await sent(runner, lines(3)))  # pays for none again
        assert [entry.job is not None and entry.job.payer for entry in view.entries] == ["owner"] * 3
    assert billed(service) == Counter(lines(3).split("\n"))


async def test_a_preview_of_a_list_that_was_paid_or_previewed_makes_none_again(
    tmp_path: Path, service: FakeService
) -> None:
    async with running(tmp_path, service) as runner:
        await ended(runner, await sent(runner, lines(2)))
    async with running(tmp_path, service, api_key=None) as runner:
        prompts = read_list(lines(3), "campaign")
        list_id = runner.batches.id_of("campaign", ALICE)
        last = job(id=job_id(list_id, prompts.rows[2]), status=JobStatus.DONE, visitor=ALICE.id, payer="nobody")
        assert runner._services.ledger.adopt(last)
        plan = await runner.batches.plan(prompts, Order(ALICE))
        assert (plan.payer, dict(plan.prices)) == ("nobody", {})
        assert [entry.job is not None and entry.job.payer for entry in plan.entries] == ["owner", "owner", "nobody"]


async def test_a_preview_that_was_deleted_is_not_made(tmp_path: Path, service: FakeService) -> None:
    async with running(tmp_path, service) as runner:
        prompts = read_list(lines(1), "campaign")
        list_id, ledger = runner.batches.id_of("campaign", ALICE), runner._services.ledger
        previewed = job(id=job_id(list_id, prompts.rows[0]), status=JobStatus.DONE, visitor=ALICE.id, payer="nobody")
        assert ledger.adopt(previewed)
        assert ledger.hide(previewed.id)
        assert dict((await runner.batches.plan(prompts, Order(ALICE))).prices) == {}
