"""The scripts, one constant for each file of `lua/` that Redis runs."""

from __future__ import annotations

from .database import Script

APPEND = Script("append")
CHANGES = Script("changes")
CHATS = Script("chats")
CHECK = Script("check")
CLAIM = Script("claim")
DELETE = Script("delete")
END = Script("end")
EXPIRE = Script("expire")
FIND_PARTITION = Script("find_partition")
FIND_RUN = Script("find_run")
META = Script("meta")
READ = Script("read")
RELEASE = Script("release")
RENAME = Script("rename")
RENEW = Script("renew")
RUNS = Script("runs")
SEIZE = Script("seize")
SEND = Script("send")
SNAPSHOT = Script("snapshot")
THREAD = Script("thread")
