"""The workshop's pages of the catalog."""
