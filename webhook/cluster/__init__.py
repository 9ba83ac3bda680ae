"""
Read the cluster from the API server: the client, the reflectors that list and watch, and the store with the snapshot.

This package does not know what an object means; `webhook.eem` does.
"""
