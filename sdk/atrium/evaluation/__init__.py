"""Evaluation of a served version: a job that calls it like any other client and measures what comes back."""
