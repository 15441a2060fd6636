"""Names by which programs run other code or send data elsewhere, and usual names of params, which are free."""

from __future__ import annotations

RESERVED = (
    *("PATH", "HOME", "SHELL", "SHELLOPTS", "BASH_ENV", "BASH_FUNC_echo%%", "PS4", "CDPATH"),
    *("LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "DYLD_INSERT_LIBRARIES", "GLIBC_TUNABLES", "GCONV_PATH"),
    *("PYTHONPATH", "PYTHONSTARTUP", "PYTHONWARNINGS", "PYTHON_PRESITE", "PERL5OPT", "PERL5DB", "PERLLIB", "RUBYOPT"),
    *("NODE_OPTIONS", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "JAVA_HOME", "LUA_INIT", "PHPRC"),
    *("GIT_SSH_COMMAND", "GIT_SSH", "GIT_CONFIG_COUNT", "GIT_DIR", "GIT_EXTERNAL_DIFF", "GIT_TRACE", "SSH_ASKPASS"),
    *("DOCKER_HOST", "DOCKER_CONFIG", "KUBECONFIG", "http_proxy", "HTTPS_PROXY", "no_proxy", "All_Proxy"),
    *("SSL_CERT_FILE", "SSLKEYLOGFILE", "OPENSSL_CONF", "CURL_HOME", "REQUESTS_CA_BUNDLE", "XDG_CONFIG_HOME"),
    *("PGHOST", "PGPASSFILE", "PGSSLROOTCERT", "MYSQL_HOME", "AWS_CONFIG_FILE", "AWS_ENDPOINT_URL_S3", "EDITOR"),
    *("LESSOPEN", "DAGBOOK_HOME", "DAGU_HOME", "DAG_NAME", "PIP_INDEX_URL", "UV_INDEX_URL", "BUNDLE_GEMFILE"),
    *("NPM_CONFIG_REGISTRY", "npm_config_registry", "MAKEFLAGS", "GOFLAGS", "RSYNC_RSH", "TAR_OPTIONS", "WGETRC"),
    *(
        "GNUPGHOME",
        "HOSTALIASES",
        "RSYNC_PROXY",
        "sftp_proxy",
        "BASHOPTS",
        "PYTHON",
        "PSQLRC",
        "LOCALDOMAIN",
        "XDG_CACHE_HOME",
    ),
)
# From the definitions of ../shared/conformance and of public repositories.
USUAL = (
    *("ENV", "HOST", "USER", "LANG", "DEBUG", "PORT", "DATE", "NAME", "MODE", "REGION", "STAGE", "TARGET", "VERSION"),
    *("PATH_PREFIX", "HOME_DIR", "DATABASE_URL", "AWS_REGION", "AWS_PROFILE", "ENVIRONMENT", "BRANCH", "GIT_BRANCH"),
    *("GIT_COMMIT", "GIT_REPO", "DOCKER_IMAGE", "DOCKER_TAG", "SSH_HOST", "SSH_USER", "NODE_ENV", "NODE_VERSION"),
    *("PYTHON_VERSION", "RUBY_VERSION", "JAVA_VERSION", "PHP_VERSION", "PGUSER", "PGDATABASE", "PGPASSWORD"),
    *("MYSQL_DATABASE", "MYSQL_USER", "TMPDIR", "IFS", "PAGER", "TERM", "TZ", "LC_ALL", "URL"),
    *("API_KEY", "TOKEN", "TIMEOUT", "RETRIES", "LIMIT", "COUNT", "ID", "FILE", "DIR", "INPUT", "OUTPUT", "CONFIG"),
    *("LOG_LEVEL", "VERBOSE", "DRY_RUN", "USE_PROXY", "path", "home", "LD", "DAG", "PROXY", "EDITORS", "page", "A"),
)
