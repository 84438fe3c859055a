"""`python -m hunyuan_ui.ledger copy`: copies a data folder's ledger to PostgreSQL, and its videos to a bucket."""

import sys

from hunyuan_ui.cli_copy import main

if __name__ == "__main__":
    sys.exit(main())
