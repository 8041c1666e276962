"""The data plane: answers inference calls without Django and without a database.

It holds a snapshot of keys and routes in memory, enforces the plans, forwards to a runner and writes
each call down before its answer leaves. `python -m apps.gateway.dataplane CONFIG` runs it alone.
"""
