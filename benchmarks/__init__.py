"""
What the guard costs, measured on this machine: `python -m benchmarks`.

Everything runs on loopback, in processes that the benchmark starts and ends itself. The load comes from a process of
its own, so that the server has one core to itself where there are two.
"""
