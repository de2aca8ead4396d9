"""The same stages in two other frameworks, for `make bench`: what Faust costs beside them."""
