#!lua flags=allow-oom
-- Campaigns that changed since a number, and those whose change is open. An open change older than a minute was left by a process
-- that died: it is reported here.
-- KEYS   cp:changes, its number, its open changes
-- ARGV   number ('': none)
-- reply  time, number now, 1 everything | 0, campaign numbers..
-- bound  1,000 numbers; more are everything
local since = num()
local left = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', t - 60000, 'LIMIT', 0, 100)
for i = 1, #left do
  redis.call('ZADD', KEYS[1], redis.call('INCR', KEYS[2]), string.match(left[i], '^[^:]*'))
  redis.call('ZREM', KEYS[3], left[i])
end
local now = tonumber(redis.call('GET', KEYS[2]) or 0)
if not since or since > now then
  return { t, now, 1 }
end
local changed = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', since), '+inf', 'LIMIT', 0, 1000)
local open = redis.call('ZRANGE', KEYS[3], 0, 999)
if #changed == 1000 or #open == 1000 then
  return { t, now, 1 }
end
local reply = { t, now, 0 }
for i = 1, #changed do
  reply[#reply + 1] = tonumber(changed[i])
end
for i = 1, #open do
  reply[#reply + 1] = tonumber(string.match(open[i], '^[^:]*'))
end
return reply
