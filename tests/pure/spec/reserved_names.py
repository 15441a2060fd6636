"""Names that loaders, shells and interpreters read, one for each entry of the list at least, and names like them."""

from __future__ import annotations

RESERVED = (
    *("PATH", "HOME", "IFS", "ENV", "SHELL", "SHELLOPTS", "BASHOPTS", "BASH_ENV", "BASH_FUNC_echo%%", "PS4"),
    *("PROMPT_COMMAND", "CDPATH", "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "GLIBC_TUNABLES", "GCONV_PATH"),
    *("MALLOC_CHECK_", "LOCPATH", "TMPDIR", "PYTHONPATH", "PYTHONSTARTUP", "PERL5OPT", "PERL5DB", "RUBYOPT"),
    *("NODE_OPTIONS", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "GIT_SSH_COMMAND", "SSH_ASKPASS"),
    *("DOCKER_HOST", "http_proxy", "HTTPS_PROXY", "no_proxy", "SSL_CERT_FILE", "CURL_HOME", "REQUESTS_CA_BUNDLE"),
    *("XDG_CONFIG_HOME", "PGPASSFILE", "MYSQL_HOME", "AWS_CONFIG_FILE", "KUBECONFIG", "EDITOR", "PAGER", "LESSOPEN"),
    *("DAGBOOK_HOME", "DAGU_HOME", "DAG_NAME", "DYLD_INSERT_LIBRARIES", "PHPRC", "LUA_INIT", "PIP_INDEX_URL"),
    *("UV_INDEX_URL", "NPM_CONFIG_REGISTRY", "npm_config_registry", "MAKEFLAGS", "GOFLAGS", "RSYNC_RSH", "TAR_OPTIONS"),
    *("WGETRC", "GNUPGHOME", "TERMINFO", "HOSTALIASES", "RES_OPTIONS"),
)
OTHERS = (
    "A",
    "TARGET",
    "MY_PATH",
    "PATHS",
    "HOMEPAGE",
    "ENVIRONMENT",
    "SHELLS",
    "LD",
    "DAG",
    "PROXY",
    "EDITORS",
    "page",
)
