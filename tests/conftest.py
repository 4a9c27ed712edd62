"""Settings and fixtures that every test may use.

A test function may be `async def`: it then runs in an event loop of its own, with a limit.
"""

import asyncio
import inspect
import os
import signal

import pytest
from hypothesis import HealthCheck, settings

ASYNC_TEST_LIMIT_S = 60
"""An async test that takes longer hangs; it fails with the place where it waits."""

settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile(
    "ci",
    max_examples=300,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def pytest_configure():
    """Take signals as a terminal gives them: what runs us with nohup or & has some ignored.

    Programs under test inherit that, and a signal that a test sends would then do nothing.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def pytest_addoption(parser):
    """Add the switch that `make golden` sets."""
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite the golden files instead of comparing"
    )


@pytest.fixture
def update_golden(request):
    """Whether golden files are rewritten instead of compared."""
    return request.config.getoption("--update-golden")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run an async test function to its end; leave the others to pytest."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None

    async def bounded():
        names = inspect.signature(pyfuncitem.obj).parameters
        arguments = {name: pyfuncitem.funcargs[name] for name in names}
        async with asyncio.timeout(ASYNC_TEST_LIMIT_S):
            await pyfuncitem.obj(**arguments)

    asyncio.run(bounded())
    return True
