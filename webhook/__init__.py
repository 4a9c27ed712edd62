"""The admission webhook and the tools for people; it never sees a secret value."""
