"""Credentials that may do less: AssumeRole of the S3 server's STS endpoint, signed by hand (AWS signature version 4)."""

import datetime
import hashlib
import hmac
import json
import re
import time
import urllib.parse

from node import HttpError, http


def restricted(env, bucket, actions):
    """Environment variables of a session that may only do `actions` on `bucket`. `env` holds the owner's variables."""
    arns = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": arns}]}
    form = urllib.parse.urlencode({"Action": "AssumeRole", "Version": "2011-06-15", "DurationSeconds": "3600",
                                   "Policy": json.dumps(policy)})
    answer = asked(env, form)
    found = {name: re.search(f"<{name}>(.*?)</{name}>", answer.decode()).group(1)
             for name in ["AccessKeyId", "SecretAccessKey", "SessionToken"]}
    return {**env, "AWS_ACCESS_KEY_ID": found["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": found["SecretAccessKey"],
            "AWS_SESSION_TOKEN": found["SessionToken"]}


def asked(env, form):
    """The answer, once the server has loaded its users: it is alive before that."""
    for _ in range(100):
        try:
            return http("POST", env["AWS_ENDPOINT_URL"] + "/", form.encode(), signed(env, form))[1]
        except HttpError as error:
            if b"not initialized" not in error.body:
                raise
            time.sleep(0.1)
    raise TimeoutError("the S3 server did not load its users")


def signed(env, form):
    """The headers of a signed POST of `form` to the service `sts`."""
    host = urllib.parse.urlparse(env["AWS_ENDPOINT_URL"]).netloc
    at = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{at[:8]}/{env['AWS_REGION']}/sts/aws4_request"
    kind, body = "application/x-www-form-urlencoded", hashlib.sha256(form.encode()).hexdigest()
    canonical = f"POST\n/\n\ncontent-type:{kind}\nhost:{host}\nx-amz-date:{at}\n\ncontent-type;host;x-amz-date\n{body}"
    text = f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = ("AWS4" + env["AWS_SECRET_ACCESS_KEY"]).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return {"Content-Type": kind, "Host": host, "X-Amz-Date": at,
            "Authorization": f"AWS4-HMAC-SHA256 Credential={env['AWS_ACCESS_KEY_ID']}/{scope}, "
                             f"SignedHeaders=content-type;host;x-amz-date, Signature={signature}"}
