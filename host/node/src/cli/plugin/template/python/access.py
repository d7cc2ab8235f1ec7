"""Says which servers may do what here."""

import json
import re

from wit_world import exports
from wit_world.imports.types import Decision_Abstain, Decision_Deny, Reason

# `[plugin.settings]` of policy.toml: the server checks them against this schema before the plugin sees them.
SCHEMA = """{{schema}}"""

# What the settings become, once: each call starts from a snapshot of it.
closed_to = []


class Lifecycle(exports.Lifecycle):
    def settings_schema(self):
        return SCHEMA

    def validate_settings(self, settings):
        return []

    def init(self, settings):
        closed_to.extend(pattern(text) for text in json.loads(settings)["closed_to"])


class AccessHook(exports.AccessHook):
    def decide(self, call):
        if call.peer and any(closed.fullmatch(call.peer.id) for closed in closed_to):
            return Decision_Deny(Reason("closed", "this server is not admitted here"))
        return Decision_Abstain()


def pattern(text):
    """`*` stands for any number of characters; case does not matter."""
    return re.compile(".*".join(map(re.escape, text.split("*"))), re.IGNORECASE)
