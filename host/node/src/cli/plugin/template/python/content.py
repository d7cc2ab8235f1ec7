"""Says what may be said here: no links to places unknown."""

import json
import re

from wit_world import exports
from wit_world.imports.types import Judgement, Reason, Verdict_Pass, Verdict_Reject

# `[plugin.settings]` of policy.toml: the server checks them against this schema before the plugin sees them.
SCHEMA = """{{schema}}"""

LINK = re.compile(r"://([\w.-]*)")

# What the settings become, once: each call starts from a snapshot of it.
allowed = set()


class Lifecycle(exports.Lifecycle):
    def settings_schema(self):
        return SCHEMA

    def validate_settings(self, settings):
        return []

    def init(self, settings):
        allowed.update(host.lower() for host in json.loads(settings).get("allowed_hosts", []))


class ContentHook(exports.ContentHook):
    def judge(self, call, item, body):
        if all(host in allowed for host in LINK.findall(item.text.lower())):
            return Judgement(Verdict_Pass(), [])
        return Judgement(Verdict_Reject(Reason("link", "links are not allowed here")), ["link"])
