"""ClickHouse for development and tests: chDB's engine behind ClickHouse's HTTP interface.

`python -m deploy.local.clickhouse_front --host 127.0.0.1 --port 18123 --data DIR` serves what clickhouse-connect's
sync and async clients send (docs/local-fronts.md says what, and what is refused). `statements` reads a request's
text, `engine` runs it on the one engine of the process, `http` speaks the protocol.
"""
