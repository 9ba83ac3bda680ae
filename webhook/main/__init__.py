"""
Put the service together: settings, then what the cluster says, then who judges, then the ports.

This is the only place that constructs; whatever it makes is handed what it needs.
"""

from webhook.main.from_cluster import from_cluster, is_inside
from webhook.main.from_files import from_files, from_objects
from webhook.main.service import Service

__all__ = ["Service", "from_cluster", "from_files", "from_objects", "is_inside"]
