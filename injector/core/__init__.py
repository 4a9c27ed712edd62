"""Pure values and functions of the injector: no I/O, no clock, no framework."""
