"""Calico's policies: read, asked in their tiers, and evaluated between two bounds; imported where they exist."""
