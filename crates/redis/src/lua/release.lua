#!lua flags=allow-oom
-- Moves what is due from soon and wheel into lanes. Allowed without memory: what is due must be able to go.
-- KEYS   the shard's tag
-- ARGV   limit
-- reply  time, sends that reached a lane, instant of what comes next (-1: nothing waits)
-- bound  512 entries, 8 buckets; about 1 us an entry. The instant is not later than now when more is due.
local limit, n = num(), 0
local first = call('ZRANGEBYSCORE', 'soon', '-inf', t, 'LIMIT', 0, limit)
local function take(e, from)
  if is_due_entry(e) then
    place(e)
  else
    bad(from, e)
  end
end
for i = 1, #first do
  take(first[i], 'soon')
end
if #first > 0 then
  call('ZREMRANGEBYRANK', 'soon', 0, #first - 1)
end
n = #first
for _ = 1, 8 do
  if n >= limit then
    break
  end
  local open = call('ZRANGEBYSCORE', 'wheel', '-inf', t, 'LIMIT', 0, 1)[1]
  if not open then
    break
  end
  local es = call('LPOP', 'w:' .. open, limit - n) or {}
  for i = 1, #es do
    take(es[i], 'w:' .. open)
  end
  n = n + #es
  if call('EXISTS', 'w:' .. open) == 0 then
    call('ZREM', 'wheel', open)
  end
end
local moved = 0
for i = 1, #lane_names do
  moved = moved + #lanes[lane_names[i]]
end
flush(true)
local next_at = head()
return { t, moved, next_at == math.huge and -1 or next_at }
