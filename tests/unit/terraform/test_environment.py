"""The environment of the Terraform CLI."""

from __future__ import annotations

from pathlib import Path

from capt.terraform.environment import command_environment

CACHE = Path("/cache")


def test_only_what_terraform_and_clouds_look_for_is_inherited() -> None:
    """Cloud credentials and proxies pass, the manager's own kubeconfig and secrets do not."""
    inherited = {
        "PATH": "/bin",
        "AWS_ROLE_ARN": "arn",
        "HTTPS_PROXY": "http://proxy",
        "TF_TOKEN_example_org": "t",
        "KUBECONFIG": "/secret",
        "DATABASE_PASSWORD": "x",
        "TF_CLI_ARGS": "-destroy",
        "TF_WORKSPACE": "other",
    }
    passed = command_environment(inherited, {}, plugin_cache=CACHE)
    assert {"PATH", "AWS_ROLE_ARN", "HTTPS_PROXY", "TF_TOKEN_example_org"} <= passed.keys()
    assert not {"KUBECONFIG", "DATABASE_PASSWORD", "TF_CLI_ARGS", "TF_WORKSPACE"} & passed.keys()


def test_the_workspaces_own_environment_wins() -> None:
    """An env entry overrides what is inherited and what the engine sets."""
    passed = command_environment(
        {"AWS_REGION": "a"}, {"AWS_REGION": "b", "TF_PLUGIN_CACHE_DIR": "/own"}, plugin_cache=CACHE
    )
    assert passed["AWS_REGION"] == "b"
    assert passed["TF_PLUGIN_CACHE_DIR"] == "/own"


def test_terraforms_own_records_stay_in_the_work_directory() -> None:
    """Where the backend is recorded cannot be moved, or a remote state would be taken for an empty local one."""
    passed = command_environment({}, {"TF_DATA_DIR": "/elsewhere"}, plugin_cache=CACHE)
    assert passed["TF_DATA_DIR"] == ".terraform"


def test_a_cli_config_file_that_is_not_there_is_not_named(tmp_path: Path) -> None:
    """Terraform would print a warning with every command; one that is there is passed on."""
    present = tmp_path / "terraformrc"
    present.touch()
    missing = {"TF_CLI_CONFIG_FILE": str(tmp_path / "no")}
    assert "TF_CLI_CONFIG_FILE" not in command_environment(missing, {}, plugin_cache=CACHE)
    given = {"TF_CLI_CONFIG_FILE": str(present)}
    assert command_environment(given, {}, plugin_cache=CACHE)["TF_CLI_CONFIG_FILE"] == str(present)


def test_the_managers_plugin_cache_is_preferred() -> None:
    """A cache that the manager's environment names (a mirror in the image) is used instead of ours."""
    assert command_environment({}, {}, plugin_cache=CACHE)["TF_PLUGIN_CACHE_DIR"] == "/cache"
    named = {"TF_PLUGIN_CACHE_DIR": "/mirror"}
    assert command_environment(named, {}, plugin_cache=CACHE)["TF_PLUGIN_CACHE_DIR"] == "/mirror"
