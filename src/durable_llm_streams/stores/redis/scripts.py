"""The store's scripts: one constant for each file of `lua/` that Redis runs."""

from __future__ import annotations

import re
from importlib import resources

from .client.script import Script

_INCLUDE = re.compile(r"^-- include (\S+\.lua)$", re.MULTILINE)


def script(name: str) -> Script:
    """A script from `lua/`; lines `-- include OTHER.lua` are replaced by that file.

    Args:
        name: of the file, without `.lua`.
    """
    return Script(name, _INCLUDE.sub(lambda found: _read(found[1]), _read(f"{name}.lua")))


def _read(name: str) -> str:
    return resources.files(__package__).joinpath("lua", name).read_text("utf-8")


ANY_RUN = script("any_run")
APPEND = script("append")
CHANGES = script("changes")
CHATS = script("chats")
CHECK = script("check")
CLAIM = script("claim")
CLAIM_RUN = script("claim_run")
DELETE = script("delete")
END = script("end")
EXPIRE = script("expire")
FIND_PARTITION = script("find_partition")
FIND_RUN = script("find_run")
FOLLOW = script("follow")
KEEP_LINK = script("keep_link")
META = script("meta")
PORTABLE_BODIES = script("portable_bodies")
PORTABLE_CHATS = script("portable_chats")
PORTABLE_MARK = script("portable_mark")
PORTABLE_OUTLINE = script("portable_outline")
PORTABLE_PUT_CHAT = script("portable_put_chat")
PORTABLE_PUT_MESSAGES = script("portable_put_messages")
PORTABLE_PUT_RUN = script("portable_put_run")
PORTABLE_SECRET = script("portable_secret")
PORTABLE_SIGN_OUTS = script("portable_sign_outs")
PORTABLE_SERVED = script("portable_served")
PERMISSIONS = script("permissions")
READ = script("read")
RELEASE = script("release")
RENAME = script("rename")
RENEW = script("renew")
RESERVE = script("reserve")
RUNS = script("runs")
SEEN = script("seen")
SEND = script("send")
SIGNED_OUT = script("signed_out")
SIGN_OUT = script("sign_out")
SNAPSHOT = script("snapshot")
TAKE_LINK = script("take_link")
THREAD = script("thread")
UPGRADE = script("upgrade")
UPGRADING = script("upgrading")
