"""Says how events are recorded: which fields stay out of the log."""

import json

from wit_world import exports
from wit_world.imports.types import Redaction_Drop, Severity, Treatment

# `[plugin.settings]` of policy.toml: the server checks them against this schema before the plugin sees them.
SCHEMA = """{{schema}}"""

# What the settings become, once: each call starts from a snapshot of it.
hidden = []


class Lifecycle(exports.Lifecycle):
    def settings_schema(self):
        return SCHEMA

    def validate_settings(self, settings):
        return []

    def init(self, settings):
        hidden.extend(json.loads(settings)["hidden"])


class AuditHook(exports.AuditHook):
    def treat(self, event):
        severity = Severity.INFO if event.outcome == "allowed" else Severity.WARNING
        return Treatment(severity, [(field, Redaction_Drop()) for field in hidden], True, [])
