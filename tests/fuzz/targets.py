"""The fuzz targets: a name, and the entry points that a target's first byte chooses from."""

TARGETS = {
    "grammar": ("grammar", "reference"),
    "annotations": (
        "annotation env",
        "annotation files",
        "annotation containers",
        "annotation inline",
        "annotation files-path",
        "annotation refresh",
        "annotation resources",
        "annotation names",
        "yaml",
        "annotation env-mode",
        "annotation deadline",
        "annotation init-after",
    ),
    "objects": (
        "value of an object",
        "key of an object",
        "rule of an object",
        "import of an object",
        "export of an object",
        "preset of an object",
        "file of an object",
        "store",
        "path",
        "address",
        "keys of an object",
        "migrate",
        "from entry",
        "external secret",
    ),
    "plan": ("plan", "sources", "keys of a secret"),
    "policies": ("policy", "globs", "pattern", "matched"),
    "dotenv": ("dotenv",),
    "sops": ("sops yaml", "sops json", "sops dotenv", "sops rule", "sops ini"),
    "answers": ("answer", "json", "filters", "key vault", "local"),
    "review": ("pod", "review", "lookalike", "workload"),
}
C_TARGETS = {
    "launcher-env-file": "ENV_FILE",
    "launcher-command": "COMMAND",
    "launcher-fetcher": "FETCHER",
}
"""Name → what selects it in launcher_fuzz.c."""
