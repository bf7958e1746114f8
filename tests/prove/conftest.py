"""A trial of several daemons needs a database that they share."""

from tests.postgres import postgres_server, rest

__all__ = ["postgres_server", "rest"]
