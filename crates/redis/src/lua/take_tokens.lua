#!lua
-- Takes tokens of a bucket by the generic cell rate algorithm: the key holds the instant up to which they were given away.
-- KEYS   {cp:t:c<campaign>} or {cp:t:d<destination>}
-- ARGV   want, us of one token, tokens given ahead at most
-- reply  time, tokens taken, us of the first one, us when it is worth asking for the next
-- bound  one key
local want, interval, ahead = num(), num(), num()
local now = clock[1] * 1000000 + clock[2]
local first = math.max(tonumber(redis.call('GET', KEYS[1]) or 0) or 0, now)
local tokens = math.max(0, math.min(want, math.floor((now + ahead * interval - first) / interval)))
local given = first + tokens * interval
if tokens > 0 then
  redis.call('SET', KEYS[1], string.format('%.0f', given), 'PX', math.ceil((given - now) / 1000) + 1)
end
local next = math.max(now, given + interval - ahead * interval)
return { t, tokens, string.format('%.0f', first), string.format('%.0f', next) }
