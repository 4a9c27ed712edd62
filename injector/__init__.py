"""The program that runs in the pod: it turns a plan into environment variables and files."""

__version__ = "0.1.0"
