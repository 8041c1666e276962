"""Evaluation of a served version: a job that calls it like any other client and measures what comes back."""

DATASET = "dataset"
"""The slice that names a row's data set, where a suite has several."""
