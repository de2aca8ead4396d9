"""The weekly digest: `gigz.digest.v1`, at most one message a user and week, and only when something is new.

    times    when one is due: weeks, zones, quiet hours; pure
    found    what is new for a user since the last
    job      the rounds: who has news, who is due, one transaction for each

Sending it to a person is an app backend's (docs/app-backends.md).
"""
