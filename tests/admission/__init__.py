"""Tests of decisions on reviews."""
