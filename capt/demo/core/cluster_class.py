"""ClusterClass, as far as the stand-in needs a definition of it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from capt.api.external.cluster import CLUSTER_API_GROUP
from capt.api.meta import ApiObject, JsonObject, ResourceInfo
from capt.api.schema import AGE


class ClusterClass(ApiObject):
    """What clusters are made from: templates, variables and patches (Cluster API v1beta2)."""

    RESOURCE = ResourceInfo(
        group=CLUSTER_API_GROUP,
        version="v1beta2",
        kind="ClusterClass",
        plural="clusterclasses",
        short_names=("cc",),
        categories=("cluster-api",),
        columns=(AGE,),
    )

    api_version: Literal["cluster.x-k8s.io/v1beta2"] = "cluster.x-k8s.io/v1beta2"
    kind: Literal["ClusterClass"] = "ClusterClass"
    spec: JsonObject = Field(default_factory=dict)
    """Templates, variables and patches."""


class ClusterClassV1Beta1(ApiObject):
    """What clusters are made from: templates, variables and patches (Cluster API v1beta1)."""

    RESOURCE = ResourceInfo(
        group=CLUSTER_API_GROUP,
        version="v1beta1",
        kind="ClusterClass",
        plural="clusterclasses",
        short_names=("cc",),
        categories=("cluster-api",),
        columns=(AGE,),
    )

    api_version: Literal["cluster.x-k8s.io/v1beta1"] = "cluster.x-k8s.io/v1beta1"
    kind: Literal["ClusterClass"] = "ClusterClass"
    spec: JsonObject = Field(default_factory=dict)
    """Templates, variables and patches."""
