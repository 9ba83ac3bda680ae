"""What NetworkPolicies mean, asked of the pure core."""
