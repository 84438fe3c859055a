"""`python -m hunyuan_ui "a prompt" --out cat.mp4`: makes one video from the command line."""

import signal
import sys


def _run() -> int:
    try:
        from hunyuan_ui.cli import main
    except KeyboardInterrupt:
        from hunyuan_ui.words import words

        print(words()["cli.interrupted"], file=sys.stderr)
        return 1
    code = main()
    # The outcome of the video is known; a late signal must not change the exit code.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    return code


if __name__ == "__main__":
    sys.exit(_run())
