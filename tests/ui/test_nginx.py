"""A real nginx in front of the page: detected where possible, and a public page works behind it below a prefix."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from hunyuan_ui.job import new_id
from hunyuan_ui.local_endpoint.app import create_app
from hunyuan_ui.local_endpoint.serving import serve
from hunyuan_ui.prompt_list import MOST_BYTES
from tests.app_process import ROOT, RunningApp, running_app
from tests.nginx import needs_nginx, needs_openssl, nginx, trusting

NAME = "videos.example"

pytestmark = needs_nginx


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    with running_app(tmp_path_factory.mktemp("private")) as app:
        yield app


PLAIN = "location / {{ proxy_pass http://127.0.0.1:{port}; }}"
NEWER = "location / {{ proxy_http_version 1.1; proxy_set_header Connection ''; proxy_pass http://127.0.0.1:{port}; }}"
TOLD = (
    "location / {{ proxy_http_version 1.1; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; "
    "proxy_pass http://127.0.0.1:{port}; }}"
)
NAMED = "location / {{ proxy_http_version 1.1; proxy_set_header Host $host; proxy_pass http://127.0.0.1:{port}; }}"


def estimate(url: str, **headers: str) -> httpx.Response:
    return httpx.post(f"{url}/gradio_api/call/v2/estimate", json={"prompt": "x"}, headers={"host": NAME, **headers})


@pytest.mark.parametrize("location", [PLAIN, TOLD, NAMED], ids=["plain", "forwarded", "host"])
def test_a_private_page_answers_nobody_through_nginx(private: RunningApp, tmp_path: Path, location: str) -> None:
    with nginx(tmp_path / "nginx", location.format(port=private.port)) as url:
        for path in ("/", "/config", "/gradio_api/info", "/gradio_api/hunyuan/videos?everybody=1"):
            answer = httpx.get(url + path, headers={"host": NAME, "accept": "text/html"})
            assert answer.status_code in (403, 421), path
            assert "HUNYUAN_UI_DAILY_LIMIT_USD" in answer.text
            assert answer.headers["x-frame-options"] == "DENY"
        refused = estimate(url)
        assert refused.status_code in (403, 421)
        assert "nginx" in refused.json()["error"]
        assert "event_id" not in refused.text


def test_an_nginx_that_hides_itself_lets_no_browser_spend(private: RunningApp, tmp_path: Path) -> None:
    """HTTP/1.1, its own Host and no proxy header: only a browser's own headers reveal it (SECURITY.md)."""
    with nginx(tmp_path / "nginx", NEWER.format(port=private.port)) as url:
        assert estimate(url).status_code == 200
        for headers in ({"origin": f"http://{NAME}"}, {"origin": f"https://{NAME}", "sec-fetch-site": "same-origin"}):
            assert estimate(url, **headers).status_code == 403


def test_the_private_page_itself_still_answers(private: RunningApp) -> None:
    assert estimate(private.url.rstrip("/"), host=f"127.0.0.1:{private.port}").status_code == 200


# public, below a prefix

HEADERS = "proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto http;"
STRIPS = f"location /app/ {{{{ {HEADERS} proxy_pass http://127.0.0.1:{{port}}/; }}}}"
KEEPS = f"location /app/ {{{{ {HEADERS} proxy_pass http://127.0.0.1:{{port}}; }}}}"


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    settings: dict[str, Any] = {"GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_ROOT_PATH": "/app"}
    with running_app(tmp_path_factory.mktemp("public"), **settings) as app:
        yield app


@pytest.mark.slow
@pytest.mark.parametrize("location", [STRIPS, KEEPS], ids=["strips", "keeps"])
def test_a_public_page_works_behind_nginx_below_a_prefix(public: RunningApp, tmp_path: Path, location: str) -> None:
    with nginx(tmp_path / "nginx", location.format(port=public.port)) as address:
        url, own = f"{address}/app", {"origin": address, "sec-fetch-site": "same-origin"}
        page = httpx.get(f"{url}/")
        assert page.status_code == 200
        assert json.dumps(url) in page.text  # the root that its scripts use
        begun = httpx.post(f"{url}/gradio_api/call/v2/estimate", json={"prompt": "x"}, headers=own)
        told = httpx.get(f"{url}/gradio_api/call/estimate/{begun.json()['event_id']}", headers=own, timeout=60)
        assert "event: complete" in told.text
        config = httpx.get(f"{url}/config").json()
        at = {one["api_name"]: one["id"] for one in config["dependencies"]}
        call = {"data": ["x"], "fn_index": at["attach"], "session_hash": "abc"}
        assert httpx.post(f"{url}/gradio_api/run/predict", json=call, headers=own).status_code == 200
        evil = {"origin": "http://evil.example", "sec-fetch-site": "cross-site"}
        assert httpx.post(f"{url}/gradio_api/run/predict", json=call, headers=evil).status_code == 403
        for path in (
            "gradio_api/upload",
            "monitoring/summary",
            "gradio_api/deep_link?session_hash=a",
            "gradio_api/file=https://example.com/x",
            "gradio_api/proxy=https://x.hf.space/x",
            "gradio_api/runs",
        ):
            for root in (url, f"{address}/app/app", f"{address}/app//", f"{address}/app/%2e/", f"{address}/app/x/.."):
                for method in ("GET", "POST"):
                    assert httpx.request(method, f"{root}/{path}").status_code == 404, (method, root, path)


