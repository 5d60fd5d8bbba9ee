from __future__ import annotations

import asyncio
import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from capt import __version__
from capt.api import KINDS, WORKSPACE_FLAVOURS
from capt.controllers.state_metrics import gauges
from capt.embedded import ApiServer, ServerOptions
from capt.install import definitions, install_definitions
from capt.manager import parse
from capt.runtime import Client, ClusterConfig, HttpTransport, SystemClock
from capt.runtime.metrics import Metrics
from tests.support import project

PAGES = sorted(
    [
        *(project.ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
        *(project.ROOT / "docs").glob("*.md"),
    ]
)
MODELS = {model.RESOURCE.kind: model for model in KINDS}
RESOURCES = {
    *(name for model in KINDS for name in (model.RESOURCE.plural, model.RESOURCE.kind.lower())),
    *(name for model in KINDS for name in (*model.RESOURCE.short_names, *model.RESOURCE.categories)),
    *(flavour.plural for flavour in WORKSPACE_FLAVOURS),
    *("deployment", "events", "leases", "pods", "secret"),
}


@dataclass(frozen=True, slots=True)
class Block:
    page: str
    language: str
    text: str


def blocks(language: str) -> list[Any]:
    found = [
        Block(page.name, name, text)
        for page in PAGES
        for name, text in re.findall(
            r"^```(\w+)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        )
    ]
    return [
        pytest.param(block, id=f"{block.page}-{number}")
        for number, block in enumerate(found)
        if block.language == language
    ]


def inline_code() -> set[str]:
    """What stands between backticks in running text and tables."""
    prose = "".join(
        re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for page in PAGES
    )
    return set(re.findall(r"`([^`\n]+)`", prose))


def source() -> str:
    package = project.ROOT / "capt"
    return "".join(path.read_text(encoding="utf-8") for path in sorted(package.rglob("*.py")))


def flags() -> set[str]:
    with contextlib.redirect_stdout(io.StringIO()) as text, contextlib.suppress(SystemExit):
        parse(["--help"])
    return set(re.findall(r"--[a-z][a-z-]+", text.getvalue()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file that exists, and every anchor a heading of it."""
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w-]", "", each.lower().replace(" ", "-")) for each in headings}


def test_blocks_have_a_language_that_is_checked() -> None:
    """No example escapes the checks below."""
    languages = {
        name
        for page in PAGES
        for name in re.findall(r"^```(.*)\n(?:.*\n)*?```$", page.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert languages == {
        "shell",
        "yaml",
        "text",
        "mermaid",
        "python",
    }  # Python: tests/integration/test_example.py


@pytest.mark.parametrize("block", blocks("shell"))
def test_commands_are_such_as_can_be_typed(block: Block) -> None:
    """B-K15: Commands name make targets, flags, files and resources that there are."""
    for line in block.text.splitlines():
        words = shlex.split(line)
        checks[Path(words[0]).name](words[1:])


@pytest.mark.parametrize("block", blocks("yaml"))
def test_manifests_are_valid(block: Block) -> None:
    """Manifests of our kinds are read by our models, and the CRDs know all their fields."""
    for document in yaml.safe_load_all(block.text):
        model = MODELS.get(document.get("kind", ""))
        if model is None:
            continue
        model.model_validate(document)
        assert list(unknown_fields(document, schema(model.RESOURCE.plural))) == []


@pytest.mark.kubectl
@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH")
def test_the_overlay_in_the_readme_works(tmp_path: Path) -> None:
    """Laid beside a checkout, the README's overlay gives the Deployment the image that it names."""
    (overlay,) = (
        block.values[0].text for block in blocks("yaml") if "kind: Kustomization" in block.values[0].text
    )
    shutil.copytree(project.ROOT / "manifests", tmp_path / "capt" / "manifests")
    (tmp_path / "overlay").mkdir()
    (tmp_path / "overlay" / "kustomization.yaml").write_text(overlay, encoding="utf-8")
    built = subprocess.run(
        ["kubectl", "kustomize", tmp_path / "overlay"], capture_output=True, text=True, check=True
    ).stdout
    (image,) = yaml.safe_load(overlay)["images"]
    assert f"image: {image['newName']}:{__version__}\n" in built


@pytest.mark.kubectl
@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH")
async def test_kubectl_commands_and_manifests_work(tmp_path: Path) -> None:
    """Where CAPT's CRDs are installed, kubectl applies every example and runs every command of the pages."""
    examples = [
        document
        for block in blocks("yaml")
        for document in yaml.safe_load_all(block.values[0].text)
        if document.get("kind") in MODELS
    ]
    manifests = tmp_path / "examples.yaml"
    manifests.write_text(yaml.safe_dump_all(examples), encoding="utf-8")
    commands = [
        line
        for block in blocks("shell")
        for line in block.values[0].text.splitlines()
        # the manager's own namespace is a real cluster's
        if line.startswith("kubectl") and "capt-system" not in line and "manifests/" not in line
    ]
    async with ApiServer(ServerOptions(data_dir=None)) as server:
        server.write_kubeconfig(tmp_path / "kubeconfig")
        config = ClusterConfig.from_dict(server.kubeconfig())
        async with HttpTransport(config) as transport:
            folders = [project.ROOT / "manifests" / name for name in ("crds", "workspace")]
            await install_definitions(Client(transport), definitions(*folders), SystemClock())
        for command in (
            f"kubectl apply --validate=strict -f {project.ROOT / 'manifests' / 'samples'}",
            f"kubectl apply --validate=strict -f {manifests}",
            # what a control plane makes
            "kubectl create secret generic demo-user-kubeconfig --from-literal=value=x",
            *commands,
        ):
            await run(shlex.split(command), tmp_path / "kubeconfig")


async def run(words: list[str], kubeconfig: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *words,
        env=os.environ | {"KUBECONFIG": str(kubeconfig)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0, f"{shlex.join(words)}\n{printed.decode()}"


def test_flags_are_all_explained() -> None:
    """The table in the README has every flag and no other."""
    readme = (project.ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`--.*?) \|", readme, re.MULTILINE)
    assert {flag for row in rows for flag in re.findall(r"--[a-z-]+", row)} == flags() - {
        "--help",
        "--version",
    }


def test_flags_in_the_text_exist() -> None:
    """No page names a flag that the manager does not have."""
    named = {flag for code in inline_code() for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", code)}
    assert named <= flags() | {"--namespace", "--for"}


def test_metrics_exist() -> None:
    """Every metric that the pages name is one that the manager serves."""
    metrics = Metrics()
    families = (*metrics.registry.collect(), *gauges({}))
    served = {family.name + suffix for family in families for suffix in ("", "_total")}
    # those that a controller or the engine adds to a manager's registry
    served |= set(re.findall(r'^ +"(capt_[a-z_]+)",$', source(), re.MULTILINE))
    pattern = r"(?:controller|workqueue|rest_client|leader_election|capt)_[a-z_]+"
    named = {code for code in inline_code() if re.fullmatch(pattern, code)}
    assert named
    assert named <= served


def test_reasons_and_annotations_exist() -> None:
    """Every condition reason and every annotation that the pages name stands in the code."""
    code = source()
    named = {
        word
        for word in inline_code()
        if re.fullmatch(r"(?:[A-Z][a-z]+){2,}", word) or word.startswith(("capt.infra", "cluster.x-k8s.io/"))
    }
    assert named
    assert {word for word in named if word.partition(":")[0] not in code} == set()


def test_fields_exist() -> None:
    """Every camelCase field that the pages name is one of a CRD, or of Kubernetes' own metadata."""
    text = "".join(path.read_text(encoding="utf-8") for path in (project.ROOT / "manifests").rglob("*.yaml"))
    named = {part for word in inline_code() for part in re.findall(r"\b[a-z]+(?:[A-Z][a-z]+)+\b", word)}
    assert named
    # a Lease's
    assert {word for word in named if f"{word}:" not in text} <= {"holderIdentity"}


def test_changelog_knows_the_version() -> None:
    """B-K23: The version of the package stands in the changelog, released or in the making."""
    assert __version__ in (project.ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def check_make(words: list[str]) -> None:
    makefile = (project.ROOT / "Makefile").read_text(encoding="utf-8")
    for target in words:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def check_python(words: list[str]) -> None:
    match words:
        case ["-m", "capt.manager", *flags]:
            parse(flags)
        case ["-m", "pytest", path]:
            assert (project.ROOT / path).exists()
        case _:
            assert words == ["-m", "hack.envtest"]


def check_env(words: list[str]) -> None:
    name, _, value = words[0].partition("=")
    assert (name, value) == ("CAPT_TEST_APISERVER", "real")
    check_python(words[2:])


def check_kubectl(words: list[str]) -> None:
    words = list(words)
    for place, word in enumerate(words):
        if word in ("-f", "-k"):
            path = project.ROOT / words[place + 1]
            assert path.is_dir(), path
            kustomizations = (path / "Kustomization", path / "kustomization.yaml")
            assert word == "-f" or any(each.exists() for each in kustomizations)
    if words[0] == "--namespace":
        del words[:2]
    verb, rest = words[0], [word for word in words[1:] if not word.startswith("-")]
    if verb in ("get", "describe"):
        assert set(rest[0].split(",")) <= RESOURCES, rest[0]


def check_docker(words: list[str]) -> None:
    assert words == ["build", "--tag", f"capt:{__version__}", "."]


def check_clusterctl(words: list[str]) -> None:
    assert words in (["get", "kubeconfig", "demo"], ["move", "--to-kubeconfig", "target.kubeconfig"])


def check_curl(words: list[str]) -> None:
    (address,) = words
    assert address in ("localhost:8081/readyz?verbose", "localhost:8080/metrics")


checks: dict[str, Callable[[list[str]], None]] = {
    "make": check_make,
    "python": check_python,
    "kubectl": check_kubectl,
    "clusterctl": check_clusterctl,
    "docker": check_docker,
    "curl": check_curl,
    "env": check_env,
}


def schema(plural: str) -> dict[str, Any]:
    (file,) = (project.ROOT / "manifests" / "crds").glob(f"*_{plural}.yaml")
    (definition,) = project.yaml_documents(file.read_text(encoding="utf-8"))
    found: dict[str, Any] = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def unknown_fields(value: Any, known: dict[str, Any], path: str = "") -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from unknown_fields(item, known["items"], f"{path}[]")
    if not isinstance(value, dict) or "properties" not in known:
        return
    for name, item in value.items():
        if name not in known["properties"]:
            yield f"{path}.{name}"
        else:
            yield from unknown_fields(item, known["properties"][name], f"{path}.{name}")


def test_figures_in_the_readme_come_from_the_benchmarks() -> None:
    """What the README says of speed stands in docs/benchmarks.md, as `make bench` printed it."""
    section = (project.ROOT / "README.md").read_text().partition("## Measured\n")[2].partition("\n## ")[0]
    figures = re.findall(r"\| (\d+\.\d+x) \|", section)
    assert figures
    printed = (project.ROOT / "docs" / "benchmarks.md").read_text()
    assert [each for each in figures if f"({each})" not in printed] == []
