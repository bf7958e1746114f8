"""What it costs to be looked at, and what a request pays for that."""
