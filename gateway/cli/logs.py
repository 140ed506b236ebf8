"""Log lines: JSON on a pipe, text on a terminal, and nothing personal in either.

`redact` keeps the fields that are named here and drops every other, so that a forgotten field costs a log line a
detail and nobody their privacy.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

KEPT = frozenset(
    {"event", "level", "timestamp", "route", "method", "status", "ms", "id", "on", "serves", "recipient", "error",
     "exception", "entries", "logger", "why", "witness", "asked", "then", "rule"}
)  # fmt: skip

log = structlog.get_logger("gateway")


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Only the fields of `KEPT`."""
    return {name: value for name, value in event.items() if name in KEPT}


def configure() -> None:
    """For the service; commands print plainly."""
    terminal = sys.stdout.isatty()
    render: Any = structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            redact,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    # uvicorn's own words: errors and failed starts. Its access log, with paths and addresses, is off.
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
