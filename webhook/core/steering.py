"""Names of variables that change which code a process runs or whom it talks to.

A pod's own annotation may set them; what a service offers to others may not.
"""

from __future__ import annotations

import re

STEERING = re.compile(
    # the loader, the C library, the shell
    r"LD_.*|DYLD_.*|PATH|IFS|ENV|BASH_ENV|BASH_FUNC_.*|SHELLOPTS|BASHOPTS|PS4|PROMPT_COMMAND"
    r"|GCONV_PATH|LOCPATH|MALLOC_.*|GLIBC_TUNABLES|HOSTALIASES|RES_OPTIONS"
    # language runtimes
    r"|PYTHON.*|NODE_OPTIONS|NODE_PATH|NODE_EXTRA_CA_CERTS|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS"
    r"|JDK_JAVA_OPTIONS|CLASSPATH|PERL5.*|PERLLIB|RUBY(?:LIB|OPT)|PHPRC|PHP_INI_SCAN_DIR"
    r"|DOTNET_.*|COMPlus_.*|CORECLR_.*|LUA_.*|TCLLIBPATH|GIT_.*"
    # whom it talks to
    r"|(?:HTTPS?|ALL|NO|FTP)_PROXY|(?:https?|all|no|ftp)_proxy|SSL_CERT_(?:FILE|DIR)"
    r"|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|OPENSSL_CONF|OPENSSL_MODULES|KUBERNETES_.*"
)
"""For `fullmatch`."""
