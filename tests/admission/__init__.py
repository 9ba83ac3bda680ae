"""Tests of what a review means."""
