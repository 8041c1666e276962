"""REST of the workbench."""
