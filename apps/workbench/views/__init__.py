"""Pages of the workbench: workspaces and environments, experiments."""
