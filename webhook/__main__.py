"""Run the command line: `python -m webhook` is `eem-guardrail`."""

from webhook.cli import main

raise SystemExit(main())
