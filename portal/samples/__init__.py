"""Sample content: people, teams and capabilities that a first start brings, unless ATRIUM_SAMPLES=0."""
