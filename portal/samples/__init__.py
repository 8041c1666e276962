"""Sample content: people, teams and capabilities that a first start brings, unless ATRIUM_SAMPLES=0."""

CAPABILITIES = ("digits", "breast-cancer", "fault-tickets", "diabetes", "cell-load", "ticket-details")
"""The short names of the sample capabilities, for settings, which are read without Django."""
