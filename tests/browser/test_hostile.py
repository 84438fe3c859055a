"""A hostile page in the same browser: by fetch, form, frame and WebSocket, under every name of this machine."""

from __future__ import annotations

import functools
import http.server
import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from hunyuan_ui.job import new_id
from tests.app_process import RunningApp, free_port, running_app
from tests.browser.conftest import FLAGS, find_browser
from tests.browser.paid_endpoint import PaidEndpoint, paid_endpoint
from tests.browser.steps import generate_short
from tests.test_readme_examples import at, block

pytestmark = pytest.mark.slow

PROMPT = "A hostile fox"
MAPPED = "[::ffff:127.0.0.1]"
NAMES = ["127.0.0.1", "localhost", "[::1]", MAPPED]
SECOND = "127.0.0.2"
# Disables Chromium's own protection of this machine, which other browsers lack; the page's is tested here.
NO_GUARD = (
    "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests,PrivateNetworkAccessSendPreflights"
)
SMALL = {"prompt": PROMPT, "width": 64, "height": 64, "video_length": 5, "infer_steps": 2}

# Sends requests as a page can, and returns the results: status and text, or null if the browser blocked them.
ATTACK = """async ([base, calls]) => {
  const told = [];
  for (const [path, options] of calls) {
    try {
      const answer = await fetch(base + path, options);
      told.push([answer.type, answer.status, await answer.text()]);
    } catch { told.push(null); }
  }
  return told;
}"""


class Victim(NamedTuple):
    """A private page with one video in it."""

    app: RunningApp
    paid: PaidEndpoint
    token: str
    job: str
    code: str


@contextmanager
def served(html: str) -> Iterator[int]:
    """Serve one page under every name of this machine; yields its port."""

    class Evil(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *_: Any) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Evil)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def a_victim(folder: Path, server_name: str, host: str = "127.0.0.1", **more: Any) -> Iterator[Victim]:
    own: dict[str, Any] = {**more, "GRADIO_SERVER_NAME": server_name}
    with paid_endpoint(seconds=0.2) as paid, running_app(folder, host=host, **paid.settings, **own) as app:
        token = {"x-hunyuan-visitor": new_id()}
        api, sent = f"{app.url}gradio_api/", {**SMALL, "prompt": "mine"}
        begun = httpx.post(f"{api}call/v2/generate", json=sent, headers=token).json()
        told = httpx.get(f"{api}call/generate/{begun['event_id']}", timeout=60)
        assert "event: complete" in told.text
        (video,) = httpx.get(f"{api}hunyuan/videos", headers=token).json()["videos"]
        paid.posts.clear()
        yield Victim(app, paid, token["x-hunyuan-visitor"], video["id"], video["code"])


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """A private page at both addresses of this machine, as with a dual-stack localhost or a tunnel."""
    with a_victim(tmp_path_factory.mktemp("victim"), "localhost") as victim, ExitStack() as tunnels:
        if has_ipv6():
            tunnels.enter_context(tunnel(victim.app.port))
        yield victim


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """A private page at another address of this machine."""
    with a_victim(tmp_path_factory.mktemp("second"), SECOND, SECOND) as victim:
        yield victim


def attacks(victim: Victim) -> list[tuple[str, dict[str, Any]]]:
    """Return all requests that a page could want here, simple and with a preflight, readable and not."""
    token, own = {"x-hunyuan-visitor": victim.token}, f"videos/{victim.job}"
    sent = json.dumps(SMALL)
    events = httpx.get(f"{victim.app.url}config").json()["dependencies"]
    submit = next(event for event in events if event["api_name"] == "submit")
    values = [PROMPT, "", 64, 64, 5, 2, 7, 6, 1, *[None] * (len(submit["inputs"]) - 9)]
    join = json.dumps({"data": values, "fn_index": submit["id"], "session_hash": "abc"})
    tries: list[tuple[str, dict[str, Any]]] = []
    for mode in ("cors", "no-cors"):
        for kind in ("application/json", "text/plain"):
            for path, body in (("call/v2/submit", sent), ("call/v2/generate", sent), ("queue/join", join)):
                tries.append((path, {"method": "POST", "mode": mode, "headers": {"content-type": kind}, "body": body}))
        tries += [(f"hunyuan/{path}", {"mode": mode}) for path in ("jobs", "videos?everybody=1", own)]
        tries += [(path, {"mode": mode}) for path in ("info", "openapi.json", "app_id", "startup-events")]
        tries += [(f"hunyuan/{own}.mp4?k={victim.code}", {"mode": mode})]
    tries += [("hunyuan/videos?everybody=1", {"headers": token}), (f"hunyuan/{own}", {"headers": token})]
    tries += [(f"hunyuan/{own}", {"method": "DELETE", "headers": token})]
    tries += [(f"hunyuan/{own}", {"method": "DELETE", "headers": token, "credentials": "include"})]
    return tries


