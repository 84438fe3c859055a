"""`python -m hunyuan_ui "a prompt" --out cat.mp4`: one video from the command line."""

import sys

from hunyuan_ui.command_line import main

if __name__ == "__main__":
    sys.exit(main())
