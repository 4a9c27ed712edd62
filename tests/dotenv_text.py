"""Dotenv files for tests: every value in the form that our own reader takes."""


def dotenv_text(values):
    """Return the file that `injector.core.dotenv` reads as these values."""
    return "".join(f"{name}={_written(value)}\n" for name, value in values.items())


def _written(value):
    for char in '\\"$':
        value = value.replace(char, "\\" + char)
    return '"' + value.replace("\r", "\\r").replace("\n", "\\n") + '"'