def is_unharmed(victim: Victim) -> None:
    """Check that nothing was spent, and that the video still exists."""
    headers = {"x-hunyuan-visitor": victim.token}
    listed = httpx.get(f"{victim.app.url}gradio_api/hunyuan/videos", headers=headers).json()["videos"]
    assert [video["id"] for video in listed] == [victim.job]
    assert not victim.paid.posts
    assert len(victim.app.events("job.queued")) == 1


def attack(page: Page, base: str, victim: Victim) -> list[Any]:
    told = page.evaluate(ATTACK, [base, attacks(victim)])
    readable = [answer for answer in told if answer is not None and answer[0] != "opaque"]
    assert readable == []
    return told


@pytest.mark.parametrize("name", [*NAMES, SECOND])
def test_a_page_of_another_port_gets_nothing(
    context: BrowserContext, request: pytest.FixtureRequest, name: str
) -> None:
    victim: Victim = request.getfixturevalue("second" if name == SECOND else "everywhere")
    own = f"http://{name}:{victim.app.port}/"
    if name == "[::1]" and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    page = context.new_page()
    page.goto(own)
    expect(page.locator("#generate")).to_be_visible()  # the name does resolve to this machine
    page.close()
    with served("<p>evil") as evil:
        for host in ("127.0.0.1", "localhost"):
            page = context.new_page()
            page.goto(f"http://{host}:{evil}/")
            attack(page, f"{own}gradio_api/", victim)
            page.close()
    is_unharmed(victim)


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as trial:
            trial.bind(("::1", 0))
    except OSError:
        return False
    return True


class _Tunnel(socketserver.ThreadingTCPServer):
    """Forwards a port of ::1 to the same port of 127.0.0.1, byte by byte, as an SSH tunnel does."""

    address_family = socket.AF_INET6
    daemon_threads = True
    block_on_close = False


class _Forward(socketserver.BaseRequestHandler):
    server: _Tunnel

    def handle(self) -> None:
        there = socket.create_connection(("127.0.0.1", self.server.socket.getsockname()[1]))
        back = threading.Thread(target=_pass_on, args=(there, self.request), daemon=True)
        back.start()
        _pass_on(self.request, there)
        back.join()
        there.close()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)


@contextmanager
def tunnel(port: int) -> Iterator[None]:
    server = _Tunnel(("::1", port, 0, 0), _Forward)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_same_calls_of_the_page_itself_succeed(context: BrowserContext, tmp_path: Path) -> None:
    """Otherwise the tests above would prove nothing."""
    with a_victim(tmp_path, "127.0.0.1") as victim:
        page = context.new_page()
        page.goto(victim.app.url)
        told = page.evaluate(ATTACK, [f"{victim.app.url}gradio_api/", attacks(victim)])
        assert sum(answer is not None and answer[1] == 200 for answer in told) > 12
        assert victim.paid.posts[PROMPT] > 0
        assert httpx.get(f"{victim.app.url}gradio_api/hunyuan/videos/{victim.job}").status_code == 404


@pytest.fixture(scope="module")
def rebinding(browser: Browser) -> Iterator[Browser]:
    """A browser for which other names resolve to this machine, as by an attacker's DNS server."""
    rules = "MAP evil.example 127.0.0.1, MAP *.evil.example 127.0.0.1"
    started = browser.browser_type.launch(
        executable_path=find_browser(), args=[*FLAGS, f"--host-resolver-rules={rules}", NO_GUARD]
    )
    yield started
    started.close()


