"""Admits what other servers want in working hours only, by a calendar with holidays and the working weekends that make up
for them, as the state council publishes both every year."""

import json
from datetime import date, datetime, timedelta, timezone

from wit_world import exports
from wit_world.exports.lifecycle import Diagnostic, Severity
from wit_world.imports import lists
from wit_world.imports.types import Decision_Abstain, Decision_Deny, Direction, Reason

SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "office-hours",
    "type": "object",
    "additionalProperties": False,
    "required": ["hours"],
    "properties": {
        "hours": {
            "type": "string",
            "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9]$",
            "description": "From the first time to before the second.",
        },
        "utc_offset": {"type": "integer", "minimum": -14, "maximum": 14, "default": 8, "description": "In hours."},
        "operations": {
            "type": "array",
            "items": {"type": "string", "minLength": 1},
            "default": ["message.send"],
            "description": "What is kept for working hours.",
        },
        "holidays": {"type": "string", "description": "A list of dates (2026-10-01) that are no working days."},
        "workdays": {"type": "string", "description": "A list of dates of weekends that are working days."},
    },
}

SATURDAY = 5


class Calendar:
    """What the settings become, once: each call starts from a snapshot of it."""

    def __init__(self, settings):
        self.begins, self.ends = settings["hours"].split("-")
        self.zone = timezone(timedelta(hours=settings.get("utc_offset", 8)))
        self.operations = settings.get("operations", ["message.send"])
        self.holidays = dates(settings.get("holidays"))
        self.workdays = dates(settings.get("workdays"))

    def closed(self, time_ms):
        """The setting that closes at this moment, if one does."""
        now = datetime.fromtimestamp(time_ms / 1000, self.zone)
        if now.date() in self.holidays:
            return "#/holidays"
        if now.weekday() >= SATURDAY and now.date() not in self.workdays:
            return "#/workdays"
        return None if self.begins <= now.strftime("%H:%M") < self.ends else "#/hours"


def dates(name):
    return {date.fromisoformat(entry.split()[0]) for entry in lists.entries(name)} if name else set()


calendar = None


class Lifecycle(exports.Lifecycle):
    def settings_schema(self):
        return json.dumps(SCHEMA)

    def validate_settings(self, settings):
        settings = json.loads(settings)
        found = []
        for key in ("holidays", "workdays"):
            if (name := settings.get(key)) is None:
                continue
            try:
                dates(name)
            except ValueError as wrong:
                found.append(Diagnostic(Severity.ERROR, f"/{key}", f"in the list `{name}`: {wrong}"))
            if not lists.known(name):
                found.append(Diagnostic(Severity.ERROR, f"/{key}", f"the bundle has no list `{name}`"))
        begins, ends = settings["hours"].split("-")
        if begins >= ends:
            found.append(Diagnostic(Severity.ERROR, "/hours", "end before they begin"))
        return found

    def init(self, settings):
        global calendar
        calendar = Calendar(json.loads(settings))


class AccessHook(exports.AccessHook):
    def decide(self, call):
        if call.direction != Direction.INBOUND or call.operation not in calendar.operations:
            return Decision_Abstain()
        if (why := calendar.closed(call.time_ms)) is None:
            return Decision_Abstain()
        return Decision_Deny(Reason(f"closed{why}", "messages are taken in working hours only"))
