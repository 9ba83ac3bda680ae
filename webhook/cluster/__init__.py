"""
What the API server says exists: the client, list and watch, and the store that holds the snapshot.

What an object means is left to `webhook.eem`.
"""
