"""
Make, renew and bundle the certificates that the API server trusts.

`authority`, `bundle`, `renewal`, `material`, `rotation` and `by_hand` are pure: time is an argument, and they read and
write nothing. `keeper`, `replica_state` and `dependencies` maintain the Secret that all replicas share, through the
client that they are given. `command` maintains the files of a directory. Nothing here imports the service.

This package imports nothing by itself: `python -m certs` runs this file before it can handle Ctrl-C.
"""
