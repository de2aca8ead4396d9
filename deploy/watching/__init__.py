"""`gigz status` and `gigz top`: the workers of a home folder, asked by the addresses that they leave there."""
