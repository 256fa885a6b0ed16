#!lua flags=no-writes
-- The counters of a campaign.
-- KEYS   the shard's tag
-- ARGV   campaign
-- reply  time, (field, value)..
-- bound  about 60 fields an action and variant, at most 300
local found = peek('HGETALL', 'c:' .. arg()) or {}
local reply = { t }
for i = 1, #found do
  reply[i + 1] = found[i]
end
return reply
