#!lua flags=no-writes
-- What users had of campaigns.
-- KEYS   the shard's tag
-- ARGV   (user number, campaign)..
-- reply  time, then for each: history ('': none)
-- bound  2,000, under 1 us each
local reply = { t }
while arg_at < #ARGV do
  local user, campaign = arg(), arg()
  reply[#reply + 1] = peek('HGET', 'h:' .. user, campaign) or ''
end
return reply
