"""Run the certificate tool, `python -m certs`. Ctrl-C ends it with status 130 and without a message."""

import os
import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a job in the background ignores SIGINT
    signal.signal(signal.SIGINT, lambda _number, _frame: os._exit(130))

# Imported after the handler is set: the imports take most of the time, and Ctrl-C must end them too.
from certs.command import main

raise SystemExit(main())
