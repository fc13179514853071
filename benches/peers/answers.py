"""Are two answers the same? A fast wrong answer is no result."""

import json
import math

# Relative difference of two values that counts as one. Sums of floats in another order are far below it.
TOLERANCE = 0.02


class Answer:
    """An answer, as far as it is compared: series by label set, each with its values by time."""

    def __init__(self, status, body):
        self.error = None
        self.rows = {}
        try:
            parsed = json.loads(body)
        except ValueError:
            parsed = {"error": body[:200].decode(errors="replace")}
        if status != 200 or parsed.get("status") != "success":
            self.error = f"{status}: {parsed.get('error', '')[:300]}"
            return
        data = parsed["data"]
        if isinstance(data, list):
            for row in data:
                self.rows[_key(row) if isinstance(row, dict) else row] = {}
        elif data["resultType"] == "scalar":
            self.rows[()] = dict([data["result"]])
        else:
            for row in data["result"]:
                self.rows[_key(row["metric"])] = dict(row.get("values") or [row["value"]])

    def points(self):
        return sum(len(row) for row in self.rows.values())


def difference(reference, other, ties=False):
    """None when `other` answers as `reference` does, else what is different first. Times are compared to the millisecond. With `ties`
    it does not matter which series have the values."""
    if reference.error or other.error:
        return other.error and f"error {other.error}"
    if ties:
        return _ties(reference, other)
    if missing := next((key for key in reference.rows if key not in other.rows), None):
        return f"{len(other.rows)} rows for {len(reference.rows)}; {_text(missing)} is missing"
    if added := next((key for key in other.rows if key not in reference.rows), None):
        return f"{len(other.rows)} rows for {len(reference.rows)}; {_text(added)} is added"
    for key, values in reference.rows.items():
        theirs = other.rows[key]
        if len(values) != len(theirs):
            return f"{len(theirs)} points for {len(values)} of {_text(key)}"
        for at, value in values.items():
            if at not in theirs:
                return f"no point at {at} of {_text(key)}"
            if not close(float(value), float(theirs[at])):
                return f"{theirs[at]} for {value} at {at} of {_text(key)}"
    return None


def _ties(reference, other):
    of, theirs = (sorted((at, float(v)) for row in answer.rows.values() for at, v in row.items()) for answer in (reference, other))
    if len(of) != len(theirs):
        return f"{len(theirs)} points for {len(of)}"
    return next((f"{b[1]} for {a[1]} at {a[0]}" for a, b in zip(of, theirs) if a[0] != b[0] or not close(a[1], b[1])), None)


def largest_gap(reference, other):
    """The largest relative difference of two values that both answers have; None if there is none in common."""
    gaps = [
        _gap(float(value), float(other.rows[key][at]))
        for key, values in reference.rows.items()
        if key in other.rows
        for at, value in values.items()
        if at in other.rows[key]
    ]
    return max(gaps, default=None)


def close(a, b):
    return _gap(a, b) <= TOLERANCE


def _gap(a, b):
    if a == b or (math.isnan(a) and math.isnan(b)):
        return 0.0
    if not (math.isfinite(a) and math.isfinite(b)):
        return math.inf
    return abs(a - b) / max(abs(a), abs(b))


def _key(labels):
    return tuple(sorted(labels.items()))


def _text(key):
    return key if isinstance(key, str) else "{" + ", ".join(f"{name}={value!r}" for name, value in key) + "}"
