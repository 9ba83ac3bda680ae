"""
Construct the service: settings, the state of the cluster, the judges, and the ports.

Only this package constructs; every part is handed what it needs.
"""

from webhook.main.from_cluster import from_cluster, is_inside
from webhook.main.from_files import from_files, from_objects
from webhook.main.service import Service

__all__ = ["Service", "from_cluster", "from_files", "from_objects", "is_inside"]
