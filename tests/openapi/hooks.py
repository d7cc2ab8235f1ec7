"""For schemathesis over docs/openapi: who calls the client interface, and what the documents' examples name.

alice calls, except where a call would end her log-in: there mallory, who logs in anew each time.
"""

import json
import os
import ssl
import urllib.request

import schemathesis

# These end log-ins.
FINAL = ("/client/v1/logout", "/client/v1/password", "/client/v1/devices/{id}")

# What has an ID of the server's choice.
REAL = {"g-1@north": os.environ["GROUP_ID"], "m-3a7c": os.environ["MEDIA_ID"]}

TRUST = ssl.create_default_context(cafile=os.environ["CLIENT_CA"])
TOKENS = {}


def log_in(user):
    body = json.dumps({"userID": user, "password": os.environ[f"PASSWORD_OF_{user.upper()}"], "deviceName": "schemathesis"})
    request = urllib.request.Request(
        os.environ["CLIENT_URL"] + "/client/v1/login", body.encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, context=TRUST) as answer:
        return json.load(answer)["accessToken"]


@schemathesis.auth(refresh_interval=None).apply_to(path_regex="^/client/")
class Token:
    def get(self, case, context):
        if case.operation.path in FINAL:
            return log_in("mallory")
        if "alice" not in TOKENS:
            TOKENS["alice"] = log_in("alice")
        return TOKENS["alice"]

    def set(self, case, data, context):
        case.headers = case.headers or {}
        case.headers["Authorization"] = f"Bearer {data}"


def real(value):
    if isinstance(value, dict):
        return {name: real(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [real(inner) for inner in value]
    return REAL.get(value, value) if isinstance(value, str) else value


@schemathesis.hook
def map_case(context, case):
    case.path_parameters = real(case.path_parameters)
    case.query = real(case.query)
    # Nobody here makes the change that the caller would wait for.
    (case.query or {}).pop("wait", None)
    case.body = real(case.body)
    return case
