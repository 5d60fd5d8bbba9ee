"""The environment of the Terraform CLI.

The manager's environment is not handed on as a whole: what is in it for the manager's own use (its kubeconfig, its
tokens) is none of a module's business. What Terraform and the clouds' SDKs look for is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

_NAMES: Final = frozenset(
    {
        "HOME", "LANG", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER",
        "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
        "SSL_CERT_DIR", "SSL_CERT_FILE", "GIT_SSH_COMMAND", "SSH_AUTH_SOCK",
        "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT",  # the kubernetes backend, in a cluster
        "TF_CLI_CONFIG_FILE", "TF_LOG", "TF_PLUGIN_CACHE_DIR",
    }
)  # fmt: skip
_PREFIXES: Final = ("LC_", "TF_TOKEN_", "AWS_", "ARM_", "AZURE_", "CLOUDSDK_", "GOOGLE_")


def command_environment(
    inherited: Mapping[str, str], own: Mapping[str, str], *, plugin_cache: Path
) -> dict[str, str]:
    """Return the environment of one command.

    Args:
        inherited: the manager's environment; only what Terraform and cloud SDKs look for is taken.
        own: the Workspace's ``env``; wins over everything except the place of Terraform's own records.
        plugin_cache: directory for downloaded providers, where the manager's environment names none.
    """
    passed = {
        name: value for name, value in inherited.items() if name in _NAMES or name.startswith(_PREFIXES)
    }
    config = passed.get("TF_CLI_CONFIG_FILE")
    if config and not Path(config).exists():
        # Terraform warns on every command about a file that is named but not there
        del passed["TF_CLI_CONFIG_FILE"]
    return {
        "TF_PLUGIN_CACHE_DIR": str(plugin_cache),
        # the lock file of a work directory lives as long as it, so the cache cannot break one that is shared
        "TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE": "true",
        **passed,
        "CHECKPOINT_DISABLE": "1",
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
        **own,
        # where `init` records the backend; moved elsewhere, a remote state would be taken for a local, empty one
        "TF_DATA_DIR": ".terraform",
    }
