"""Keeps each request short, and orders for the agent that is asked: loaded by schemathesis (SCHEMATHESIS_HOOKS)."""

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    headers = case.headers or {}
    for name in list(headers):
        # How long an answer may be held is tested elsewhere.
        if name.lower() == "prefer" and "wait" in str(headers[name]):
            headers[name] = "wait=0"
        # A name that is made up is always that of another node.
        if name.lower() == "xidrill-node":
            del headers[name]
    # The stream of an experiment that runs ends with it.
    if case.operation.path.endswith("/events"):
        case.path_parameters["name"] = "none"
    # An engaged kill switch would refuse all that comes after it.
    if case.operation.path.lower().endswith("killswitch") and isinstance(case.body, dict):
        if case.body.get("engaged") is True:
            case.body["engaged"] = False
    # An engine that stays paused would make each later request wait for it.
    if case.operation.path.endswith("/PauseHostEngine") and isinstance(case.body, dict):
        seconds = case.body.get("forSeconds")
        if isinstance(seconds, int) and not isinstance(seconds, bool) and 1 <= seconds <= 3600:
            case.body["forSeconds"] = 1
    if case.operation.path.endswith("/TailKernelLog"):
        if isinstance(case.body, dict):
            seconds = case.body.get("forSeconds", 1)
            if isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and seconds >= 0.1:
                case.body["forSeconds"] = min(seconds, 0.1)
        elif not isinstance(case.body, (str, bytes, int, float, list, type(None))):
            # No body at all asks for everything that ever comes.
            case.body = {"forSeconds": 0.1}
            case.media_type = "application/json"
