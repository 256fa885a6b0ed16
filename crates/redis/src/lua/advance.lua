#!lua
-- Adds what was decided for the walked users of an occurrence, and moves its cursor.
-- KEYS   the shard's tag
-- ARGV   occurrence (campaign, instant), from, to, sends in a lane at most;
--        entries: n, (due entry, data)..; counts: n, (campaign, field, by)..; rows: n, (log row)..; log rows at most, kept ms
-- reply  time, 1 moved | 0 moved by somebody else | 2 a lane is full
-- bound  1,000 entries, under 1 us each
local key, from, to, high_water = 'occ:' .. arg(), num(), num(), num()
local entries, counts, rows = read_entries(), read_counts(), read_rows()
local cursor, last = unpack(call('HMGET', key, 'cur', 'last'))
if (tonumber(cursor or 0) or 0) ~= from then
  return { t, 0 }
end
local asked = {}
for i = 1, #entries do
  local lane = sub(entries[i].due, 7, 15)
  if not asked[lane] and number('>I6', entries[i].due) <= t then
    asked[lane] = true
    if call('LLEN', 'q:' .. lane) >= high_water then
      return { t, 2 }
    end
  end
end
if not last then
  -- Who belongs is fixed here.
  call('HSET', key, 'last', call('GET', 'un') or 0)
end
write_entries(entries)
write_counts(counts)
write_rows(rows)
call('HSET', key, 'cur', string.format('%.0f', to))
return { t, 1 }
