"""
Measure what the guard costs on this machine: `python -m benchmarks`.

Everything runs on loopback, in processes that the benchmark starts and stops. The load comes from a separate process,
so that on two cores the server has one for itself.
"""
