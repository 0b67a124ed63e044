"""The slips in Redis' scripts: of each, what an engineer may have got wrong."""

from __future__ import annotations

from typing import Final

from .by_hand import Slip

IN_LUA: Final = (
    # An append checks the end of the log, but not the epoch.
    Slip("redis-append-unfenced", "append.lua", "if held[1] == writer then", "if held[1] then"),
    # The fence compares the epoch's number alone; after a failover two have the same.
    Slip(
        "redis-fence-by-number",
        "append.lua",
        "if held[1] == writer then",
        "if held[1] and held[1]:match('^%d+') == writer:match('^%d+') then",
    ),
    # An append that comes again is taken for a new one.
    Slip(
        "redis-append-not-idempotent",
        "append.lua",
        "if length == at + count - 1 then",
        "if length >= at + count - 1 then",
    ),
    # What was added at the wrong place stays there.
    Slip(
        "redis-wrong-place-kept",
        "append.lua",
        "call('LTRIM', log, 0, -1 - count)",
        "call('LTRIM', log, 0, -1)",
    ),
    # A repetition of records that an earlier epoch wrote counts as written by this one.
    Slip(
        "redis-foreign-repetition",
        "append.lua",
        "and at >= tonumber(call('HGET', run, 'first'))",
        "",
    ),
    # A run is ended without its claim while a worker holds it.
    Slip(
        "redis-end-unfenced",
        "end.lua",
        "if writer ~= held[2] then",
        "if not held[2] then",
    ),
    # A run is ended although its log has grown meanwhile.
    Slip("redis-end-over-the-log", "end.lua", "if at ~= next_seq then", "if at > next_seq then"),
    # The log of a run that has ended is kept for ever.
    Slip("redis-log-without-ttl", "end.lua", "call('PEXPIRE', log, ARGV[7])", ""),
    # The next run of a chat is not queued when the one before has ended.
    Slip("redis-queue-forgotten", "end.lua", "if behind[1] == 'queued' then", "if false then"),
    # A claim takes every run that has a lease, also one that has not run out.
    Slip(
        "redis-claim-ignores-lease",
        "claim.lua",
        "root .. ':leases', '-inf', now, 'LIMIT', 0, 1000",
        "root .. ':leases', '-inf', '+inf', 'LIMIT', 0, 1000",
    ),
    # A lease that a fast clock gave holds up its run for as long.
    Slip(
        "redis-far-lease-stays",
        "claim.lua",
        "local LONGEST = 100",
        "local LONGEST = 1e12",
    ),
    # A claim draws a new token and does not raise the number.
    Slip(
        "redis-claim-same-number",
        "claiming.lua",
        "whole(tonumber(held[2]) + 1)",
        "whole(math.max(1, tonumber(held[2])))",
    ),
    # Records of the new epoch are not published to the old one's readers.
    Slip(
        "redis-claim-not-published",
        "claiming.lua",
        "publish('c' .. run .. ' ' .. number .. '.' .. token)",
        "",
    ),
    # A heartbeat renews the lease of every run that it names, also of another worker's.
    Slip(
        "redis-renews-what-is-lost",
        "renew.lua",
        "if call('HGET', key('run', run), 'writer') == ARGV[index + 1] then",
        "if call('EXISTS', key('run', run)) == 1 then",
    ),
    # A run is given back by a worker that has lost it.
    Slip(
        "redis-releases-what-is-lost",
        "release.lua",
        "if held[1] == ARGV[index + 1] then",
        "if held[1] then",
    ),
    # A duplicate is recognised by its key, whatever it asks.
    Slip(
        "redis-key-of-another-content",
        "send.lua",
        "if asked_before and asked_before ~= content then",
        "if false then",
    ),
    # What makes a duplicate recognisable is looked up, but never written down.
    Slip("redis-key-not-kept", "send.lua", "call('HSET', key('keys', chat), dedup, run)", ""),
    # A chat's id is its name, whoever its owner is: any owner can send into it.
    Slip("redis-names-without-owner", "shared.lua", "return owner .. '/' .. id", "return id"),
    # The upgrade leaves the runs of a chat behind, under its old name.
    Slip(
        "redis-upgrade-without-runs",
        "upgrade.lua",
        "call('HSET', key('run', run), 'chat', chat)",
        "",
    ),
    # A run is found by its id in any chat.
    Slip(
        "redis-run-of-any-chat",
        "find_run.lua",
        "if run == '' or call('HGET', key('run', run), 'chat') ~= chat then",
        "if run == '' or not call('HGET', key('run', run), 'chat') then",
    ),
    # The writer does not learn of a reader in another process.
    Slip(
        "redis-follower-unknown",
        "follow.lua",
        "call('HSET', key('run', ARGV[1]), 'followed', 1)",
        "",
    ),
    # A chat that is over age goes although an answer is being written in it.
    Slip("redis-busy-chat-expires", "expire.lua", "elseif active_run(chat) == '' then", "else"),
    # An owner's feed keeps one change too few to detect that older ones are gone.
    Slip("redis-feed-too-short", "shared.lua", "-FEED_LENGTH - 1, -1", "-FEED_LENGTH, -1"),
    # A clock that jumps ahead makes everything old.
    Slip(
        "redis-clock-jump-counts",
        "shared.lua",
        "math.min(now - tonumber(held[2]), MOST_BETWEEN_LOOKS)",
        "now - tonumber(held[2])",
    ),
    # A change in a feed is not published.
    Slip("redis-feed-not-published", "shared.lua", "publish('f' .. owner)", ""),
)
