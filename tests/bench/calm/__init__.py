"""What callers notice of reloads, upgrades and restarts, and what a second worker costs."""
