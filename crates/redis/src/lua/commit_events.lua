#!lua
-- Writes what was decided from the first events of the log, if nothing it was decided from has changed.
-- KEYS   the shard's tag
-- ARGV   head, control number, events read; n foreign, places from 0..; n users, (number, old version, value)..;
--        entries: n, (due entry, data)..; counts: n, (campaign, field, by)..; refused: n, (campaign, row)..;
--        rows: n, (log row)..; log rows at most, kept ms
-- reply  time, 1 written | 0 something changed
-- bound  250 events; entries about 1 us each, the rest about 5 us an event
local head_read, control, read = num(), num(), num()
local foreign, users = {}, {}
for i = 1, num() do
  foreign[i] = num()
end
for i = 1, num() do
  users[i] = { no = arg(), version = arg(), value = arg() }
end
local entries, counts, refused, rows = read_entries(), read_counts(), read_refused(), read_rows()
if (tonumber(call('GET', 'evhead') or 0) or 0) ~= head_read
  or (tonumber(call('GET', 'ctlno') or 0) or 0) ~= control
  or call('LLEN', 'ev') < read then
  return { t, 0 }
end
for i = 1, #users do
  if call('GETRANGE', 'u:' .. users[i].no, 0, 7) ~= users[i].version then
    return { t, 0 }
  end
end
for i = 1, #users do
  call('SET', 'u:' .. users[i].no, users[i].value)
end
write_entries(entries)
write_counts(counts)
write_refused(refused)
write_rows(rows)
for i = 1, #foreign do
  local e = call('LINDEX', 'ev', foreign[i])
  if e and foreign[i] < read then
    bad('ev', e)
  end
end
call('LTRIM', 'ev', read, -1)
call('SET', 'evhead', string.format('%.0f', head_read + read))
return { t, 1 }
