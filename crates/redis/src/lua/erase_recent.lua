#!lua flags=allow-oom
-- Empties rows of the latest events; their places stay. Allowed without memory: it frees some.
-- KEYS   the shard's tag
-- ARGV   numbers of events..
-- reply  time
-- bound  1,000 rows, about 10 looks each
-- Rows stand in the order of their numbers, but what was not kept has none.
local function place_of(n)
  local from, to = 0, call('LLEN', 'recent') - 1
  while from <= to do
    local middle = math.floor((from + to) / 2)
    local row = call('LINDEX', 'recent', middle)
    local found = row and #row >= 8 and number('>I8', row) or 0
    if found == n then
      return middle
    elseif found < n then
      from = middle + 1
    else
      to = middle - 1
    end
  end
  return nil
end
while arg_at < #ARGV do
  local n = num()
  local place = place_of(n)
  if place then
    call('LSET', 'recent', place, pack('>I8', n))
  end
end
return { t }
