"""The old name of `tests.tools`, for tests that still import it."""

from tests.tools import until  # noqa: F401
