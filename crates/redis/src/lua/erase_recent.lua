#!lua flags=allow-oom
-- Empties rows of the latest events; their places stay, since a row is found by its place. Allowed without memory: it frees some.
-- KEYS   the shard's tag
-- ARGV   numbers of events..
-- reply  time
-- bound  1,000 rows
local head = tonumber(call('GET', 'evhead') or 0) or 0
while arg_at < #ARGV do
  local n = num()
  local row = call('LINDEX', 'recent', n - head)
  if row and n < head and sub(row, 1, 8) == pack('>I8', n) then
    call('LSET', 'recent', n - head, sub(row, 1, 8))
  end
end
return { t }
