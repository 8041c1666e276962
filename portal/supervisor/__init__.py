"""Starts, watches and ends the processes of one instance. Needs no Django until the first migration."""
