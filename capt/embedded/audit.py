"""What was asked, by whom, and how it ended: one record per finished request."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestInfo:
    """What a request is about, as far as its method, path and query tell.

    Attributes:
        verb: As in Kubernetes' audit log: get list watch create update patch delete deletecollection; for paths
            that are no resources, the HTTP method in lower case.
        resource: Plural name; empty for paths that are no resources.
    """

    user_agent: str
    verb: str
    path: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""

    def finished(self, code: int) -> AuditEvent:
        """The record of this request, once it is answered."""
        return AuditEvent(
            user_agent=self.user_agent,
            verb=self.verb,
            group=self.group,
            resource=self.resource,
            subresource=self.subresource,
            namespace=self.namespace,
            name=self.name,
            code=code,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One finished request. ``code`` is the HTTP status; 0 when the connection was dropped without an answer."""

    user_agent: str
    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
