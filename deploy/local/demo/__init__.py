"""`gigz demo`: the whole of Gigz on one machine, and the small site that it crawls."""
