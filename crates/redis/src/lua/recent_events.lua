#!lua flags=no-writes
-- The events looked at last, oldest first.
-- KEYS   the shard's tag
-- ARGV   the first number wanted, limit
-- reply  time, number of the next event, rows (number 8, bytes)..
-- bound  1,000 rows
local from, limit = num(), num()
local head = tonumber(peek('GET', 'evhead') or 0) or 0
local reply = { t, head }
local n = math.min(limit, head - from, 1000)
if n > 0 then
  local rows = peek('LRANGE', 'recent', -n, -1) or {}
  for i = 1, #rows do
    reply[#reply + 1] = rows[i]
  end
end
return reply
