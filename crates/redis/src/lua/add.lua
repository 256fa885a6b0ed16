#!lua
-- Adds the entries of one request, once.
-- KEYS   the shard's tag
-- ARGV   request id, body hash, answer, kept ms; entries: n, (due entry, data)..; counts: n, (campaign, field, by)..;
--        refused: n, (campaign, row)..
-- reply  time, 0 added | 1 was there: body hash and answer of the first time
-- bound  512 entries, about 1 us each
local request, body, answer, kept_ms = arg(), arg(), arg(), arg()
local before = call('GET', 'rq:' .. request)
if before then
  return { t, 1, before }
end
local entries, counts, refused = read_entries(), read_counts(), read_refused()
write_entries(entries)
write_counts(counts)
write_refused(refused)
call('SET', 'rq:' .. request, body .. answer, 'PX', kept_ms)
return { t, 0 }