def test_a_page_of_another_host_and_a_name_that_was_rebound_get_nothing(rebinding: Browser, everywhere: Victim) -> None:
    port = everywhere.app.port
    with served("<p>evil") as evil, rebinding.new_context() as context:
        page = context.new_page()
        page.goto(f"http://evil.example:{evil}/")
        for name in (*NAMES, "www.evil.example"):
            attack(page, f"http://{name}:{port}/gradio_api/", everywhere)
        answer = page.goto(f"http://evil.example:{port}/")
        assert answer is not None
        assert answer.status == 421
        # The rebound name is an origin of its own, and reads its own responses: each must be the refusal.
        told = page.evaluate(ATTACK, [f"http://evil.example:{port}/gradio_api/", attacks(everywhere)])
        assert {answer[1] for answer in told if answer is not None} == {421}
    is_unharmed(everywhere)


def form(base: str) -> str:
    """Return a page that posts each call as a form does, whose body can be made to look like JSON."""
    body = json.dumps({**SMALL, "x": "="})
    left, right = body.split("=")
    return f"""<iframe name=into></iframe><form method=post enctype=text/plain target=into>
    <input name='{left}' value='{right}'></form><script>
    const paths = ["call/v2/submit", "call/v2/generate", "queue/join", "run/predict"];
    async function go() {{
      for (const path of paths) {{
        const form = document.forms[0];
        form.action = "{base}" + path;
        form.submit();
        await new Promise((done) => {{ document.querySelector("iframe").onload = done; setTimeout(done, 2000); }});
      }}
      document.title = "done";
    }}
    go();</script>"""


def test_a_form_and_a_websocket_spend_nothing(context: BrowserContext, everywhere: Victim) -> None:
    port = everywhere.app.port
    for name in ("127.0.0.1", MAPPED):
        base = f"{name}:{port}/gradio_api/"
        with served(form(f"http://{base}")) as evil:
            page = context.new_page()
            page.goto(f"http://localhost:{evil}/")
            expect(page).to_have_title("done")
            opened = page.evaluate(
                """(url) => new Promise((told) => {
                  const socket = new WebSocket(url);
                  socket.onopen = () => told(true);
                  socket.onerror = socket.onclose = () => told(false);
                })""",
                f"ws://{base}queue/join",
            )
            assert opened is False
            page.close()
    is_unharmed(everywhere)


def framed(url: str) -> str:
    return f'<iframe src="{url}" width=1000 height=800></iframe>'


def test_the_private_page_is_not_framed(context: BrowserContext, everywhere: Victim) -> None:
    for name in ("127.0.0.1", "localhost"):
        url = f"http://{name}:{everywhere.app.port}/"
        with served(framed(url)) as evil:
            page = context.new_page()
            refused: list[int] = []
            page.on("response", lambda answer, url=url, seen=refused: _note(answer, url, seen))
            page.goto(f"http://localhost:{evil}/", wait_until="networkidle")
            inner = page.frame_locator("iframe")
            expect(inner.locator("#generate")).to_have_count(0)
            assert refused == [403]
            page.close()
    is_unharmed(everywhere)


def _note(answer: Any, url: str, seen: list[int]) -> None:
    if answer.url == url:
        seen.append(answer.status)


def test_a_link_to_the_private_page_opens_it(context: BrowserContext, everywhere: Victim) -> None:
    with served(f'<a href="{everywhere.app.url}">here</a>') as evil:
        page = context.new_page()
        page.goto(f"http://localhost:{evil}/")
        page.get_by_text("here").click()
        expect(page.locator("#generate")).to_be_visible()
        expect(page.locator(".masthead .reach")).to_have_text("Private")


# public and Space


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    with a_victim(tmp_path_factory.mktemp("public"), "0.0.0.0", HUNYUAN_UI_DAILY_LIMIT_USD="5") as victim:
        yield victim


