"""The demo: a manager with an API server of its own, the samples, and what becomes of them.

`python -m capt.demo` is the newcomer's first minute; it is also an acceptance test that watches every state on
the way and not the end only.
"""
