"""A bucket that refuses: the start fails with one line that says what to do, and a running node says so until it is let in again."""

import subprocess
import uuid

import pytest
from node import BIN
from sts import restricted

READ = ["s3:GetObject", "s3:ListBucket", "s3:GetBucketLocation"]
WRITE = ["s3:PutObject", "s3:DeleteObject"]


@pytest.fixture
def bucket(s3):
    name = f"closed-{uuid.uuid4().hex[:12]}"
    (s3["folder"] / name).mkdir()
    return name


def refusal(tmp_path, store, env):
    """The last line of a start that must fail."""
    command = [BIN, "serve", "--data", str(tmp_path / "node"), "--store", store]
    for dialect in ["gateway", "otlp-grpc", "otlp-http", "prometheus", "loki", "tempo"]:
        command += [f"--{dialect}-addr", "127.0.0.1:0"]
    done = subprocess.run(command, env={"PATH": "/usr/bin:/bin", **env}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "ready" not in done.stdout
    said = done.stderr.splitlines()[-1]
    assert said.startswith("telelake: "), done.stderr
    return said


@pytest.mark.parametrize("actions", [READ, WRITE, ["s3:GetBucketLocation"]], ids=["read only", "write only", "nothing"])
def test_a_bucket_without_permission_is_named(tmp_path, s3, bucket, actions):
    said = refusal(tmp_path, f"s3://{bucket}/lake", restricted(s3["env"], bucket, actions))
    assert bucket in said and "check the credentials and that they may list, read, write and delete there" in said


def test_a_bucket_that_is_not_there_is_named(tmp_path, s3):
    said = refusal(tmp_path, "s3://no-such-bucket/lake", s3["env"])
    assert "no-such-bucket" in said and "create the bucket, or correct the url" in said


def test_wrong_credentials_are_named(tmp_path, s3, bucket):
    said = refusal(tmp_path, f"s3://{bucket}/lake", {**s3["env"], "AWS_SECRET_ACCESS_KEY": "not-the-secret"})
    assert bucket in said and "check the credentials" in said and "not-the-secret" not in said
