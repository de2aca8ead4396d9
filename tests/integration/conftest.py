"""Fixtures of the tests that run on the engines.

`stack` (tests/conftest.py) gives bare engines. What tests need inside them, topics and migrated stores, is laid here on
top of it, once for a session.
"""
