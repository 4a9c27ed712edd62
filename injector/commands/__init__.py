"""Commands that run in the pod, one module for each, loaded when called."""
