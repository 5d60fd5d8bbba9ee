"""controller-runtime for asyncio: caches, clients, queues, controllers, leader election. Knows none of capt's kinds."""

from __future__ import annotations

from capt.runtime import finalizers, shared_list
from capt.runtime.backoff import Backoff, ItemBackoff
from capt.runtime.client import Client
from capt.runtime.clock import Clock, SystemClock, Timer
from capt.runtime.conditions import ConditionLike, find_condition, is_true, set_condition
from capt.runtime.config import ClusterConfig
from capt.runtime.controller import Controller, Watch, watch_mapped, watch_owned, watch_self
from capt.runtime.errors import (
    AlreadyExists,
    AnswerLike,
    ApiError,
    BadRequest,
    CacheLagError,
    ConfigError,
    Conflict,
    ConnectionFailed,
    ErrorClass,
    FieldConflict,
    Forbidden,
    Gone,
    Invalid,
    NamespaceTerminating,
    NotFound,
    NotWatched,
    RequestTimeout,
    ServerError,
    TerminalError,
    TooManyRequests,
    TransientError,
    Unauthorized,
    UndecodableError,
    classify,
    raise_for_status,
)
from capt.runtime.event import Event
from capt.runtime.fence import LeadershipLostError
from capt.runtime.informer import Informers
from capt.runtime.logging import configure as configure_logging
from capt.runtime.logging import get_logger
from capt.runtime.manager import Manager, ManagerOptions
from capt.runtime.metrics import Metrics
from capt.runtime.object import Object, Owner, parse_object
from capt.runtime.owners import controller_reference, is_controlled_by
from capt.runtime.predicates import (
    Predicate,
    all_of,
    annotations_changed,
    any_of,
    generation_changed,
    labels_changed,
    not_,
)
from capt.runtime.recorder import Recorder
from capt.runtime.resource import Dumpable, Key, Kind, KubeObject, MetadataView, OwnerReferenceView, Resource
from capt.runtime.result import After, Done, Reconciler, Request, Result
from capt.runtime.rights import Right, may
from capt.runtime.scope import Scope, Transform, project
from capt.runtime.selector import Selector, parse_selector
from capt.runtime.shared_informer import InformerStatistics
from capt.runtime.store import Store
from capt.runtime.transport import HttpTransport, Response, Transport
from capt.runtime.watch_handle import WatchHandle

__all__ = [
    "After",
    "AlreadyExists",
    "AnswerLike",
    "ApiError",
    "Backoff",
    "BadRequest",
    "CacheLagError",
    "Client",
    "Clock",
    "ClusterConfig",
    "ConditionLike",
    "ConfigError",
    "Conflict",
    "ConnectionFailed",
    "Controller",
    "Done",
    "Dumpable",
    "ErrorClass",
    "Event",
    "FieldConflict",
    "Forbidden",
    "Gone",
    "HttpTransport",
    "InformerStatistics",
    "Informers",
    "Invalid",
    "ItemBackoff",
    "Key",
    "Kind",
    "KubeObject",
    "LeadershipLostError",
    "Manager",
    "ManagerOptions",
    "MetadataView",
    "Metrics",
    "NamespaceTerminating",
    "NotFound",
    "NotWatched",
    "Object",
    "Owner",
    "OwnerReferenceView",
    "Predicate",
    "Reconciler",
    "Recorder",
    "Request",
    "RequestTimeout",
    "Resource",
    "Response",
    "Result",
    "Right",
    "Scope",
    "Selector",
    "ServerError",
    "Store",
    "SystemClock",
    "TerminalError",
    "Timer",
    "TooManyRequests",
    "Transform",
    "TransientError",
    "Transport",
    "Unauthorized",
    "UndecodableError",
    "Watch",
    "WatchHandle",
    "all_of",
    "annotations_changed",
    "any_of",
    "classify",
    "configure_logging",
    "controller_reference",
    "finalizers",
    "find_condition",
    "generation_changed",
    "get_logger",
    "is_controlled_by",
    "is_true",
    "labels_changed",
    "may",
    "not_",
    "parse_object",
    "parse_selector",
    "project",
    "raise_for_status",
    "set_condition",
    "shared_list",
    "watch_mapped",
    "watch_owned",
    "watch_self",
]
