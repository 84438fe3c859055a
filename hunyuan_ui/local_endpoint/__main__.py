"""Run the local endpoint on its own: python -m hunyuan_ui.local_endpoint."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn, TypeVar

from hunyuan_ui.errors import reason
from hunyuan_ui.local_endpoint.app import create_app
from hunyuan_ui.local_endpoint.serving import serve
from hunyuan_ui.setting_values import UnfitError, number, whole
from hunyuan_ui.words import words

_T = TypeVar("_T")


def main() -> int:
    """Serve until Ctrl+C or SIGTERM; return the exit status."""
    options = _parser().parse_args()
    app = create_app(
        seconds=options.seconds,
        credits=options.credits,
        keys=options.key,
        requests_per_minute=options.requests_per_minute,
        v1_answer=options.v1_answer,
    )
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda _number, _frame: stop.set())
    try:
        server = serve(app, options.host, options.port)
    except OSError as error:
        print(f"Cannot listen on {options.host}:{options.port}: {error.strerror}", file=sys.stderr)
        return 1
    print(f"Local endpoint: {server.url}  (Ctrl+C ends it)")
    key = options.key[0] if options.key else "any-text"
    print(f"Point the app at it: SEGMIND_BASE_URL={server.url} SEGMIND_API_KEY={key} python app.py", flush=True)
    print(f"Or as an engine of your own: HUNYUAN_UI_ENGINE_URL={server.url} python app.py", flush=True)
    while not stop.wait(3600):
        pass
    server.close()
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Print the error in one sentence, without the list of all options."""
        self.exit(2, f"{message.removeprefix('argument ')}\n")


def _option(read: Callable[[str], _T]) -> Callable[[str], _T]:
    """Wrap a reader so that argparse prints its sentence, with the given value."""

    def read_option(text: str) -> _T:
        try:
            return read(text)
        except UnfitError as error:
            message = words()("setting.unfit", must=error.must, shown=text[:60])
            raise argparse.ArgumentTypeError(message) from None

    return read_option


def _parser() -> argparse.ArgumentParser:
    port, calls = _option(whole(0, 65_535)), _option(whole(0, 1_000_000))
    seconds, dollars = (
        _option(number(0, 86_400, reason("seconds"))),
        _option(number(0, 1_000_000, reason("us_dollars"))),
    )
    parser = _Parser(
        prog="python -m hunyuan_ui.local_endpoint",
        description="A stand-in for the hosted service: the same HTTP contract, videos drawn on this machine.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=port, default=8010, help="0 takes any free port (default: %(default)s)")
    parser.add_argument("--seconds", type=seconds, default=6, help="how long a job takes (default: %(default)s)")
    parser.add_argument("--credits", type=dollars, default=100, help="US dollars on the account (default: %(default)s)")
    parser.add_argument("--key", action="append", help="accept this key only; may be given again (default: any)")
    parser.add_argument("--requests-per-minute", type=calls, help="answer 429 above this (default: no limit)")
    parser.add_argument(
        "--v1-answer", choices=("bytes", "url"), default="bytes", help="what v1 answers with (default: %(default)s)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
