"""Faust agents around pure functions, a batch at a time, and the relay from the outbox to the topics."""
