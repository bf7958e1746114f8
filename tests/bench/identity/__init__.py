"""What proving a caller costs, and what rotations, floods of unknown keys and revocations do to callers."""
