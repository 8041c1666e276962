"""Engines start, stop, list and read the log of workloads, and know nothing else. No Django here."""
