"""`python -m chatrixcd_threads`."""

import sys

from chatrixcd_threads.cli import main

sys.exit(main())
