"""Training scripts of the sample capabilities; each runs as a job in the base environment."""
