"""No whole answer came: the words for it, the same over both transports."""

from gatewayd_sdk._core.errors import APIConnectionError, APITimeoutError


def late(base_url: str) -> APITimeoutError:
    return APITimeoutError(f"no whole answer from {base_url} in time; timeout= gives calls more of it")


def crowded(connections: int) -> APITimeoutError:
    return APITimeoutError(
        f"all {connections} connections are in use: close streams and sessions, or raise max_connections="
    )


def broken(base_url: str, error: object) -> APIConnectionError:
    scheme = base_url.partition(":")[0]
    told = str(error) or type(error).__name__
    return APIConnectionError(
        f"no whole answer from {base_url}: {told}; is gatewayd running there, and does it speak {scheme}?"
    )


def untrusted(base_url: str, error: object) -> APIConnectionError:
    return APIConnectionError(
        f"no TLS with {base_url}: {error}; is it http that is spoken there? A CA of your own is named by tls="
    )
