#!lua flags=no-writes
-- Users with numbers above one, ascending.
-- KEYS   the shard's tag
-- ARGV   after, last ('' the shard's last number), limit, bytes at most
-- reply  time, last, up to where it looked, then (user number, value)..
-- bound  1,000 users of 4,000 numbers, about 1 MiB
local after, last, limit, bytes_max = num(), num(), num(), num()
last = last or tonumber(peek('GET', 'un') or 0) or 0
local found, at = people(after, last, limit, bytes_max)
local reply = { t, last, math.max(at, math.min(after, last)) }
for i = 1, #found do
  reply[#reply + 1] = found[i]
end
return reply
