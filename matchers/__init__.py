"""Which concert is it, and how sure are we: pure functions, without I/O, clock or settings."""
