"""Two writers on one bucket, killed again and again: the crash loop on the real S3 server, briefly."""

import os
import subprocess
import sys
import uuid


def test_two_writers_on_one_bucket_lose_nothing(s3):
    bucket = f"crash-{uuid.uuid4().hex[:12]}"
    (s3["folder"] / bucket).mkdir()
    loop = os.path.join(os.path.dirname(__file__), "crash_loop.py")
    command = [sys.executable, loop, "--kills", "6", "--nodes", "2", "--store", f"s3://{bucket}/lake", "--seed", "5"]
    done = subprocess.run(command, env={**os.environ, **s3["env"]}, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
