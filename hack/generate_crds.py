"""Write the CustomResourceDefinitions of capt's kinds, generated from their models, to `manifests/`.

Usage: python hack/generate_crds.py [--check]

With `--check` nothing is written; the exit code is 1 when a file differs from its model.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from capt.api import CLUSTER_EDITIONS, KINDS, ApiObject, Workspace
from capt.api.crd import definition

MANIFESTS = Path(__file__).resolve().parent.parent / "manifests"
HEADER = "# Generated from capt/api by hack/generate_crds.py (make crds). Do not edit.\n"


class _Dumper(yaml.SafeDumper):
    """Block style for text of several lines, no anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def render(model: type[ApiObject]) -> str:
    """Return the manifest of a kind's CRD."""
    return HEADER + yaml.dump(
        definition(model), Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True
    )


def manifests() -> Mapping[Path, str]:
    """Return the content of every generated file by its path.

    The CRDs of others lie apart: they are for API servers without the provider, or without Cluster API, and must never
    overwrite theirs. Of Cluster there is one for each version that may be served.
    """
    placed: list[tuple[str, type[ApiObject]]] = [
        *(("crds", model) for model in KINDS),
        ("workspace", Workspace),
        *((f"cluster-api/{model.RESOURCE.version}", model) for model in CLUSTER_EDITIONS),
    ]
    return {
        MANIFESTS / folder / f"{model.RESOURCE.group}_{model.RESOURCE.plural}.yaml": render(model)
        for folder, model in placed
    }


def main(arguments: list[str] | None = None) -> int:
    """Write the manifests, or compare them with what is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is stale")
    options = parser.parse_args(arguments)
    stale = {
        path: content
        for path, content in manifests().items()
        if not path.exists() or path.read_text(encoding="utf-8") != content
    }
    for path, content in stale.items():
        if options.check:
            print(f"{path.relative_to(MANIFESTS.parent)} is stale: run make crds", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
            print(f"wrote {path.relative_to(MANIFESTS.parent)}")
    return 1 if stale and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
