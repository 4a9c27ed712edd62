"""Every annotation there is: docs/annotations.md is made from this table."""

from __future__ import annotations

from dataclasses import dataclass

PREFIX = "secret-injector.io/"
INJECT = PREFIX + "inject"
FILES_PATH = "/run/secrets/injector"


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """One annotation: its form, its meaning, and whether `.<container>` may follow it."""

    name: str
    form: str
    meaning: str
    default: str = ""
    is_per_container: bool = False


ANNOTATIONS = (
    Annotation(
        name="inject", form='"true" or "false"', meaning="ask for injection, or opt out of it"
    ),
    Annotation(
        name="inline",
        form="comma list of variables; * stands for any run of characters",
        meaning='env[].value entries that may hold references, only with inject: "true"',
        default="all",
    ),
    Annotation(
        name="service",
        form="the name of a ServiceSecrets",
        meaning="take this service's keys and files; it is of the pod's namespace",
    ),
    Annotation(
        name="env",
        form="YAML map NAME: value, or NAME: {value, override, ...}",
        meaning="variables, added to the service's or overriding them; may hold __import_svc:"
        " $service, {from: $service.namespace, keys: [KEY]}, or a list of them;"
        ' and __from: {from: "store:path", keys: [KEY]}, or a list of them',
        is_per_container=True,
    ),
    Annotation(
        name="files",
        form="YAML map name: value, or name: {value, mode, path}",
        meaning="files below files-path, or each at an absolute path",
        is_per_container=True,
    ),
    Annotation(
        name="containers",
        form="comma list of container names",
        meaning="which containers are served; init and sidecar containers only when named",
        default="the app containers, without those of other injectors",
    ),
    Annotation(
        name="env-mode",
        form="auto, launcher or native",
        meaning="how variables reach the process",
        default="auto",
    ),
    Annotation(
        name="mode",
        form="init, sidecar or parallel",
        meaning="when values are fetched, and whether they are kept fresh",
        default="init",
    ),
    Annotation(
        name="refresh",
        form="a duration such as 5m",
        meaning="sidecar: how often static values are read again",
        default="1h",
    ),
    Annotation(
        name="on-change",
        form="none, signal:NAME or restart",
        meaning="sidecar: what happens to the process when a value changed",
        default="none",
    ),
    Annotation(
        name="files-path",
        form="an absolute path",
        meaning="the folder that the files appear in",
        default=FILES_PATH,
        is_per_container=True,
    ),
    Annotation(
        name="run-as",
        form="a UID from 1 to 2147483647",
        meaning="the user that the images of the containers served run as, where the pod does not"
        " say it: files are then its own",
        default="known where every container served has one runAsUser",
    ),
    Annotation(
        name="resources",
        form="YAML map with requests and limits, as in a container",
        meaning="the size of our container where the usual one does not fit",
        default="fitted to the pod",
    ),
    Annotation(
        name="deadline",
        form="a duration such as 10m",
        meaning="how long the fetch may take; tries go on until then",
        default="the chart's, 2m",
    ),
    Annotation(
        name="init-after",
        form="the name of an init container, or empty for none",
        meaning="our init container goes behind it",
    ),
)
