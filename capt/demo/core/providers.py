"""Provider kinds, found as core finds them: by the contract's labels on their definitions."""

from __future__ import annotations

from dataclasses import dataclass

from capt.demo.core.edition import Edition, EditionName, Reference
from capt.demo.core.unstructured import DEFINITION, Unstructured
from capt.runtime import Client, Kind, Resource, TerminalError


@dataclass(frozen=True, slots=True)
class ProviderKind:
    """A kind of a provider.

    Attributes:
        kind: How to read it.
        contract: The version of the contract that it fulfils, of those that the edition reads.
    """

    kind: Kind[Unstructured]
    contract: EditionName


async def find_kind(client: Client, edition: Edition, reference: Reference) -> ProviderKind:
    """Return the kind that a reference names.

    Core derives the definition's name from the kind, and the version from the label of the contract; of several
    versions that a label lists the last one counts.

    Raises:
        TerminalError: There is no such definition, or it has no label of a contract that the edition reads.
        ApiError: The API server did not answer.
    """
    plural = reference.kind.lower() + "s"
    name = f"{plural}.{reference.group}"
    definition = await client.get_live(DEFINITION, "", name)
    if definition is None:
        raise TerminalError(f"no definition {name} for kind {reference.kind}")
    for contract in edition.contracts:
        versions = definition.metadata.labels.get(f"cluster.x-k8s.io/{contract}")
        if versions:
            version = versions.split("_")[-1]
            resource = Resource(group=reference.group, version=version, kind=reference.kind, plural=plural)
            return ProviderKind(Kind(resource, Unstructured), contract)
    raise TerminalError(f"cannot find any versions matching contract versions {edition.contracts} for {name}")
