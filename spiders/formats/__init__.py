"""Format bases: what a family of sources has in common."""
