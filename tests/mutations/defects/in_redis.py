"""Slips in the store on Redis, its scripts and what a process knows beside it."""

from __future__ import annotations

from typing import Final

from tests.mutations.defect import Defect

_LUA = "stores/redis/lua/"
_TAILS = "stores/redis/tails.py"
_FOLLOWING = "stores/redis/following.py"
_ONLY = ("redis",)
_MODEL = "tests/simulation/test_redis_model_contract.py::"
_CONTRACT = f"{_MODEL}TestContract::"

IN_REDIS: Final = (
    Defect(
        id="redis-append-unfenced",
        slip="The script that appends looks at where the log ends, but not at who writes.",
        breaks=("fencing", "stop"),
        file=f"{_LUA}append.lua",
        diff="""
-  if held[1] == writer then
+  if held[1] then
""",
        stores=_ONLY,
        tests=(f"{_CONTRACT}test_an_epoch_that_was_claimed_away_writes_nothing",),
    ),
    Defect(
        id="redis-fence-by-number",
        slip="The fence compares the epoch's number alone; after a failover two have the same.",
        breaks=("fencing",),
        file=f"{_LUA}append.lua",
        diff="""
-  if held[1] == writer then
+  if held[1] and held[1]:match('^%d+') == writer:match('^%d+') then
""",
        stores=_ONLY,
        tests=(f"{_CONTRACT}test_the_number_and_the_token_must_both_be_the_claims",),
    ),
    Defect(
        id="redis-end-unfenced",
        slip="The script that ends a run asks whether somebody holds it, not who.",
        breaks=("fencing", "one-end"),
        file=f"{_LUA}end.lua",
        diff="""
-if writer ~= '' and writer ~= held[2] then
+if writer ~= '' and not held[2] then
""",
        stores=_ONLY,
        tests=(f"{_CONTRACT}test_only_the_runs_epoch_may_end_it",),
    ),
    Defect(
        id="redis-seen-before-commit",
        slip="This process's own readers are given records before Redis has taken them.",
        breaks=("seen-is-durable", "prefix"),
        file="stores/redis/__init__.py",
        diff="""
-        stands = await self._logs.append(batch)
-        self._following.appended(batch, stands)
-        return stands
+        self._following.appended(batch, [True] * len(batch))
+        return await self._logs.append(batch)
""",
        stores=_ONLY,
    ),
    Defect(
        id="redis-append-not-idempotent",
        slip="The script takes an append that comes again for a new one.",
        breaks=("prefix", "outage"),
        file=f"{_LUA}append.lua",
        diff="""
-    if length == at + count - 1 then
+    if length >= at + count - 1 then
""",
        stores=_ONLY,
    ),
    Defect(
        id="redis-claim-ignores-lease",
        slip="A claim takes every run that has a lease, also one that has not run out.",
        breaks=("takeover", "honest-failure"),
        file=f"{_LUA}claim.lua",
        diff="""
-local expired = call('ZRANGEBYSCORE', root .. ':leases', '-inf', now, 'LIMIT', 0, 1000)
+local expired = call('ZRANGEBYSCORE', root .. ':leases', '-inf', '+inf', 'LIMIT', 0, 1000)
""",
        stores=_ONLY,
        tests=(f"{_CONTRACT}test_a_live_lease_keeps_others_away",),
    ),
    Defect(
        id="redis-claim-same-number",
        slip="A claim draws a new token and forgets to raise the number.",
        breaks=("fencing",),
        file=f"{_LUA}claiming.lua",
        diff="""
-  local number = whole(tonumber(held[2]) + 1)
+  local number = whole(math.max(1, tonumber(held[2])))
""",
        stores=_ONLY,
        tests=(f"{_CONTRACT}test_a_lease_that_ran_out_is_a_takeover",),
    ),
    Defect(
        id="redis-renews-what-is-lost",
        slip="A heartbeat prolongs the lease of every run that it names, whoever holds it.",
        breaks=("takeover", "no-leak"),
        file=f"{_LUA}renew.lua",
        diff="""
-  if call('HGET', key('run', run), 'writer') == ARGV[index + 1] then
+  if call('EXISTS', key('run', run)) == 1 then
""",
        stores=_ONLY,
        tests=(f"{_CONTRACT}test_renewing_tells_which_claims_are_lost",),
    ),
    Defect(
        id="redis-workers-clock",
        slip="Leases run out by the clock of the worker that asks, not by the store's.",
        breaks=("takeover", "honest-failure"),
        file="stores/redis/context.py",
        diff="""
-        return "" if self._now is None else str(self._now())
+        return str(self.wall_clock())
""",
        stores=_ONLY,
        tests=(f"{_MODEL}test_a_lease_runs_out_by_the_servers_clock",),
    ),
    Defect(
        id="redis-second-claim",
        slip="Whoever sends a message again is handed the claim of the one who writes its answer.",
        breaks=("idempotent-send", "fencing"),
        file="stores/redis/runs.py",
        diff="""
-        if reply[0] == b"found":
+        if reply[0] == b"found" and run.status.ended:
""",
        stores=_ONLY,
        tests=(f"{_CONTRACT}test_a_repetition_gets_the_first_run",),
    ),
    Defect(
        id="redis-key-not-kept",
        slip="What makes a message recognisable is looked up, but nobody writes it down.",
        breaks=("idempotent-send",),
        file=f"{_LUA}send.lua",
        diff="""
-  call('HSET', key('keys', chat), dedup, run)
+  dedup = ''
""",
        stores=_ONLY,
        tests=(f"{_CONTRACT}test_a_repetition_gets_the_first_run",),
    ),
    Defect(
        id="redis-log-without-ttl",
        slip="The log of a run that has ended is kept for ever.",
        breaks=("bounded", "no-leak"),
        file=f"{_LUA}end.lua",
        diff="""
-call('PEXPIRE', log, ARGV[8])
""",
        stores=_ONLY,
    ),
    Defect(
        id="redis-busy-chat-expires",
        slip="A chat that is over age goes although an answer is being written in it.",
        breaks=("bounded", "honest-failure"),
        file=f"{_LUA}expire.lua",
        diff="""
-      elseif active_run(chat) == '' then
+      elseif chat ~= '' then
""",
        stores=(),
        tests=(f"{_CONTRACT}test_a_chat_in_which_an_answer_is_written_stays",),
    ),
    Defect(
        id="redis-joins-while-behind",
        slip="A reader that is behind waits for news with those at the end, and gets the news.",
        breaks=("prefix",),
        file=_FOLLOWING,
        diff="""
-        if after + 1 != tail.next_seq or tail.status.ended:
+        if tail.status.ended:
""",
        stores=_ONLY,
    ),
    Defect(
        id="redis-hole-in-a-tail",
        slip="A tail takes what it hears for what comes next, without looking at the number.",
        breaks=("prefix",),
        file=_TAILS,
        diff="""
-        if known < 0 or by != self.by or (known and status is not self.status):
+        if by != self.by or (known and status is not self.status):
""",
        stores=(),
        tests=(
            "tests/test_redis_tails.py::test_what_does_not_fit_makes_the_tail_stale_and_lets_readers_look",
        ),
    ),
    Defect(
        id="redis-seam-forgotten",
        slip="What is heard while it is asked where a log ends is thrown away.",
        breaks=("prefix",),
        file=_TAILS,
        diff="""
-            for heard in early:
-                self.heard(*heard)
+            early.clear()
""",
        stores=(),
        tests=(
            "tests/test_redis_tails.py::test_what_is_heard_before_the_answer_and_is_newer_is_not_lost",
        ),
    ),
    Defect(
        id="redis-woken-with-the-newest",
        slip="A reader that waits is woken with the newest record of a batch, not with all.",
        breaks=("prefix",),
        file=_TAILS,
        diff="""
-            self.wake(Page(first, records, next_seq, self.spans, status))
+            self.wake(Page(next_seq - 1, records[-1:], next_seq, self.spans, status))
""",
        stores=_ONLY,
    ),
    Defect(
        id="redis-lost-tail-waits",
        slip="A reader whose cursor lies beyond the log waits there for text to come.",
        breaks=("lost-tail-is-told",),
        file="stores/redis/logs.py",
        diff="""
-    elif after >= next_seq or (not is_there and after < next_seq - 1):
+    elif not is_there and after < next_seq - 1:
""",
        stores=_ONLY,
        tests=(f"{_MODEL}test_a_lost_tail_is_noticed_by_its_writer_and_by_its_readers",),
    ),
)
