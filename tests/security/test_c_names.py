"""Names that steer a process: code by no import, endpoints where they are named, others freely."""

import json
from pathlib import Path

import pytest

from injector.core import steering
from injector.core.steering import Steers
from tests import asking
from tests.asking import service

HERE = Path(__file__).parent


def _listed(name):
    lines = (HERE / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


DANGEROUS = _listed("dangerous_names.txt")
CODE = [name for name in DANGEROUS if steering.of(name) is Steers.CODE]
ENDPOINT = [name for name in DANGEROUS if steering.of(name) is Steers.ENDPOINT]
EXPORT = [{"to": {"namespaces": ["*"]}, "keys": ["*"]}]

KINDS = {
    Steers.CODE: """
        LD_AUDIT LD_LIBRARY_PATH LD_BIND_NOW DYLD_INSERT_LIBRARIES PATH IFS BASH_FUNC_ls SHELLOPTS
        PS4 PROMPT_COMMAND GCONV_PATH LOCPATH NLSPATH PYTHONSTARTUP PYTHONHOME PYTHONBREAKPOINT
        PYTHONWARNINGS NODE_PATH NODE_V8_COVERAGE JAVA_TOOL_OPTIONS _JAVA_OPTIONS JDK_JAVA_OPTIONS
        CLASSPATH KAFKA_OPTS KAFKA_HEAP_OPTS ES_JAVA_OPTS SBT_OPTS JRUBY_OPTS SPARK_DAEMON_JAVA_OPTS
        PERL5LIB PERL5DB RUBYLIB BUNDLE_GEMFILE IRBRC PHP_INI_SCAN_DIR LUA_CPATH LUA_INIT_5_3
        R_LIBS R_ENVIRON_USER JULIA_DEPOT_PATH ERL_LIBS ERL_ZFLAGS RELEASE_VM_ARGS GOROOT
        RUSTC_WRAPPER CARGO_HOME DOTNET_ADDITIONAL_DEPS COMPlus_JitName CORECLR_PROFILER_PATH
        GTK_PATH GDK_PIXBUF_MODULE_FILE QT_QPA_PLATFORM_PLUGIN_PATH GST_PLUGIN_SYSTEM_PATH_1_0
        LIBGL_DRIVERS_PATH VK_ICD_FILENAMES OCL_ICD_VENDORS VISUAL MANPAGER LESSCLOSE GIT_SSH
        GIT_EXTERNAL_DIFF GIT_CONFIG_COUNT GIT_CONFIG_PARAMETERS GIT_ASKPASS SVN_SSH RSYNC_RSH
        OTEL_PYTHON_DISTRO OTEL_JAVAAGENT_EXTENSIONS NEW_RELIC_CONFIG_FILE ELASTIC_APM_CONFIG_FILE
        OPENSSL_CONF OPENSSL_MODULES npm_config_node_options NPM_CONFIG_SCRIPT_SHELL TERMINFO_DIRS
        XDG_DATA_DIRS MAKEFLAGS GUILE_LOAD_PATH TCLLIBPATH ANSIBLE_LIBRARY HGRCPATH PSModulePath
        """,
    Steers.ENDPOINT: """
        HTTP_PROXY https_proxy All_Proxy no_proxy FTP_PROXY RSYNC_PROXY SSL_CERT_DIR HOSTALIASES
        REQUESTS_CA_BUNDLE CURL_CA_BUNDLE NODE_EXTRA_CA_CERTS AWS_ENDPOINT_URL_S3 KUBECONFIG
        AWS_SHARED_CREDENTIALS_FILE AWS_WEB_IDENTITY_TOKEN_FILE AWS_EC2_METADATA_SERVICE_ENDPOINT
        AZURE_FEDERATED_TOKEN_FILE GOOGLE_APPLICATION_CREDENTIALS GCE_METADATA_HOST
        CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE PGHOSTADDR PGSSLROOTCERT PGSERVICE MYSQL_UNIX_PORT
        TNS_ADMIN KRB5_KTNAME KRB5CCNAME LDAPTLS_REQCERT RES_OPTIONS VAULT_ADDR VAULT_CACERT
        CONSUL_HTTP_ADDR DOCKER_TLS_VERIFY DOCKER_CERT_PATH PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST
        UV_INDEX_URL GOSUMDB GOINSECURE OTEL_EXPORTER_OTLP_CERTIFICATE DD_AGENT_HOST
        ELASTIC_APM_SERVER_URL NEW_RELIC_HOST KUBERNETES_SERVICE_HOST TMP OPENAI_BASE_URL
        SSH_AUTH_SOCK RUSTUP_DIST_SERVER GIT_SSL_NO_VERIFY GIT_SSL_CAINFO HEX_MIRROR
        """,
}


def _others(name, *, named=True):
    keys = [name] if named else ["OTHER"]
    env = {"__import_svc": {"from": "$telemetry.evil", "keys": keys}}
    app = service("shop", "app", env)
    there = service("evil", "telemetry", {name: "x", "OTHER": "y"}, exports=EXPORT)
    return asking.outcome(asking.pod({"service": "app"}), app, there)


def _within(name):
    app = service("shop", "app", {"__import_svc": "$base"})
    return asking.outcome(asking.pod({"service": "app"}), app, service("shop", "base", {name: "x"}))


def _own(name):
    return asking.outcome(asking.pod({"service": "app"}), service("shop", "app", {name: "x"}))


def test_every_name_on_record_is_in_the_table():
    """None of them is ordinary."""
    assert [name for name in DANGEROUS if steering.of(name) is None] == []


@pytest.mark.parametrize(("kind", "names"), KINDS.items(), ids=lambda value: str(value)[:15])
def test_others_of_the_kinds_are_in_the_table(kind, names):
    """Prefixes, suffixes and any case: a name that nobody has listed is found by its kin."""
    each = names.split()

    assert {name: steering.of(name) for name in each} == dict.fromkeys(each, kind)


def test_dots_and_dashes_are_underscores():
    """Spring and Java read a property's name as it is: such a name steers what its twin steers."""
    code = ["spring.config.location", "logging.config", "ld-preload", "java.tool.options"]
    endpoints = ["https-proxy", "aws.endpoint-url"]

    assert {steering.of(name) for name in code} == {Steers.CODE}
    assert {steering.of(name) for name in endpoints} == {Steers.ENDPOINT}
    assert {steering.of(name) for name in ("spring.datasource.password", "git-token")} == {None}


def test_names_that_people_inject_are_ordinary():
    """Credentials and addresses for the application, those of programs in the table too."""
    assert [name for name in _listed("ordinary_names.txt") if steering.of(name)] == []


@pytest.mark.parametrize("name", CODE)
def test_code_comes_by_no_import(name):
    """Not from another namespace, not from one's own, not from the service itself."""
    for found in (_others(name), _within(name), _own(name)):
        assert asking.codes(found) == ["SI-118"]


@pytest.mark.parametrize("name", CODE)
def test_the_pods_own_annotation_sets_code(name):
    """Whoever writes the pod writes its command, too."""
    assert asking.outcome(asking.pod({"env": json.dumps({name: "x"})})).kind == "inject"


@pytest.mark.parametrize("name", ENDPOINT)
def test_an_endpoint_is_free_within_the_namespace(name):
    """By the service itself and by its imports."""
    assert _within(name).kind == _own(name).kind == "inject"


@pytest.mark.parametrize("name", ENDPOINT)
def test_an_endpoint_of_another_namespace_arrives_only_where_it_is_named(name):
    """What is named is taken, and nothing beside it."""
    assert _others(name).facts["variables"] == 1
    assert _others(name, named=False).facts["variables"] == 1
