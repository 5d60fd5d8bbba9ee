"""Event, the core kind in which `kubectl describe` tells what happened to an object."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from capt.api.meta import ApiModel, ApiObject, MicroTime, ResourceInfo, Text, Time


class InvolvedObject(ApiModel):
    """The object that an event is about."""

    api_version: Text = ""
    kind: Text = ""
    namespace: Text = ""
    name: Text = ""
    uid: Text = ""
    resource_version: Text = ""
    field_path: Text = ""


class EventSource(ApiModel):
    """The component that reported an event."""

    component: Text = ""
    host: Text = ""


class EventSeries(ApiModel):
    """How often an event was repeated, and when last."""

    count: int | None = None
    last_observed_time: MicroTime | None = None


class Event(ApiObject):
    """A core/v1 Event."""

    RESOURCE = ResourceInfo(group="", version="v1", kind="Event", plural="events", short_names=("ev",))

    api_version: Literal["v1"] = "v1"
    kind: Literal["Event"] = "Event"
    involved_object: InvolvedObject
    """What the event is about."""
    type: Text = ""
    """Normal or Warning."""
    reason: Text = ""
    """Why, as one CamelCase word for programs."""
    message: Text = ""
    """What happened, as text for people."""
    action: Text = ""
    """What the reporter did."""
    count: int | None = None
    """How often it happened."""
    first_timestamp: Time | None = None
    """When it first happened."""
    last_timestamp: Time | None = None
    """When it last happened."""
    event_time: MicroTime | None = None
    """When it first happened, for reporters of the newer events API."""
    series: EventSeries | None = None
    """Repetitions, for reporters of the newer events API."""
    source: EventSource = Field(default_factory=EventSource)
    """Who reported it."""
    related: InvolvedObject | None = None
    """A second object that took part."""
    reporting_component: Text = ""
    """Controller that reported it."""
    reporting_instance: Text = ""
    """Instance of that controller."""
