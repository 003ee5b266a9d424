"""One file for each outside format that is written."""
