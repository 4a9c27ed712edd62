"""The entry point of the image: `python -m injector`, without a search for what has its place.

Started by `python -I -S`: without `site` and `runpy`, and with the two folders named here instead.
"""

import sys

sys.path += ["/app", "/usr/lib/secret-injector/site"]

from injector.cli import main  # found by the line above

sys.exit(main())
