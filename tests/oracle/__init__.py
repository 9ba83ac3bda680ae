"""An independent witness: what a NetworkPolicy change takes away, found by trying every source that matters."""
