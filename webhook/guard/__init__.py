"""
Decide while the cluster changes: the cache, the changes in flight, and the live list of policies.

This package knows no HTTP: where there is no verdict it raises an outcome, and the server maps that to a status.
"""
