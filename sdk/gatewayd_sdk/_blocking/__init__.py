"""The client that blocks, over urllib3."""
