"""Pages of accounts: logging in, the profile, administration."""