# public, at a name of its own

OWN = "proxy_http_version 1.1; proxy_set_header Host $http_host;"
HTTPS = "proxy_set_header X-Forwarded-Proto $scheme;"
JOB_S = 5.0
READ_TIMEOUT = "proxy_read_timeout 2s;"
FORM = {"width": 64, "height": 64, "video_length": 5, "infer_steps": 2, "flow_shift": 7, "embedded_guidance_scale": 6}


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """A public app before a service that needs some seconds for a video."""
    service = serve(create_app(seconds=JOB_S, credits=1000.0), "127.0.0.1", 0)
    folder = tmp_path_factory.mktemp("named")
    with running_app(folder, GRADIO_SERVER_NAME="0.0.0.0", SEGMIND_BASE_URL=service.url) as app:
        yield app
    service.close()


@needs_openssl
@pytest.mark.parametrize("told", ["", HTTPS], ids=["scheme untold", "scheme told"])
def test_a_public_page_has_its_own_name_behind_a_certificate(named: RunningApp, tmp_path: Path, told: str) -> None:
    location = f"location / {{ {OWN} {told} proxy_pass http://127.0.0.1:{named.port}; }}"
    folder = tmp_path / "nginx"
    with (
        nginx(folder, location, has_tls=True) as address,
        httpx.Client(base_url=address, verify=trusting(folder), headers={"host": NAME}) as client,
    ):
        page = client.get("/", headers={"accept": "text/html"})
        root = re.search(r'"root":"(https?)://([^"]*)"', page.text)
        assert root is not None
        assert root[2] == NAME
        assert root[1] == ("https" if told else "http")  # the page's scripts use its own scheme all the same
        at = {one["api_name"]: one["id"] for one in client.get("/config").json()["dependencies"]}
        call = {"data": ["x"], "fn_index": at["attach"], "session_hash": "abc"}
        for origin, site, status in (
            (f"https://{NAME}", "same-origin", 200),
            ("https://evil.example", "cross-site", 403),
            (f"https://evil.{NAME}", "same-site", 403),
        ):
            headers = {"origin": origin, "sec-fetch-site": site}
            assert client.post("/gradio_api/run/predict", json=call, headers=headers).status_code == status, origin


def test_a_page_whose_scheme_is_told_is_known_by_older_browsers_as_well(named: RunningApp, tmp_path: Path) -> None:
    """Without Sec-Fetch-Site only Host and X-Forwarded-Proto define the page's own origin."""
    for told, status in (("proxy_set_header X-Forwarded-Proto https;", 200), ("", 403)):
        location = f"location / {{ {OWN} {told} proxy_pass http://127.0.0.1:{named.port}; }}"
        with nginx(tmp_path / f"nginx{status}", location) as address:
            headers = {"host": NAME, "origin": f"https://{NAME}"}
            asked = httpx.post(f"{address}/gradio_api/hunyuan/prompt", json={"prompt": "x"}, headers=headers)
            assert asked.status_code == status


@pytest.mark.slow
def test_a_prefix_without_its_last_slash_leads_to_the_page(public: RunningApp, tmp_path: Path) -> None:
    for number, location in enumerate((STRIPS, KEEPS, KEEPS.replace("/app/", "/app"))):
        with nginx(tmp_path / f"nginx{number}", location.format(port=public.port)) as address:
            page = httpx.get(f"{address}/app", follow_redirects=True, headers={"accept": "text/html"})
            assert (page.status_code, str(page.url)) == (200, f"{address}/app/")


