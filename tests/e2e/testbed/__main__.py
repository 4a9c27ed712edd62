"""The harness without tests: fill the cache, build the image, or keep a cluster for work by hand.

`image` builds on the image that the variable BASE names, else on the public base, else on Debian.
"""

import contextlib
import os
import shutil
import signal
import sys
import time

import injector
from tests.e2e.testbed import build, cache, debian, images, product
from tests.e2e.testbed.local import LocalCluster
from tests.e2e.testbed.space import Space

_started = time.monotonic()


def say(line: str) -> None:
    """Print a progress line with the time since the start."""
    print(f"[{time.monotonic() - _started:6.1f} s] {line}", file=sys.stderr, flush=True)  # noqa: T201


def main(command: str) -> int:
    """Run one of the commands of the usage line."""
    match command:
        case "build":
            build.build_all(say)
        case "images":
            for archive in (*images.base_images(), product.build_image(say)):
                print(archive)  # noqa: T201
        case "image":
            debian.install_missing(say)
            base = os.environ.get("BASE") or product.reachable_base(say)
            name = f"localhost/secret-injector:{injector.__version__}"
            archive = product.build_image(say, name=name, base=base)
            target = cache.PROJECT / "build" / "secret-injector.tar"
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(archive, target)
            say(f"{name} is in {target.relative_to(cache.PROJECT)}, for docker load")
        case "up":
            build.build_all(say)
            with Space(images.compile_static("pause")) as space:
                cluster = LocalCluster(space, say=say)
                cluster.load_image(product.build_image(say))
                say(f"export KUBECONFIG={cluster.kubeconfig} PATH={cluster.env['PATH']}")
                say("Ctrl-C ends the cluster")
                for number in (signal.SIGINT, signal.SIGTERM):
                    signal.signal(number, signal.default_int_handler)
                with contextlib.suppress(KeyboardInterrupt):
                    signal.pause()
        case _:
            say("usage: python -m tests.e2e.testbed build | image | images | up")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
