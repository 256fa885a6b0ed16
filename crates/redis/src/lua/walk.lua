#!lua flags=no-writes
-- The next users to walk for an occurrence.
-- KEYS   the shard's tag
-- ARGV   occurrence (campaign, instant), limit, bytes at most
-- reply  time, 1 begun | 0, cursor, last, control number, up to where it looked, then (user number, value)..
-- bound  1,000 users of 4,000 numbers, about 1 MiB
local occurrence, limit, bytes_max = arg(), num(), num()
local cursor, last = unpack(peek('HMGET', 'occ:' .. occurrence, 'cur', 'last') or {})
local begun = last and 1 or 0
cursor = tonumber(cursor or 0) or 0
last = tonumber(last or peek('GET', 'un') or 0) or 0
local found, at = people(cursor, last, limit, bytes_max)
local reply = { t, begun, cursor, last, tonumber(peek('GET', 'ctlno') or 0) or 0, at }
for i = 1, #found do
  reply[#reply + 1] = found[i]
end
return reply
