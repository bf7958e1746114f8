"""From text to Settings: reader (TOML) and section (INI) make the same dict, schema makes it typed, all problems at once."""
