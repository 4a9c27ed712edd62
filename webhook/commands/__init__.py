"""Commands for people, one module for each, loaded when called."""
