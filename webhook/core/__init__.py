"""Pure values and functions of the webhook: no I/O, no clock, no framework."""
