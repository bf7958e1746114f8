"""The client for asyncio, over aiohttp."""
