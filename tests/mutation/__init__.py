"""Change the code in one place at a time, and see whether its tests notice."""
