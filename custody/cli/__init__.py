"""The `custody` command: it chooses the real parts, and is the only reader of the settings."""
