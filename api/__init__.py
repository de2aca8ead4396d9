"""Litestar application: decisions, imports, search, live updates, pages."""
