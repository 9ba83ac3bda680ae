"""
What writes to the cluster: registration, Lease, Events and the Secret.

`entries` computes what the webhook configurations should hold, `registrar` writes it, and `self_check` proves that
reviews arrive.
"""