@pytest.mark.slow
def test_a_root_path_with_a_slash_at_its_end_is_the_same_root(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_ROOT_PATH": "/app/"}
    with running_app(tmp_path, **settings) as app:
        for number, location in enumerate((STRIPS, KEEPS)):
            with nginx(tmp_path / f"nginx{number}", location.format(port=app.port)) as address:
                assert httpx.get(f"{address}/app/").status_code == 200
                assert httpx.get(f"{address}/app/config").json()["root"] == f"{address}/app"
                assert httpx.get(f"{address}/app/gradio_api/healthz").status_code == 200


def test_the_lines_of_the_readme_are_all_that_a_prefix_needs(public: RunningApp, tmp_path: Path) -> None:
    (lines,) = re.findall(r"^```nginx\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert "127.0.0.1:7860" in lines
    with nginx(tmp_path / "nginx", lines.replace("7860", str(public.port))) as address:
        assert httpx.get(f"{address}/app", follow_redirects=True).status_code == 200
        assert httpx.get(f"{address}/app/config").json()["root"] == f"{address}/app"
        assert "event: complete" in called(f"{address}/app", "estimate", {"prompt": "x"})


@pytest.mark.slow
def test_behind_the_lines_of_the_readme_nobody_chooses_the_address_by_which_guesses_are_counted(tmp_path: Path) -> None:
    (lines,) = re.findall(r"^```nginx\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    settings: dict[str, Any] = {"GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_ROOT_PATH": "/app"}
    settings |= {"SEGMIND_API_KEY": "SG_0011223344556677", "HUNYUAN_UI_ACCESS_CODE": "hedgehogs"}
    settings |= {"HUNYUAN_UI_DAILY_LIMIT_USD": "5"}
    with (
        running_app(tmp_path, **settings) as app,
        nginx(tmp_path / "nginx", lines.replace("7860", str(app.port))) as address,
    ):

        def guess(number: int) -> str:
            lie = {"x-forwarded-for": f"203.0.113.{number}", "x-access-code": "wrong", "x-hunyuan-visitor": new_id()}
            return called(f"{address}/app", "submit", {"prompt": "x"}, lie)

        with ThreadPoolExecutor(14) as strangers:
            told = list(strangers.map(guess, range(14)))
    assert sum("That is not the access code" in one for one in told) <= 11
    assert sum("Too many codes were tried" in one for one in told) >= 3


# limits of size and time


@pytest.mark.slow
def test_the_longest_list_passes_a_proxy_that_lets_three_mebibytes_pass(named: RunningApp, tmp_path: Path) -> None:
    form = {**FORM, "negative_prompt": "", "seed": -1}
    # Every second character is escaped to two.
    wish = {"prompts": '"x' * (MOST_BYTES // 2), "name": "long", "form": form, "payer": "nobody"}
    for limit, status in (("", 413), ("client_max_body_size 3m;", 200)):
        location = f"{limit} location / {{ {OWN} proxy_pass http://127.0.0.1:{named.port}; }}"
        with nginx(tmp_path / f"nginx{status}", location) as address:
            url, headers = f"{address}/gradio_api/hunyuan/lists/check", {"x-hunyuan-visitor": new_id()}
            answer = httpx.post(url, json=wish, headers=headers, timeout=60)
            assert answer.status_code == status
            assert status != 200 or answer.json()["rows"] == 0  # it is one prompt, and too long


@pytest.mark.slow
@pytest.mark.parametrize("heartbeat_s", [0.5, 60])
def test_a_proxy_that_ends_what_is_silent_ends_no_job(tmp_path: Path, heartbeat_s: float) -> None:
    service = serve(create_app(seconds=JOB_S, credits=1000.0), "127.0.0.1", 0)
    settings: dict[str, Any] = {"GRADIO_SERVER_NAME": "0.0.0.0", "SEGMIND_BASE_URL": service.url}
    with running_app(tmp_path, **settings, GRADIO_HEARTBEAT_INTERVAL=str(heartbeat_s)) as app:
        location = f"location / {{ {OWN} {READ_TIMEOUT} proxy_pass http://127.0.0.1:{app.port}; }}"
        with nginx(tmp_path / "nginx", location) as address:
            said = called(address, "generate", {"prompt": "a fox", **FORM, "job_id": JOB})
            if heartbeat_s < 2:
                assert "event: complete" in said
            else:
                assert "event: complete" not in said
            give_up_at = time.monotonic() + 60
            while '"status": "done"' not in (told := called(address, "status", {"job_id": JOB, "wait_s": 1})):
                assert time.monotonic() < give_up_at, told
            assert len(app.events("job.running")) == 1
    service.close()


JOB = f"{'ab' * 16}.{'cd' * 16}"


def called(address: str, function: str, values: dict[str, Any], headers: dict[str, str] | None = None) -> str:
    """Call a function as the README's curl does, and return the outcome from its stream."""
    headers, api = headers or {"x-api-key": "SG_fedcba9876543210"}, f"{address}/gradio_api/call"
    begun = httpx.post(f"{api}/v2/{function}", json=values, headers=headers, timeout=60)
    said = ""
    try:
        with httpx.stream("GET", f"{api}/{function}/{begun.json()['event_id']}", headers=headers, timeout=60) as stream:
            for piece in stream.iter_text():
                said += piece
    except httpx.RemoteProtocolError:
        pass  # the proxy has closed it
    return said
