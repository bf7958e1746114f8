"""The server and its databases, for every test of this room."""

from tests.postgres import postgres_server, rest

__all__ = ["postgres_server", "rest"]
