"""Tests of what EEM needs."""
