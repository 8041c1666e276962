"""The runner: one process that serves one packaged version by the Open Inference Protocol v2."""
