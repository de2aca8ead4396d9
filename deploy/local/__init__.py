"""The local stack: the real engines as ordinary processes on loopback, for development and tests only."""
