#!lua flags=no-writes
-- The next users to walk for an occurrence.
-- KEYS   the shard's tag
-- ARGV   occurrence (campaign, instant), 1 also who came since | 0, limit, bytes at most
-- reply  time, 1 begun | 0, cursor, last who belongs, last asked for, control number, up to where it looked, then (user number, value)..
-- bound  1,000 users of 4,000 numbers, about 1 MiB
local occurrence, joiners, limit, bytes_max = arg(), num() == 1, num(), num()
local cursor, last = unpack(peek('HMGET', 'occ:' .. occurrence, 'cur', 'last') or {})
local begun = last and 1 or 0
cursor = tonumber(cursor or 0) or 0
local un = (joiners or not last) and tonumber(peek('GET', 'un') or 0) or 0
last = tonumber(last or un) or 0
local upto = joiners and math.max(un, last) or last
local found, at = people(cursor, upto, limit, bytes_max)
local reply = { t, begun, cursor, last, upto, tonumber(peek('GET', 'ctlno') or 0) or 0, at }
for i = 1, #found do
  reply[#reply + 1] = found[i]
end
return reply
