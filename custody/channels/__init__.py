"""Ways to reach a person: one file a way, one class, one `send`."""
