"""`python -m hunyuan_ui.ledger copy`: a data folder's ledger into PostgreSQL, and its videos into a bucket."""

import sys

from hunyuan_ui.cli_copy import main

if __name__ == "__main__":
    sys.exit(main())
