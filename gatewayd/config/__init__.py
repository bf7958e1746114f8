"""From text to Settings: TOML or INI → one plain Document → typed and checked, all problems at once."""
