"""From data files to encoded requests."""
