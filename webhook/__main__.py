"""`python -m webhook`: the webhook process without the rest of the command line."""

import sys

from webhook.run import main

sys.exit(main())
