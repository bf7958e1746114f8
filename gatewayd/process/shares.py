"""What one of several workers may have: limits over all of them are shared out."""

from dataclasses import replace

from gatewayd.config.settings import Settings


def share_of(settings: Settings, workers: int) -> Settings:
    """The settings for one of so many workers: limits over all of them are shared out."""

    def share(limit: int) -> int:
        return max(1, limit // workers) if limit else 0

    server = replace(
        settings.server,
        workers=workers,
        max_connections=share(settings.server.max_connections),
        max_in_flight=share(settings.server.max_in_flight),
    )
    routes = {name: replace(route, max_in_flight=share(route.max_in_flight)) for name, route in settings.routes.items()}
    return replace(settings, server=server, routes=routes)
