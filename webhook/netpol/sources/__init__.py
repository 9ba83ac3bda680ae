"""
Sets of sources: who may connect to a port of a pod, as a set of pods by their labels and of addresses by their number.

A policy speaks of pods and addresses that exist and of those that may come, so a set is symbolic. What a change takes
away is the difference of two sets, and it is found exactly.
"""
