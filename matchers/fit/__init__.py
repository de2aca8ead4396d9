"""Weights out of data: counted, estimated without labels, learned from decisions, calibrated."""