def readme_example(app: RunningApp, key: str) -> str:
    """Return the README's JavaScript as a function that returns the status and the video's size, paid for by a key."""
    text = at(app, block("js", "fetch"))
    for written, wanted in (
        ('"application/json" };', f'"application/json", "x-api-key": "{key}" }};'),
        ("console.log(job.status, job.video.url);", "const file = await fetch(job.video.url);"),
    ):
        assert text.count(written) == 1
        text = text.replace(written, wanted)
    return f"async () => {{ {text}\n return [job.status, (await file.arrayBuffer()).byteLength]; }}"


def test_in_public_another_origins_page_may_call_the_api_without_logins(
    context: BrowserContext, public: Victim
) -> None:
    api = f"http://127.0.0.1:{public.app.port}/gradio_api/"
    with served("<p>friend") as friend:
        page = context.new_page()
        page.goto(f"http://localhost:{friend}/")
        # With a header that needs a preflight.
        status, size = page.evaluate(readme_example(public.app, "SG_ca0a41e5ca0a41e5"))
        assert (status, size > 1000) == ("done", True)
        assert public.paid.posts == {"A paper boat on a rainy street": 1}
        token = {"x-hunyuan-visitor": public.token}
        shut: list[tuple[str, dict[str, Any]]] = [
            ("hunyuan/videos", {"headers": token}),
            (f"hunyuan/videos/{public.job}", {"method": "DELETE", "headers": token}),
            ("queue/join", {"method": "POST", "headers": {"content-type": "application/json"}, "body": "{}"}),
            ("call/v2/estimate", {"method": "POST", "headers": {"x-other": "1"}, "body": "{}"}),
            ("info", {"credentials": "include"}),
            ("app_id", {}),
        ]
        assert page.evaluate(ATTACK, [api, shut]) == [None] * len(shut)
        assert page.evaluate(ATTACK, [api, [("info", {})]])[0][1] == 200


def test_a_public_page_is_framed_by_itself_alone(context: BrowserContext, public: Victim) -> None:
    with served(framed(public.app.url)) as evil:
        page = context.new_page()
        page.goto(f"http://localhost:{evil}/", wait_until="networkidle")
        expect(page.frame_locator("iframe").locator("#generate")).to_have_count(0)


def test_a_space_works_inside_of_its_hosts_frame_and_of_no_other(rebinding: Browser, tmp_path: Path) -> None:
    """The frame comes through TLS from huggingface.co; here both names are this machine, without it."""
    port = free_port()
    with running_app(tmp_path, port=port, SYSTEM="spaces", SPACE_ID="someone/hunyuan", GRADIO_SERVER_NAME="127.0.0.1"):
        url = f"http://evil.example:{port}/"
        answer = httpx.get(f"http://127.0.0.1:{port}/", headers={"host": "someone-hunyuan.hf.space"})
        assert answer.headers["content-security-policy"] == "frame-ancestors 'self' https://huggingface.co"
        with served(framed(url)) as evil, rebinding.new_context() as context:
            stranger = context.new_page()
            answered: list[int] = []
            stranger.on("response", lambda told: _note(told, url, answered))
            stranger.goto(f"http://localhost:{evil}/", wait_until="networkidle")
            expect(stranger.frame_locator("iframe").locator("#generate")).to_have_count(0)
            assert answered == [200]  # the browser blocked the frame by its parent
            allowed = context.new_page()
            allowed.route(url, functools.partial(_let_frame, origin=f"http://localhost:{evil}", port=port))
            allowed.goto(f"http://localhost:{evil}/")
            inner: Any = allowed.frame_locator("iframe")
            expect(inner.locator("#generate")).to_be_visible()
            generate_short(inner, "a fox in a frame")
            expect(inner.locator(".result .prompt")).to_have_text("a fox in a frame", timeout=60_000)


def _let_frame(route: Any, origin: str, port: int) -> None:
    """Respond with the page, replacing huggingface.co in its response by another origin."""
    answer = httpx.get(f"http://127.0.0.1:{port}/", headers={"host": f"evil.example:{port}"})
    policy = answer.headers["content-security-policy"].replace("https://huggingface.co", origin)
    kept = {"content-type": answer.headers["content-type"], "content-security-policy": policy}
    route.fulfill(status=answer.status_code, headers=kept, body=answer.text)
