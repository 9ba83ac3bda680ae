"""Run the certificate tool: `python -m certs`."""

from certs.cli import main

raise SystemExit(main())
