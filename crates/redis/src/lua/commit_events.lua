#!lua
-- Writes what was decided from the first events of the log, if nothing it was decided from has changed.
-- KEYS   the shard's tag
-- ARGV   head, control number, events read; n foreign, places from 0..; n users, (number, old version, value)..;
--        recent: n, (number 8, bytes)..; entries: n, (due entry, data)..; counts: n, (campaign, field, by)..;
--        refused: n, (campaign, row)..; rows: n, (log row)..; log rows at most, kept ms;
--        converted: n, (user number, campaign, key and action)..;
--        records: n, (user number, campaign, old, new, n keys without a mark.., n keys whose marks go.., n (key, + behind what is
--        kept | = in its place, data)..)..
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
local recent = {}
for i = 1, num() do
  recent[i] = arg()
end
local entries, counts, refused, rows = read_entries(), read_counts(), read_refused(), read_rows()
if (tonumber(call('GET', 'evhead') or 0) or 0) ~= head_read
  or (tonumber(call('GET', 'ctlno') or 0) or 0) ~= control
  or call('LLEN', 'ev') < read then
  return { t, 0 }
end
local converted = {}
for i = 1, num() do
  converted[i] = { arg(), arg(), arg() }
end
local records = {}
local function list(width)
  local all = {}
  for i = 1, num() * width do
    all[i] = arg()
  end
  return all
end
for i = 1, num() do
  records[i] = { user = arg(), campaign = arg(), old = arg(), new = arg(), waiting = list(1), folded = list(1), data = list(3) }
end
for i = 1, #records do
  local r = records[i]
  if (call('HGET', 'n:' .. r.user, r.campaign) or '') ~= r.old then
    return { t, 0 }
  end
  for j = 1, #r.waiting do
    if call('HEXISTS', 'n:' .. r.user, r.campaign .. r.waiting[j]) == 1 then
      return { t, 0 }
    end
  end
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
-- After the entries: a newer trigger of the same page has the last word on what is kept.
for i = 1, #records do
  local r = records[i]
  call('HSET', 'n:' .. r.user, r.campaign, r.new)
  for j = 1, #r.folded do
    call('HDEL', 'n:' .. r.user, r.campaign .. r.folded[j])
  end
  for j = 1, #r.data, 3 do
    local key, field, before = 'x:' .. r.user, r.campaign .. r.data[j], ''
    if r.data[j + 1] == '+' then
      before = call('HGET', key, field) or ''
    end
    if r.data[j + 2] == '' then
      call('HDEL', key, field)
    else
      call('HSET', key, field, before .. r.data[j + 2])
    end
  end
end
for i = 1, #converted do
  note_converted(unpack(converted[i]))
end
write_counts(counts)
write_refused(refused)
write_rows(rows)
for i = 1, #recent do
  call('RPUSH', 'recent', recent[i])
end
if #recent > 0 then
  call('LTRIM', 'recent', -1000, -1)
end
for i = 1, #foreign do
  local e = call('LINDEX', 'ev', foreign[i])
  if e and foreign[i] < read then
    bad('ev', e)
  end
end
call('LTRIM', 'ev', read, -1)
call('SET', 'evhead', string.format('%.0f', head_read + read))
-- Sends may have waited for these events.
if call('ZCARD', 'ring') > 0 then
  wake('q')
end
return { t, 1 }
