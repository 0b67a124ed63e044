-- Taking charges out of their buckets. Needs shared.lua. The rules and the arithmetic are those of
-- store/limits.py; a test compares them. A charge is four arguments:
--
--   bucket, cost, limit, period in microseconds
--
-- A bucket's key holds the moment at which it will be full, in microseconds, and lives until then.

-- Works out all charges. Returns their buckets, their moments, and the first one that does not fit
-- as {'limited', index, moment of its bucket, now}, or nil. It writes nothing, except that it brings
-- back a moment of a clock that was ahead.
local function charged(from, count, now, times)
  now = now * 1000
  local buckets, moments, moved, refused = {}, {}, {}, nil
  for step = 0, count * times - 1 do
    local index = step % count + 1
    local at = from + 4 * (index - 1)
    local bucket, cost = ARGV[at], tonumber(ARGV[at + 1])
    local limit, period = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
    local tat = moved[bucket] or tonumber(call('GET', key('bucket', bucket)) or now)
    if tat > now + period then
      tat = now + period
      call('SET', key('bucket', bucket), whole(tat), 'PX', whole(math.ceil(period / 1000)))
    end
    local share = cost * period / limit
    share = share < 0 and math.ceil(share) or math.floor(share)
    local moment = math.max(tat, now) + share
    if moment > now + period and cost >= 0 and not refused then
      refused = {'limited', index, whole(tat), whole(now)}
    end
    buckets[index], moved[bucket] = bucket, math.max(now, math.min(moment, now + period))
  end
  for index = 1, count do
    moments[index] = whole(moved[buckets[index]])
  end
  return buckets, moments, refused
end

local function write_buckets(buckets, moments, now)
  for index, bucket in ipairs(buckets) do
    local left = math.ceil(tonumber(moments[index]) / 1000 - now)
    if left > 0 then
      call('SET', key('bucket', bucket), moments[index], 'PX', whole(left))
    else
      call('DEL', key('bucket', bucket))
    end
  end
end
