"""`python -m injector` is the command `secret-injector`."""

import sys

from injector.cli import main

sys.exit(main())
