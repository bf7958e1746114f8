"""How long a test waits for what must come: far longer than any machine pauses, and nothing when all is well."""

PATIENCE = 30.0
