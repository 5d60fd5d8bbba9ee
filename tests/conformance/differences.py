"""Where the embedded server answers differently on purpose, and why. Everything else is a bug."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Difference:
    """A known difference: which facts it touches (regular expression on ``concern: fact``), where, and the reason."""

    facts: str
    where: str
    reason: str


DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        r"^compaction: a watch",
        r"\.message$",
        "A watch from a forgotten version is refused in the words of the real server's watch cache, not of its storage.",
    ),
    Difference(
        r"^patches: server-side apply",
        r".*",
        "Server-side apply is not served: 415 with a sentence that names the way out. It needs managed fields, which no"
        " controller here relies on.",
    ),
    Difference(
        r"^patches: a custom object takes no|^openapi: the paths say",
        r"\.message$|\.details$|\[1\]$",
        "The list of patch formats leaves out server-side apply.",
    ),
    Difference(
        r"^field_validation: (updates and patches|a body that|YAML)|^deletion: a policy|^lists: parameters"
        r"|^subresources: scale",
        r"\.message$",
        "What cannot be decoded is refused with the same status and reason; the sentence quotes Go's decoder there and"
        " Python's here, or the object with its managed fields.",
    ),
    Difference(
        r"^field_validation: a body that",
        r"\.causes|\.warnings",
        "An object of a wrong kind or version is refused before, not after, its fields are looked at.",
    ),
    Difference(
        r"^health: a format that",
        r"\.message$|\.details$",
        "Answers are JSON only: no YAML, no protobuf.",
    ),
    Difference(
        r"^openapi: metadata is described",
        r"ownerReferences\.items\.required",
        "The server refuses incomplete owner references by a rule, not by its schema.",
    ),
    Difference(
        r"^openapi: no document",
        r"\.(body|type)",
        "The 404 has the same text as every other unknown path, where the real one is empty.",
    ),
    Difference(
        r"^patches: PUT",
        r"\.message$",
        "A uid that is not the object's is a conflict; the sentence does not name a key in etcd.",
    ),
    Difference(
        r"^tables:",
        r"columnDefinitions\[0\]\.description",
        "The column Name has no description.",
    ),
    Difference(
        r"^tables: metadata alone",
        r"\.body\.items$",
        "An empty list of metadata is [], where the real server says null.",
    ),
    Difference(
        r"^tables: an object that is written",
        r"\.body",
        "Writes answer with the whole object, whatever the Accept header says.",
    ),
    Difference(
        r"^subresources: a namespace",
        r"lastTransitionTime",
        "A condition without a time has no null in its place.",
    ),
    Difference(
        r"^openapi: the index",
        r"\.type$",
        "The index is said to be JSON, which it is, not text/plain.",
    ),
    Difference(
        r"^(namespaces: a namespace as|schemas: updates)",
        r"\.resourceVersion$",
        "A patch that changes nothing but managed fields makes a new version of an object that has them.",
    ),
    Difference(
        r"^schemas: (numbers|updates)",
        r"\.causes|\.message$",
        "For a number that is no integer, and for a status that is no object, Go's validator adds a cause without a"
        " field, or forgets the field's name in the sentence.",
    ),
    Difference(
        r"^secrets: a secret's data",
        r"\.message$|\.body\[[01]\]$|\.code$|\.data$",
        "Broken base64 is refused with 400 in a patch too, the position named counts single bytes, not groups of four, and"
        " a key whose value is null is left out instead of being empty.",
    ),
    Difference(
        r"^secrets: a secret's type",
        r"\.warnings",
        "The certificates of a TLS secret are not looked into.",
    ),
    Difference(
        r"^subresources: scale",
        r"\.(code|reason|details)$",
        "Replicas that are no number are refused with 400 in a patch too.",
    ),
    Difference(
        r"^definitions: a rule that names",
        r"\.(body|code)",
        "CEL rules are compiled without the schema's types: an unknown field is an error when the rule runs.",
    ),
)


def is_known(fact: str, where: str) -> bool:
    """Whether the difference at this place of this fact's transcript is a known one."""
    return any(re.search(d.facts, fact) and re.search(d.where, where) for d in DIFFERENCES)
